package coverityavailabilitycheck_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace-ci/headrace/pkg/task/coverityavailabilitycheck"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

func TestAvailability(t *testing.T) {
	until := func(d time.Duration) string {
		return "<license><valid-until>" + time.Now().Add(d).UTC().Format("2006-Jan-02 15:04:05") + " UTC</valid-until></license>"
	}
	const login = `{"auths":{}}`
	cases := map[string]struct {
		license, auth string // "" for no file
		args          []string
		want          string
		status        string
		note          string
	}{
		"a licence and a login":            {license: until(time.Hour * 24 * 365), auth: login, want: testoutput.Success, status: "success"},
		"a licence that ends soon":         {license: until(time.Hour), auth: login, want: testoutput.Success, status: "success"},
		"a licence without an end":         {license: "<license/>", auth: login, want: testoutput.Success, status: "success"},
		"an end nobody understands":        {license: "<valid-until>soon</valid-until>", auth: login, want: testoutput.Success, status: "success"},
		"an expired licence":               {license: until(-time.Hour), auth: login, want: testoutput.Failure, status: "failed", note: "expired on"},
		"no licence":                       {auth: login, want: testoutput.Failure, status: "failed", note: "'cov-license'"},
		"no licence in a secret of a name": {auth: login, args: []string{"--cov-license=ours"}, want: testoutput.Failure, status: "failed", note: "'ours'"},
		"an empty licence":                 {license: " \n", auth: login, want: testoutput.Failure, status: "failed", note: "No license file"},
		"no login":                         {license: until(time.Hour), want: testoutput.Failure, status: "failed", note: "'auth-token-coverity-image'"},
		"a licence that cannot be read":    {args: []string{"--license-file=/proc/self/mem"}, want: testoutput.Error, status: "failed", note: "reading the licence"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range map[string]string{"license": tc.license, "auth": tc.auth} {
				if content == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			results := t.TempDir()
			cmd := coverityavailabilitycheck.Command()
			cmd.SetArgs(append([]string{
				"--results-dir=" + results, "--license-file=" + filepath.Join(dir, "license"), "--auth-file=" + filepath.Join(dir, "auth"),
			}, tc.args...))
			var stderr bytes.Buffer
			code := taskcli.Run(t.Context(), cmd, &stderr)

			raw, err := os.ReadFile(filepath.Join(results, testoutput.Name))
			if err != nil {
				t.Fatal(err)
			}
			verdict, err := testoutput.Parse(string(raw))
			if err != nil {
				t.Fatal(err)
			}
			status, err := os.ReadFile(filepath.Join(results, "STATUS"))
			if err != nil {
				t.Fatal(err)
			}
			if code != 0 || verdict.Result != tc.want || string(status) != tc.status || !strings.Contains(verdict.Note, tc.note) {
				t.Errorf("exit code = %d, verdict = %v, status = %s: %s", code, verdict, status, stderr.String())
			}
		})
	}
}
