package deprecatedimagecheck_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/task/deprecatedimagecheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

// catalogue answers as Red Hat's does, and keeps what it was asked.
type catalogue struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newCatalogue(t *testing.T) *catalogue {
	t.Helper()
	c := &catalogue{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/api/containers/v1/repositories/registry/")
		c.mu.Lock()
		c.asked = append(c.asked, path)
		c.mu.Unlock()
		switch {
		case strings.HasSuffix(path, "/old"):
			fmt.Fprint(w, `{"release_categories":["Generally Available","Deprecated"]}`)
		case strings.HasSuffix(path, "/broken"):
			http.Error(w, "no", http.StatusBadGateway)
		case strings.HasSuffix(path, "/garbled"):
			fmt.Fprint(w, `<html>`)
		case strings.HasPrefix(path, "registry.access.redhat.com/"):
			fmt.Fprint(w, `{"release_categories":["Generally Available"]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func check(t *testing.T, args ...string) (code int, stderr string, verdict testoutput.Output, processed string) {
	t.Helper()
	dir := t.TempDir()
	cmd := deprecatedimagecheck.Command()
	cmd.SetArgs(append([]string{"--results-dir=" + dir}, args...))
	var out bytes.Buffer
	code = taskcli.Run(t.Context(), cmd, &out)
	raw, err := os.ReadFile(filepath.Join(dir, testoutput.Name))
	if err != nil {
		t.Fatal(err)
	}
	if verdict, err = testoutput.Parse(string(raw)); err != nil {
		t.Fatal(err)
	}
	digests, err := os.ReadFile(filepath.Join(dir, testoutput.ProcessedName))
	if err != nil {
		t.Fatal(err)
	}
	return code, out.String(), verdict, string(digests)
}

// base is a package of an SPDX document: an image, with a mark.
func base(repository, mark string) string {
	return `{"externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:oci/x@sha256:0?repository_url=` + repository + `"}],
"annotations":[{"comment":"{\"name\":\"` + mark + `\",\"value\":\"true\"}"}]}`
}

const (
	isBase    = "konflux:container:is_base_image"
	isBuilder = "konflux:container:is_builder_image:for_stage"
)

func TestVerdict(t *testing.T) {
	cases := map[string]struct {
		sbom  string // packages; "-" for no document
		param string
		want  testoutput.Output
		note  string
		asked []string
	}{
		"a base that is maintained": {
			sbom: base("registry.redhat.io/ubi9/ubi", isBase), want: testoutput.Output{Result: testoutput.Success, Successes: 1},
			asked: []string{"registry.access.redhat.com/repository/ubi9/ubi"},
		},
		"a builder that is deprecated": {
			sbom: base("registry.access.redhat.com/ubi9/ubi", isBase) + "," + base("registry.access.redhat.com/go/old", isBuilder),
			want: testoutput.Output{Result: testoutput.Failure, Successes: 1, Failures: 1}, note: "go/old",
			asked: []string{"registry.access.redhat.com/repository/go/old", "registry.access.redhat.com/repository/ubi9/ubi"},
		},
		"a base that the catalogue does not know": {
			sbom: base("registry.example.com/base", isBase), want: testoutput.Output{Result: testoutput.Warning, Warnings: 1}, note: "registry.example.com/base",
			asked: []string{"registry.example.com/repository/base"},
		},
		"an image that was not built from": {
			sbom: base("registry.access.redhat.com/x/old", "other"), want: testoutput.Output{Result: testoutput.Success}, note: "No base images",
		},
		"an image of the param, and the same in the SBOM": {
			sbom: base("registry.access.redhat.com/x/old", isBase), param: `registry.access.redhat.com/x/old:1@sha256:` + strings.Repeat("0", 64) + `\n`,
			want: testoutput.Output{Result: testoutput.Failure, Failures: 1}, asked: []string{"registry.access.redhat.com/repository/x/old"},
		},
		"no SBOM": {
			sbom: "-", want: testoutput.Output{Result: testoutput.Warning, Warnings: 1}, note: "No SBOM",
		},
		"a catalogue that fails": {
			sbom: base("registry.access.redhat.com/x/broken", isBase) + "," + base("registry.access.redhat.com/go/old", isBase),
			want: testoutput.Output{Result: testoutput.Error, Failures: 1}, note: "502",
			asked: []string{"registry.access.redhat.com/repository/go/old", "registry.access.redhat.com/repository/x/broken"},
		},
		"a catalogue that says nothing": {
			sbom: base("registry.access.redhat.com/x/garbled", isBase), want: testoutput.Output{Result: testoutput.Error}, note: "reading the catalogue's answer",
			asked: []string{"registry.access.redhat.com/repository/x/garbled"},
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			host, c := fixture.Registry(t), newCatalogue(t)
			image := fixture.Push(t, host+"/app:1", fixture.Layered(t))
			if tc.sbom != "-" {
				if _, err := sbom.Attach(t.Context(), image, []byte(`{"spdxVersion":"SPDX-2.3","packages":[`+tc.sbom+`]}`)); err != nil {
					t.Fatal(err)
				}
			}

			code, stderr, verdict, processed := check(t, "--image-url="+host+"/app:1", "--image-digest="+image.DigestStr(),
				"--catalog-url="+c.URL, "--base-images-digests="+tc.param)

			got := testoutput.Output{Result: verdict.Result, Successes: verdict.Successes, Failures: verdict.Failures, Warnings: verdict.Warnings}
			if diff := cmp.Diff(tc.want, got); diff != "" || code != 0 || !strings.Contains(verdict.Note, tc.note) || verdict.Namespace != "required_checks" {
				t.Errorf("exit code = %d, verdict = %v (-want +got):\n%s%s", code, verdict, diff, stderr)
			}
			slices.Sort(c.asked)
			if diff := cmp.Diff(tc.asked, c.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if want := testoutput.Processed(host+"/app:1", []string{image.DigestStr()}); processed != want {
				t.Errorf("IMAGES_PROCESSED = %s, want %s", processed, want)
			}
		})
	}
}

// TestIndex reads the SBOM of every image, here in CycloneDX.
func TestIndex(t *testing.T) {
	host, c := fixture.Registry(t), newCatalogue(t)
	images := map[string]v1.Image{"amd64": fixture.Layered(t, map[string]string{"a": "a"}), "arm64": fixture.Layered(t, map[string]string{"a": "b"})}
	index := fixture.Push(t, host+"/app:1", fixture.Index(t, images))
	var digests []string
	for _, arch := range []string{"amd64", "arm64"} {
		digest, err := images[arch].Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
		document := `{"bomFormat":"CycloneDX","formulation":[{"components":[{"purl":"pkg:oci/x@sha256:0?repository_url=registry.access.redhat.com/` + arch + `/old",
"properties":[{"name":"` + isBase + `","value":"true"}]}]}]}`
		if _, err := sbom.Attach(t.Context(), index.Context().Digest(digest.String()), []byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	code, stderr, verdict, processed := check(t, "--image-url="+host+"/app:1", "--image-digest="+index.DigestStr(), "--catalog-url="+c.URL)
	if code != 0 || verdict.Result != testoutput.Failure || verdict.Failures != 2 {
		t.Errorf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
	}
	if want := testoutput.Processed(host+"/app:1", append(digests, index.DigestStr())); processed != want {
		t.Errorf("IMAGES_PROCESSED = %s, want %s", processed, want)
	}
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	host := fixture.Registry(t)
	image := fixture.Push(t, host+"/app:1", fixture.Layered(t))
	broken := fixture.Push(t, host+"/app:2", fixture.Layered(t, map[string]string{"a": "b"}))
	if _, err := sbom.Attach(t.Context(), broken, []byte("no JSON")); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args []string
		code int
		text string
	}{
		"the image is gone":       {args: []string{"--image-digest=sha256:" + strings.Repeat("0", 64)}, text: "fetching"},
		"the SBOM is none":        {args: []string{"--image-digest=" + broken.DigestStr()}, text: "reading the SBOM"},
		"the catalogue is gone":   {args: []string{"--catalog-url=http://127.0.0.1:1", "--base-images-digests=registry.example.com/a:1"}, text: "127.0.0.1:1"},
		"a base that is no image": {args: []string{"--base-images-digests=$(id)"}, text: "base image"},
		"no image":                {args: []string{"--image-url="}, code: 2, text: "--image-url"},
		"a catalogue without URL": {args: []string{"--catalog-url=x"}, code: 2, text: "--catalog-url"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			code, stderr, verdict, processed := check(t, append([]string{
				"--image-url=" + host + "/app:1", "--image-digest=" + image.DigestStr(), "--catalog-url=http://127.0.0.1:1",
			}, tc.args...)...)
			if code != tc.code || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, tc.text) {
				t.Errorf("exit code = %d, verdict = %v, want %d and a note with %q: %s", code, verdict, tc.code, tc.text, stderr)
			}
			if !strings.Contains(processed, `"pullspec"`) {
				t.Errorf("IMAGES_PROCESSED = %s", processed)
			}
		})
	}
}
