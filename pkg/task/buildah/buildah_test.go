package buildah_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/task/buildah"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// engine remembers the plan it was given.
type engine struct{ plan buildah.Plan }

func (e *engine) Build(_ context.Context, plan buildah.Plan) (buildah.Built, error) {
	e.plan = plan
	return buildah.Built{Digest: digest, Bases: []buildah.Base{{Name: "registry.example.com/base:1", Digest: digest, Final: true}}}, nil
}

// source makes a folder with files, and says where it really is.
func source(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func build(t *testing.T, dir string, args ...string) (buildah.Plan, string, int) {
	t.Helper()
	var e engine
	cmd := buildah.Command(&e)
	cmd.SetArgs(append([]string{
		"--image=registry.example.com/team/app:1", "--source-dir=" + filepath.Join(dir, "source"), "--prefetch-dir=" + filepath.Join(dir, "cachi2"),
		"--build-record=" + filepath.Join(dir, "build.json"), "--results-dir=" + dir, "--additional-secret-dir=" + filepath.Join(dir, "secret"),
	}, args...))
	var stderr strings.Builder
	code := taskcli.Run(t.Context(), cmd, io.Writer(&stderr))
	return e.plan, stderr.String(), code
}

func TestPlan(t *testing.T) {
	dir := source(t, map[string]string{
		"source/Dockerfile": "FROM scratch", "source/app/Containerfile": "FROM scratch", "source/args": "# of the build\nA=file\nB=file\n",
		"cachi2/prefetch-env.json": `[{"name":"GOPROXY","value":"file:///cachi2/x"},{"name":"A","value":"b=c"}]`,
		"secret/token":             "hush",
	})
	plan, stderr, code := build(t, dir, "--context=app", "--dockerfile=Containerfile", "--build-args-file=args", "--hermetic=true",
		"--commit-sha=abc", "--source-url=https://git.example.com/app", "--image-expires-after=5d", "--source-date-epoch=0", "--additional-secret=s",
		"--", "additional-base-images", "build-args", "A=param=1", "labels", "x=y", "annotations")
	if code != 0 {
		t.Fatal(stderr)
	}
	origin := []string{
		"org.opencontainers.image.created=1970-01-01T00:00:00Z", "org.opencontainers.image.source=https://git.example.com/app",
		"org.opencontainers.image.revision=abc",
	}
	want := buildah.Plan{
		Image: "registry.example.com/team/app:1", Containerfile: dir + "/source/app/Containerfile", Context: dir + "/source/app",
		Format: "oci", Driver: "overlay", Hermetic: true, SkipUnusedStages: true, InheritLabels: true, Epoch: new(int64),
		Args:        map[string]string{"A": "param=1", "B": "file"},
		Annotations: origin,
		Labels: append(append([]string{}, origin...), "build-date=1970-01-01T00:00:00Z", "architecture=x86_64",
			"vcs-url=https://git.example.com/app", "vcs-ref=abc", "vcs-type=git", "quay.expires-after=5d", "x=y"),
		RunEnv:  []string{"A=b=c", "GOPROXY=file:///cachi2/x"},
		Volumes: []string{dir + "/cachi2:/cachi2:ro"},
		Secrets: map[string]string{"s/token": dir + "/secret/token"},
	}
	plan.Capabilities = nil // empty and absent are one
	for i, label := range plan.Labels {
		if strings.HasPrefix(label, "architecture=") {
			plan.Labels[i] = "architecture=x86_64"
		}
	}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestResultsAndRecord(t *testing.T) {
	dir := source(t, map[string]string{"source/Dockerfile": "FROM scratch"})
	if _, stderr, code := build(t, dir); code != 0 {
		t.Fatal(stderr)
	}
	ref := "registry.example.com/team/app:1@" + digest
	for name, want := range map[string]string{"IMAGE_URL": "registry.example.com/team/app:1", "IMAGE_DIGEST": digest, "IMAGE_REF": ref} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "build.json"))
	if err != nil {
		t.Fatal(err)
	}
	var record buildah.Record
	if err := json.Unmarshal(raw, &record); err != nil {
		t.Fatal(err)
	}
	if record.Image != ref || len(record.Bases) != 1 || !record.Bases[0].Final {
		t.Errorf("record is %s", raw)
	}
}

func TestRefusals(t *testing.T) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"no tag":                           {[]string{"--image=registry.example.com/app"}, "--image: "},
		"no Containerfile":                 {[]string{"--dockerfile=nope"}, `"nope" is neither in folder "." of the source nor in its root`},
		"a Containerfile out of the tree":  {[]string{"--dockerfile=../outside"}, "leads out of the source"},
		"a link out of the tree":           {[]string{"--dockerfile=link"}, "leads out of the source"},
		"a context out of the tree":        {[]string{"--context=.."}, "leads out of the source"},
		"a context that is not there":      {[]string{"--context=x"}, `--context: "x": file does not exist`},
		"an unknown format":                {[]string{"--buildah-format=zip"}, "neither oci nor docker"},
		"privileges":                       {[]string{"--privileged-nested=true"}, "not supported"},
		"a build argument without value":   {[]string{"--", "build-args", "A"}, `"A" is not of the form name=value`},
		"a value before any list":          {[]string{"--", "A=b"}, "before the name of a list"},
		"a base image without tag":         {[]string{"--", "additional-base-images", "x"}, "neither tag nor digest"},
		"a time that is none":              {[]string{"--source-date-epoch=today"}, "seconds since 1970"},
		"a line that is no build argument": {[]string{"--build-args-file=Dockerfile"}, "Dockerfile, line 1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := source(t, map[string]string{"source/Dockerfile": "FROM scratch", "outside": "x"})
			if err := os.Symlink("../outside", filepath.Join(dir, "source", "link")); err != nil {
				t.Fatal(err)
			}
			if _, stderr, code := build(t, dir, tc.args...); code == 0 || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit %d and %q, want %q", code, stderr, tc.want)
			}
		})
	}
}
