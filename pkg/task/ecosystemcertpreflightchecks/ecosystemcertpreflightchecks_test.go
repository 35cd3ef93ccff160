package ecosystemcertpreflightchecks_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/task/ecosystemcertpreflightchecks"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

func check(t *testing.T, args ...string) (code int, stderr string, verdict testoutput.Output, results map[string]string) {
	t.Helper()
	dir := t.TempDir()
	cmd := ecosystemcertpreflightchecks.Command()
	cmd.SetArgs(append([]string{"--results-dir=" + dir}, args...))
	var out bytes.Buffer
	code = taskcli.Run(t.Context(), cmd, &out)
	results = map[string]string{}
	for _, name := range []string{"ARTIFACT_TYPE", "ARTIFACT_TYPE_SET_BY", testoutput.ProcessedName, testoutput.Name} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		results[name] = string(raw)
	}
	verdict, err := testoutput.Parse(results[testoutput.Name])
	if err != nil {
		t.Fatal(err)
	}
	return code, out.String(), verdict, results
}

var labels = map[string]string{
	"name": "a", "vendor": "b", "version": "1", "release": "1", "summary": "c", "description": "d", "maintainer": "e",
}

// image is one with labels and a user.
func image(t *testing.T, labels map[string]string, user string, layers ...map[string]string) v1.Image {
	t.Helper()
	img, err := mutate.Config(fixture.Layered(t, layers...), v1.Config{Labels: labels, User: user})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// database is one of RPM packages that may be handed on.
func database(t *testing.T) string {
	t.Helper()
	dir, err := run.Output(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/knqyf263/go-rpmdb")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg", "testdata", "centos7-httpd24", "Packages"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestApplication(t *testing.T) {
	licensed := map[string]string{"licenses/MIT": "text"}
	many := make([]map[string]string, 41)
	for i := range many {
		many[i] = map[string]string{"licenses/MIT": string(rune('a' + i))}
	}
	cases := map[string]struct {
		image    v1.Image
		tag      string
		failures int
		note     string
	}{
		"all that can be told":           {image: image(t, labels, "1001:0", licensed), note: "not made here: BasedOnUbi"},
		"no labels":                      {image: image(t, nil, "1001", licensed), failures: 1, note: "HasRequiredLabel: labels name, vendor"},
		"no user":                        {image: image(t, labels, "", licensed), failures: 1, note: "RunAsNonRoot"},
		"root with a group":              {image: image(t, labels, "0:1001", licensed), failures: 1, note: "RunAsNonRoot"},
		"no licence":                     {image: image(t, labels, "1001", map[string]string{"LICENSE": "x"}), failures: 1, note: "HasLicense"},
		"an empty licence":               {image: image(t, labels, "1001", map[string]string{"licenses/MIT": ""}), failures: 1, note: "HasLicense"},
		"a licence that is removed":      {image: image(t, labels, "1001", licensed, map[string]string{"licenses/.wh.MIT": ""}), failures: 1, note: "HasLicense"},
		"a folder that is removed":       {image: image(t, labels, "1001", licensed, map[string]string{".wh.licenses": ""}), failures: 1, note: "HasLicense"},
		"a folder that is made anew":     {image: image(t, labels, "1001", licensed, map[string]string{"licenses/.wh..wh..opq": ""}), failures: 1, note: "HasLicense"},
		"removed below, and there again": {image: image(t, labels, "1001", licensed, map[string]string{".wh.licenses": ""}, licensed)},
		"too many layers":                {image: image(t, labels, "1001", many...), failures: 1, note: "41 layers"},
		"only latest":                    {image: image(t, labels, "1001", licensed), tag: "latest", failures: 1, note: "HasUniqueTag"},
		"everything that can be wrong":   {image: image(t, nil, ""), tag: "latest", failures: 4, note: "4 checks failed"},
		"packages that may be handed on": {image: image(t, labels, "1001", licensed, map[string]string{"var/lib/rpm/Packages": database(t)})},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			url := fixture.Registry(t) + "/app:" + max(tc.tag, "1")
			digest := fixture.Push(t, url, tc.image)

			code, stderr, verdict, results := check(t, "--image-url="+url)

			want := testoutput.Warning
			if tc.failures > 0 {
				want = testoutput.Failure
			}
			if code != 0 || verdict.Result != want || verdict.Failures != tc.failures || verdict.Successes != 6-tc.failures || !strings.Contains(verdict.Note, tc.note) {
				t.Errorf("exit code = %d, verdict = %v, want %s, %d failures and %q: %s", code, verdict, want, tc.failures, tc.note, stderr)
			}
			if results["ARTIFACT_TYPE"] != "application" || results["ARTIFACT_TYPE_SET_BY"] != "introspection" {
				t.Errorf("results = %v", results)
			}
			if want := testoutput.Processed(url, []string{digest.DigestStr()}); results[testoutput.ProcessedName] != want {
				t.Errorf("IMAGES_PROCESSED = %s, want %s", results[testoutput.ProcessedName], want)
			}
		})
	}
}

func TestArtifactType(t *testing.T) {
	const begin = "operators.operatorframework.io.bundle."
	bundle := map[string]string{begin + "package.v1": "a", begin + "channels.v1": "b", begin + "manifests.v1": "c"}
	few := map[string]string{begin + "package.v1": "a"}
	cases := map[string]struct {
		labels      map[string]string
		param       string
		kind, setBy string
		want        string
	}{
		"a bundle":                     {labels: bundle, param: "introspect", kind: "operatorbundle", setBy: "introspection", want: testoutput.Success},
		"something else":               {labels: few, param: "introspect", kind: "application", setBy: "introspection", want: testoutput.Failure},
		"a bundle, says the user":      {param: "operatorbundle", kind: "operatorbundle", setBy: "parameter", want: testoutput.Success},
		"none, says the user":          {labels: bundle, param: "application", kind: "application", setBy: "parameter", want: testoutput.Failure},
		"the user says what is not":    {labels: bundle, param: "$(id)", kind: "operatorbundle", setBy: "introspection", want: testoutput.Success},
		"the user does not say at all": {labels: bundle, kind: "operatorbundle", setBy: "introspection", want: testoutput.Success},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			url := fixture.Registry(t) + "/app:1"
			fixture.Push(t, url, image(t, tc.labels, ""))
			code, stderr, verdict, results := check(t, "--image-url="+url, "--artifact-type="+tc.param)
			if code != 0 || verdict.Result != tc.want || results["ARTIFACT_TYPE"] != tc.kind || results["ARTIFACT_TYPE_SET_BY"] != tc.setBy {
				t.Errorf("exit code = %d, verdict = %v, results = %v: %s", code, verdict, results, stderr)
			}
		})
	}
}

func TestIndex(t *testing.T) {
	host := fixture.Registry(t)
	licensed := map[string]string{"licenses/MIT": "text"}
	index := fixture.Push(t, host+"/app:1", fixture.Index(t, map[string]v1.Image{
		"amd64": image(t, labels, "1001", licensed), "arm64": image(t, labels, "0", licensed),
	}))
	for platform, failures := range map[string]int{"": 1, "linux/amd64": 0, "linux/arm64": 1} {
		code, stderr, verdict, results := check(t, "--image-url="+host+"/app:1", "--platform="+platform)
		if code != 0 || verdict.Failures != failures || !strings.Contains(results[testoutput.ProcessedName], index.DigestStr()) {
			t.Errorf("platform %q: exit code = %d, verdict = %v: %s", platform, code, verdict, stderr)
		}
	}
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	host := fixture.Registry(t)
	fixture.Push(t, host+"/app:1", fixture.Index(t, map[string]v1.Image{"amd64": fixture.Layered(t)}))
	cases := map[string]struct {
		args []string
		code int
		text string
	}{
		"the image is gone":    {args: []string{"--image-url=" + host + "/app:2"}, text: "resolving"},
		"the registry is gone": {args: []string{"--image-url=127.0.0.1:1/app:2"}, text: "127.0.0.1:1"},
		"another platform":     {args: []string{"--image-url=" + host + "/app:1", "--platform=linux/s390x"}, text: "only for amd64"},
		"no image":             {code: 2, text: "--image-url"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			code, stderr, verdict, results := check(t, tc.args...)
			if code != tc.code || verdict.Result != testoutput.Error || !strings.Contains(verdict.Note, tc.text) || !strings.Contains(results[testoutput.ProcessedName], `"digests":[]`) {
				t.Errorf("exit code = %d, verdict = %v, results = %v: %s", code, verdict, results, stderr)
			}
		})
	}
}
