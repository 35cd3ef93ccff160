package buildah_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A param that asks for what is not done stops the build; its default, and
// what comes to the same, does not.
func TestParamsThatAskForWhatIsNotDone(t *testing.T) {
	refused := []string{
		"--activation-key=mine", "--entitlement-secret=mine", "--rhsm-mount-ca-certs=always", "--contextualize-sbom=maybe",
		"--proxy-ca-trust-config-map-key=ca.crt", "--proxy-ca-trust-config-map-name=mine", "--sbom-skip-validation=false",
		"--sbom-syft-select-catalogers=+x", "--workingdir-mount=/src", "--yum-repos-d-fetched=other", "--tlsverify=false",
		"--yum-repos-d-target=etc", "--yum-repos-d-target=/etc:rw", "--yum-repos-d-src=../x",
	}
	accepted := []string{
		"--activation-key=activation-key", "--rhsm-mount-ca-certs=never", "--contextualize-sbom=false", "--skip-injections=true",
		"--icm-keep-compat-location=false", "--sbom-source-scan-enabled=false", "--yum-repos-d-src=", "--tlsverify=true",
	}
	for _, arg := range slices.Concat(refused, accepted) {
		t.Run(arg, func(t *testing.T) {
			dir := source(t, map[string]string{"source/Dockerfile": "FROM scratch", "x/y": ""})
			_, stderr, code := build(t, dir, arg)
			flag, _, _ := strings.Cut(arg, "=")
			switch {
			case slices.Contains(accepted, arg) && code != 0:
				t.Errorf("exit %d: %s", code, stderr)
			case slices.Contains(refused, arg) && (code != 2 || !strings.Contains(stderr, flag+": ")):
				t.Errorf("exit %d and %q, want 2 and the flag's name", code, stderr)
			}
		})
	}
}

func TestRepositoryFilesOfPrefetchedRPMsAreMounted(t *testing.T) {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	repos := "cachi2/output/deps/rpm/" + arch + "/repos.d"
	dir := source(t, map[string]string{
		"source/Dockerfile": "FROM scratch", "source/repos.d/x.repo": "", "cachi2/prefetch-env.json": "[]", repos + "/hermeto.repo": "",
	})
	plan, stderr, code := build(t, dir)
	want := []string{filepath.Join(dir, repos) + ":/etc/yum.repos.d:ro", dir + "/cachi2:/cachi2:ro"}
	if code != 0 || !slices.Equal(plan.Volumes, want) {
		t.Errorf("volumes are %q, want %q; %s", plan.Volumes, want, stderr)
	}
}

func TestRepositoryFilesAreMounted(t *testing.T) {
	dir := source(t, map[string]string{"source/Dockerfile": "FROM scratch", "source/repos.d/x.repo": ""})
	plan, stderr, code := build(t, dir)
	if want := dir + "/source/repos.d:/etc/yum.repos.d:ro"; code != 0 || !slices.Equal(plan.Volumes, []string{want}) {
		t.Errorf("volumes are %q, want %q; %s", plan.Volumes, want, stderr)
	}
	if err := os.RemoveAll(filepath.Join(dir, "source", "repos.d")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "source", "repos.d")); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := build(t, dir); code != 2 || !strings.Contains(stderr, "leads out of the source") {
		t.Errorf("exit %d and %q, want a link out of the source refused", code, stderr)
	}
}
