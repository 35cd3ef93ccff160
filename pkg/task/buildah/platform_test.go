package buildah_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestPlatform(t *testing.T) {
	here := map[string]string{"amd64": "x86_64"}[runtime.GOARCH]
	if here == "" {
		here = runtime.GOARCH
	}
	other := "s390x"
	if runtime.GOARCH == other {
		other = "arm64"
	}
	const image = "registry.example.com/team/app:1"
	cases := map[string]struct{ platform, tail, problem string }{
		"none":                      {"", "", ""},
		"this machine's":            {"linux/" + here, "-linux-" + here, ""},
		"as Go calls it":            {"linux/" + runtime.GOARCH, "-linux-" + runtime.GOARCH, ""},
		"with a size":               {"linux-m2xlarge/" + here, "-linux-m2xlarge-" + here, ""},
		"local":                     {"local", "-local", ""},
		"another architecture":      {"linux/" + other, "", "remote hosts are not supported yet"},
		"another system":            {"windows/amd64", "", "is not known"},
		"an unknown architecture":   {"linux/pdp11", "", "is not known"},
		"a command":                 {"$(reboot)/amd64", "", "is not known"},
		"something without a slash": {"amd64", "", "is not known"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, appended := range []string{"true", "false"} {
				dir := source(t, map[string]string{"source/Dockerfile": "FROM scratch"})
				plan, stderr, code := build(t, dir, "--platform="+tc.platform, "--image-append-platform="+appended)
				if tc.problem != "" || tc.platform == "" && appended == "true" {
					if code != 2 || !strings.Contains(stderr, "--platform: ") || !strings.Contains(stderr, tc.problem) {
						t.Errorf("exit code %d, want %q:\n%s", code, tc.problem, stderr)
					}
					continue
				}
				want := image
				if appended == "true" {
					want += strings.ReplaceAll(tc.tail, "_", "-")
				}
				url, err := os.ReadFile(filepath.Join(dir, "IMAGE_URL"))
				if code != 0 || plan.Image != want || string(url) != want {
					t.Errorf("exit code %d, builds %q, IMAGE_URL %q (%v), want %q:\n%s", code, plan.Image, url, err, want, stderr)
				}
			}
		})
	}
}
