package registry_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/test/cluster/registry"
)

// serve opens the registry in dir, as a start of the cluster does.
func serve(t *testing.T, dir string) (host string, stop func()) {
	t.Helper()
	server, err := registry.Open(dir, registry.OpenUsers(dir+"/users.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(server)
	return strings.TrimPrefix(s.URL, "http://"), s.Close
}

func login(t *testing.T, dir, user string, prefixes ...string) remote.Option {
	t.Helper()
	raw, err := registry.Login(dir, "host", user, prefixes)
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ Auths map[string]authn.AuthConfig }
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	return remote.WithAuth(authn.FromConfig(config.Auths["host"]))
}

func image(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(256, 2)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func tag(t *testing.T, s string) name.Tag {
	t.Helper()
	ref, err := name.NewTag(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestContentSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	admin := login(t, dir, "admin", "*")
	img := image(t)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	desc, err := partial.Descriptor(img)
	if err != nil {
		t.Fatal(err)
	}
	referrer := mutate.Subject(image(t), *desc).(v1.Image)
	host, stop := serve(t, dir)
	for ref, write := range map[string]func(name.Reference) error{
		"/app:1":      func(r name.Reference) error { return remote.Write(r, img, admin) },
		"/app:index":  func(r name.Reference) error { return remote.WriteIndex(r, index, admin) },
		"/app:signed": func(r name.Reference) error { return remote.Write(r, referrer, admin) },
	} {
		if err := write(tag(t, host+ref)); err != nil {
			t.Fatal(err)
		}
	}
	if err := remote.Write(tag(t, host+"/app:moved"), image(t), admin); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag(t, host+"/app:moved"), img, admin); err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(tag(t, host+"/app:signed"), admin); err != nil {
		t.Fatal(err)
	}
	stop()

	host, stop = serve(t, dir)
	defer stop()

	for _, ref := range []string{"/app:1", "/app:moved"} {
		got, err := remote.Image(tag(t, host+ref))
		if err != nil {
			t.Fatalf("%s after a restart: %v", ref, err)
		}
		want, _ := img.Digest()
		if d, _ := got.Digest(); d != want {
			t.Errorf("%s is %v after a restart, want %v", ref, d, want)
		}
		if layers, err := got.Layers(); err != nil || len(layers) != 2 {
			t.Errorf("%s has layers %v (%v)", ref, layers, err)
		}
	}
	if _, err := remote.Index(tag(t, host+"/app:index")); err != nil {
		t.Errorf("index after a restart: %v", err)
	}
	referrers, err := remote.Referrers(tag(t, host+"/app:1").Context().Digest(desc.Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := referrers.IndexManifest(); len(m.Manifests) != 1 {
		t.Errorf("%d referrers after a restart, want 1", len(m.Manifests))
	}
	if _, err := remote.Head(tag(t, host+"/app:signed")); err == nil {
		t.Error("a deleted tag came back")
	}
}

func TestWhoMayWrite(t *testing.T) {
	dir := t.TempDir()
	host, stop := serve(t, dir)
	defer stop()
	team := login(t, dir, "team", "team", "shared/tools")
	cases := map[string]struct {
		repo string
		opt  remote.Option
		want string
	}{
		"below the user's prefix":        {"team/app", team, ""},
		"the second prefix itself":       {"shared/tools", team, ""},
		"a name that only begins alike":  {"team-b/app", team, "team may not write to team-b/app"},
		"another's":                      {"released/app", team, "team may not write to released/app"},
		"without a login":                {"team/app", remote.WithAuth(authn.Anonymous), "a login is needed to write"},
		"with a wrong password":          {"team/app", remote.WithAuth(&authn.Basic{Username: "team", Password: "x"}), "401 Unauthorized"},
		"as somebody who does not exist": {"team/app", remote.WithAuth(&authn.Basic{Username: "x", Password: "x"}), "401 Unauthorized"},
	}
	for what, tc := range cases {
		t.Run(what, func(t *testing.T) {
			err := remote.Write(tag(t, host+"/"+tc.repo+":1"), image(t), tc.opt, remote.WithContext(context.Background()))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("push = %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := remote.Head(tag(t, host+"/team/app:1")); err != nil {
		t.Errorf("reading without a login: %v", err)
	}
}

func TestALoginStaysTheSame(t *testing.T) {
	dir := t.TempDir()
	first, err := registry.Login(dir, "host", "team", []string{"team"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := registry.Login(dir, "host", "team", []string{"team", "more"})
	if err != nil || string(first) != string(second) {
		t.Errorf("asking again gave another login (%v)", err)
	}
}
