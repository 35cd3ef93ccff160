package registry

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const folder = "/v2/team/app/manifests/"

func digestOf(body string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(body))) }

func put(target, body string) entry {
	return entry{Path: folder + target, Type: string(types.OCIManifestSchema1), Body: []byte(body)}
}

func index(target, child string) entry {
	body := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, types.OCIManifestSchema1, digestOf(child))
	return entry{Path: folder + target, Type: string(types.OCIImageIndex), Body: []byte(body)}
}

func remove(target string) entry { return entry{Path: folder + target} }

// answers are what a registry says to each path of the entries.
func answers(t *testing.T, entries []entry, accepted []entry) map[string]string {
	t.Helper()
	handler := registry.New()
	for i, e := range accepted {
		if err := e.replay(handler); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	got := map[string]string{}
	for _, e := range entries {
		for _, path := range []string{e.Path, e.digestPath()} {
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.URL = &url.URL{Path: path}
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, request)
			got[path] = fmt.Sprint(response.Code, " ", response.Header().Get("Content-Type"))
			if response.Code == http.StatusOK {
				got[path] += " " + response.Body.String()
			}
		}
	}
	return got
}

func TestACompactJournalLeadsToTheSame(t *testing.T) {
	cases := map[string]struct {
		entries []entry
		want    int // entries that are left
	}{
		"a tag that moved":                    {[]entry{put("1", "a"), put("1", "b")}, 2},
		"the same again":                      {[]entry{put("1", "a"), put("1", "a"), put("1", "a")}, 1},
		"two tags":                            {[]entry{put("1", "a"), put("2", "a"), put(digestOf("a"), "a")}, 2},
		"a tag that went":                     {[]entry{put("1", "a"), remove("1")}, 1},
		"a digest that went":                  {[]entry{put(digestOf("a"), "a"), remove(digestOf("a"))}, 0},
		"a digest that went, with its tag":    {[]entry{put("1", "a"), remove(digestOf("a"))}, 2},
		"a digest that came back":             {[]entry{put("1", "a"), remove(digestOf("a")), put("2", "a")}, 2},
		"a child pushed again after":          {[]entry{put(digestOf("a"), "a"), index("i", "a"), put(digestOf("a"), "a")}, 2},
		"a child whose tag moved and is back": {[]entry{put("1", "a"), index("i", "a"), put("1", "b"), put("1", "a")}, 3},
		"a child that went after":             {[]entry{put(digestOf("a"), "a"), index("i", "a"), remove(digestOf("a"))}, 3},
		"an index that went with its child": {[]entry{
			put(digestOf("a"), "a"), index("i", "a"), remove("i"), remove(index("i", "a").digestPath()[len(folder):]), remove(digestOf("a")),
		}, 0},
		"characters no name has": {[]entry{put("a b%?#", "a")}, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			compacted := compact(tc.entries)
			want := answers(t, tc.entries, tc.entries)
			if got := answers(t, tc.entries, compacted); !maps.Equal(got, want) {
				t.Errorf("after a restart it answers\n%v, want\n%v", got, want)
			}
			if got := answers(t, tc.entries, compact(compacted)); !maps.Equal(got, want) {
				t.Errorf("after the second restart it answers\n%v, want\n%v", got, want)
			}
			if len(compacted) != tc.want {
				t.Errorf("%d entries are left, want %d", len(compacted), tc.want)
			}
		})
	}
}

func TestManifestsThatAreNotWhatTheySay(t *testing.T) {
	dir := t.TempDir()
	server, err := Open(dir, OpenUsers(dir+"/users.json"))
	if err != nil {
		t.Fatal(err)
	}
	for what, e := range map[string]entry{
		"another digest":                put(digestOf("b"), "a"),
		"a digest of another algorithm": put("sha512:aa", "a"),
		"nothing":                       put("1", ""),
	} {
		request := httptest.NewRequest(http.MethodPut, e.Path, bytes.NewReader(e.Body))
		response := httptest.NewRecorder()
		server.change(response, request)
		if response.Code != http.StatusBadRequest {
			t.Errorf("%s: answer %d %s, want a refusal", what, response.Code, response.Body)
		}
	}
}
