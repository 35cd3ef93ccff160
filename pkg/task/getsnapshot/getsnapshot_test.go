package getsnapshot_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/task/getsnapshot"
	"github.com/headrace-ci/headrace/pkg/tekton/snapshotparam"
	"github.com/headrace-ci/headrace/test/fixture"
)

// thousand is a Snapshot that is too large for an argument.
func thousand() string {
	var components []string
	for i := range 1000 {
		components = append(components, fmt.Sprintf(`{"name":"component-%04d","containerImage":"registry.test/shop/component-%04d@sha256:%064d"}`, i, i, i))
	}
	return `{"application":"shop","components":[` + strings.Join(components, ",") + `]}`
}

func TestRun(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"spec":%s}`, thousand())
	}))
	t.Cleanup(server.Close)
	cluster := snapshotparam.Cluster{URL: server.URL, Dir: t.TempDir()}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string]string{"token": "t", "namespace": "dev", "ca.crt": string(certificate)} {
		if err := os.WriteFile(filepath.Join(cluster.Dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for param, want := range map[string]map[string]string{
		"shop-1": {"application": "shop", "component-group": "", "component-count": "1000"},
		`{"componentGroup":"all","components":[{"name":"web"}]}`: {"application": "", "component-group": "all", "component-count": "1"},
	} {
		file := filepath.Join(t.TempDir(), "snapshot.json")
		got, err := getsnapshot.Run(t.Context(), getsnapshot.Options{Snapshot: param, File: file, Cluster: cluster})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		text, err := os.ReadFile(file)
		var spec struct{ Components []struct{ Name string } }
		if err != nil || json.Unmarshal(text, &spec) != nil || fmt.Sprint(len(spec.Components)) != want["component-count"] || spec.Components[0].Name == "" {
			t.Errorf("the file has %d bytes, %v", len(text), err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot.json")
	for param, want := range map[string]string{
		`{"components": {}}`: "--snapshot: is not a Snapshot's spec",
		"shop-1":             "no account to read it with",
		"":                   "neither a Snapshot's spec as JSON nor a Snapshot's name",
	} {
		_, err := getsnapshot.Run(t.Context(), getsnapshot.Options{Snapshot: param, File: file, Cluster: snapshotparam.Cluster{Dir: t.TempDir()}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run() of %q = %v, want %q", param, err, want)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("of %q it wrote a file", param)
		}
	}
	_, err := getsnapshot.Run(t.Context(), getsnapshot.Options{Snapshot: "{}", File: filepath.Join(file, "x")})
	if err == nil || !strings.Contains(err.Error(), "writing the Snapshot") {
		t.Errorf("where it cannot write it says %v", err)
	}
}

func TestHostile(t *testing.T) {
	fixture.Hostile(t, getsnapshot.Command, `--snapshot={"application":"shop"}`, "--output-file="+filepath.Join(t.TempDir(), "snapshot.json"))
}
