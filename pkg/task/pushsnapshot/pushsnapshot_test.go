package pushsnapshot_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/task/pushsnapshot"
	"github.com/headrace-ci/headrace/test/fixture"
)

func built(t *testing.T, registry string) name.Digest {
	t.Helper()
	repo, err := name.NewRepository(registry + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("1"), image); err != nil {
		t.Fatal(err)
	}
	return repo.Digest(digest.String())
}

func push(t *testing.T, registry string, component map[string]any) error {
	t.Helper()
	folder := releasedata.Folder{Dir: filepath.Join(t.TempDir(), "data"), Storage: registry + "/data", Tag: "t"}
	if err := folder.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	component["name"] = "app"
	if err := folder.Write("spec.json", map[string]any{"components": []any{component}}); err != nil {
		t.Fatal(err)
	}
	_, err := pushsnapshot.Run(t.Context(), pushsnapshot.Options{
		Folder: folder, SnapshotPath: "spec.json", DataPath: "data.json", ResultsDirPath: "results", ConcurrentLimit: 1, Retries: 1,
	})
	return err
}

func TestPushRefuses(t *testing.T) {
	registry := fixture.Registry(t)
	image := built(t, registry)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/v2/" {
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer refusing.Close()
	there := func(url string, tags ...string) []any { return []any{map[string]any{"url": url, "tags": tags}} }
	cases := map[string]struct {
		component map[string]any
		text      string
		hint      string
	}{
		"no tags": {
			component: map[string]any{"containerImage": image.Name(), "repositories": there(registry + "/released/app")},
			text:      "has no tags for repository", hint: "spec.data.mapping",
		},
		"no repository": {
			component: map[string]any{"containerImage": image.Name()}, text: "has no repository to go to", hint: "spec.data.mapping",
		},
		"an image by tag": {
			component: map[string]any{"containerImage": registry + "/team/app:1", "repositories": there(registry+"/released/app", "1")},
			text:      "is not by digest",
		},
		"an image that is gone": {
			component: map[string]any{
				"containerImage": registry + "/team/app@sha256:" + strings.Repeat("0", 64), "repositories": there(registry+"/released/app", "1"),
			},
			text: "fetching",
		},
		"a source image that is not there": {
			component: map[string]any{
				"containerImage": image.Name(), "pushSourceContainer": true, "repositories": there(registry+"/released/app", "1"),
			},
			text: "there is no source image",
		},
		"a registry that refuses": {
			component: map[string]any{
				"containerImage": image.Name(), "repositories": there(strings.TrimPrefix(refusing.URL, "http://")+"/released/app", "1"),
			},
			text: "/released/app", hint: "kubernetes.io/dockerconfigjson",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := push(t, registry, tc.component)
			if err == nil || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), "app") {
				t.Fatalf("Run() = %v, want an error about component app with %q", err, tc.text)
			}
			var hinter interface{ Hint() string }
			if tc.hint != "" && (!errors.As(err, &hinter) || !strings.Contains(hinter.Hint(), tc.hint)) {
				t.Errorf("Run() = %v, want a hint with %q", err, tc.hint)
			}
		})
	}
}

func TestPushTakesTheSourceAlong(t *testing.T) {
	registry := fixture.Registry(t)
	image := built(t, registry)
	source, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(oci.EvidenceTag(image, ".src"), source); err != nil {
		t.Fatal(err)
	}
	want, err := source.Digest()
	if err != nil {
		t.Fatal(err)
	}

	err = push(t, registry, map[string]any{
		"containerImage": image.Name(), "pushSourceContainer": true,
		"repositories": []any{map[string]any{"url": registry + "/released/app", "tags": []string{"1"}}},
	})

	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"1-source", oci.EvidenceTag(image, ".src").TagStr()} {
		got, err := oci.Digest(t.Context(), registry+"/released/app:"+tag)
		if err != nil || got.DigestStr() != want.String() {
			t.Errorf("%s is %v, %v", tag, got, err)
		}
	}
}
