package clamavscan_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"github.com/headrace-ci/headrace/pkg/clamd"
	"github.com/headrace-ci/headrace/pkg/run"
	"github.com/headrace-ci/headrace/pkg/task/clamavscan"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/test/fixture"
)

// eicar is the file that every scanner takes for malware, in two parts so that
// this one is not.
var eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

const suspicious = "looks-like-a-thing-that-is-bad"

// daemon starts ClamAV's daemon with a database of two signatures, and returns
// its address. It accepts files of up to a mebibyte.
func daemon(t *testing.T) string {
	t.Helper()
	program, ok, err := run.Find("clamd")
	if err != nil || !ok {
		t.Skipf("SKIPPED: there is no clamd on this machine (apt-get install clamav-daemon): %v", err)
	}
	dir, err := os.MkdirTemp("", "clamd") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"test.ndb": fmt.Sprintf("Eicar-Test-Signature:0:*:%x\nHeuristics.Looks.Bad:0:*:%x\n", eicar, suspicious),
		"clamd.conf": "LocalSocket " + dir + "/sock\nDatabaseDirectory " + dir + "\nForeground true\nStreamMaxLength 1M\n" +
			"User root\nLogFile " + dir + "/log\nTemporaryDirectory " + dir + "\nHeuristicAlerts no\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- run.Command{Name: program, Args: []string{"--config-file=" + dir + "/clamd.conf"}}.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	address := "unix://" + dir + "/sock"
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); ; {
		if conn, err := clamd.Dial(t.Context(), address); err == nil {
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			return address
		}
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- err
			t.Fatalf("clamd ended: %v", err)
		case <-end:
			t.Fatal("clamd did not start")
		}
	}
}

func scan(t *testing.T, args ...string) (code int, stderr string, verdict testoutput.Output, processed string) {
	t.Helper()
	dir := t.TempDir()
	cmd := clamavscan.Command()
	cmd.SetArgs(append([]string{"--results-dir=" + dir, "--clamd-wait=0s"}, args...))
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

func TestScanImage(t *testing.T) {
	address := daemon(t)
	noise := strings.Repeat("0123456789abcdef", 100_000) // more than clamd accepts
	cases := map[string]struct {
		layers []map[string]string
		want   testoutput.Output
		note   string
		log    string
	}{
		"a clean image": {
			layers: []map[string]string{{"bin/a": "a"}, {"bin/b": "b", "bin/empty": ""}},
			want:   testoutput.Output{Result: testoutput.Success, Successes: 1}, note: "No malware in 2 files", log: "Scanned files: 2\n",
		},
		"malware": {
			layers: []map[string]string{{"bin/a": "a"}, {"srv/x y": eicar}},
			want:   testoutput.Output{Result: testoutput.Failure, Failures: 1}, note: `"/srv/x y": Eicar-Test-Signature`, log: "/srv/x_y: Eicar-Test-Signature.UNOFFICIAL FOUND\n",
		},
		"malware that an upper layer removes is shipped": {
			layers: []map[string]string{{"a": eicar}, {".wh.a": ""}}, want: testoutput.Output{Result: testoutput.Failure, Failures: 1}, note: `"/a"`,
		},
		"malware across chunks": {
			layers: []map[string]string{{"a": strings.Repeat("x", 64<<10-20) + eicar}}, want: testoutput.Output{Result: testoutput.Failure, Failures: 1},
		},
		"what only looks like malware": {
			layers: []map[string]string{{"a": suspicious}}, want: testoutput.Output{Result: testoutput.Warning, Warnings: 1}, note: "look like malware",
			log: "/a: Heuristics.Looks.Bad",
		},
		"a file that is too large, and one after it": {
			layers: []map[string]string{{"a": noise, "b": "b"}}, want: testoutput.Output{Result: testoutput.Warning, Warnings: 1},
			note: `1 of 2 files are larger than clamd accepts`, log: "/a: size limit exceeded ERROR\n",
		},
		"malware after a file that is too large": {
			layers: []map[string]string{{"a": noise, "b": eicar}}, want: testoutput.Output{Result: testoutput.Failure, Failures: 1, Warnings: 1},
		},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			host := fixture.Registry(t)
			image := fixture.Push(t, host+"/app:1", fixture.Layered(t, tc.layers...))

			code, stderr, verdict, processed := scan(t, "--image-url="+host+"/app:1", "--image-digest="+image.DigestStr(), "--clamd-address="+address)

			got := testoutput.Output{Result: verdict.Result, Successes: verdict.Successes, Failures: verdict.Failures, Warnings: verdict.Warnings}
			if diff := cmp.Diff(tc.want, got); diff != "" || code != 0 || !strings.Contains(verdict.Note, tc.note) {
				t.Errorf("exit code = %d, verdict = %v (-want +got):\n%s%s", code, verdict, diff, stderr)
			}
			if want := testoutput.Processed(host+"/app:1", []string{image.DigestStr()}); processed != want {
				t.Errorf("IMAGES_PROCESSED = %s, want %s", processed, want)
			}
			logs := fixture.Attached(t, image)["application/vnd.clamav"]
			if len(logs) != 1 || !strings.Contains(string(logs[0]), tc.log) || !strings.Contains(string(logs[0]), "SCAN SUMMARY") || !strings.Contains(string(logs[0]), "ClamAV ") {
				t.Errorf("log = %s, want %q", logs, tc.log)
			}
		})
	}
}

func TestScanIndex(t *testing.T) {
	address := daemon(t)
	host := fixture.Registry(t)
	shared := map[string]string{"lib/shared": "x"}
	images := map[string]v1.Image{
		"amd64": fixture.Layered(t, shared, map[string]string{"a": "fine"}),
		"arm64": fixture.Layered(t, shared, map[string]string{"a": eicar}),
	}
	index := fixture.Push(t, host+"/app:1", fixture.Index(t, images))
	digests := map[string]string{"index": index.DigestStr()}
	for arch, image := range images {
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[arch] = digest.String()
	}
	cases := map[string]struct {
		arch      string
		want      string
		successes int
		scanned   []string
	}{
		"all":       {want: testoutput.Failure, successes: 1, scanned: []string{"amd64", "arm64", "index"}},
		"the clean": {arch: "linux/x86_64", want: testoutput.Success, successes: 1, scanned: []string{"amd64", "index"}},
		"the other": {arch: "linux/arm64", want: testoutput.Failure, scanned: []string{"arm64", "index"}},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			code, stderr, verdict, processed := scan(t, "--image-url="+host+"/app:1", "--image-digest="+index.DigestStr(),
				"--clamd-address="+address, "--image-arch="+tc.arch, "--skip-upload")
			if code != 0 || verdict.Result != tc.want || verdict.Successes != tc.successes {
				t.Errorf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
			}
			var want []string
			for _, name := range tc.scanned {
				want = append(want, digests[name])
			}
			if want := testoutput.Processed(host+"/app:1", want); processed != want {
				t.Errorf("IMAGES_PROCESSED = %s, want %s", processed, want)
			}
			if got := fixture.Attached(t, index); len(got) > 0 {
				t.Errorf("attached in spite of --skip-upload: %v", got)
			}
		})
	}
}

// TestScanArtifact scans what is no image as it is.
func TestScanArtifact(t *testing.T) {
	address := daemon(t)
	host := fixture.Registry(t)
	artifact, err := mutate.AppendLayers(mutate.ConfigMediaType(empty.Image, "application/vnd.example"), static.NewLayer([]byte(eicar), "text/plain"))
	if err != nil {
		t.Fatal(err)
	}
	ref := fixture.Push(t, host+"/app:1", artifact)
	code, stderr, verdict, _ := scan(t, "--image-url="+host+"/app:1", "--image-digest="+ref.DigestStr(), "--clamd-address="+address)
	if code != 0 || verdict.Result != testoutput.Failure {
		t.Errorf("exit code = %d, verdict = %v: %s", code, verdict, stderr)
	}
	referrers, err := remote.Referrers(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	attached, err := remote.Image(ref.Context().Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := attached.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatalf("layers = %v, %v", layers, err)
	}
	kind, err := layers[1].MediaType()
	if err != nil || kind != "application/vnd.konflux.test_output+json" {
		t.Errorf("the second layer is a %s, %v", kind, err)
	}
	content, err := layers[1].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testoutput.Parse(string(raw)); err != nil {
		t.Error(err)
	}
}

func TestThereIsAlwaysAVerdict(t *testing.T) {
	host := fixture.Registry(t)
	image := fixture.Push(t, host+"/app:1", fixture.Layered(t, map[string]string{"a": "x"}))
	cases := map[string]struct {
		args []string
		code int
		want string
		text string
	}{
		"the daemon is gone":    {want: testoutput.Error, text: "run ClamAV's daemon where the task can reach it"},
		"the image is gone":     {args: []string{"--image-digest=sha256:" + strings.Repeat("0", 64)}, want: testoutput.Error, text: "fetching"},
		"an attestation":        {args: []string{"--image-url=" + host + "/app:sha256-0.att"}, want: testoutput.Skipped},
		"no image":              {args: []string{"--image-url="}, code: 2, want: testoutput.Error, text: "--image-url"},
		"no threads":            {args: []string{"--clamd-max-threads=0"}, code: 2, want: testoutput.Error, text: "--clamd-max-threads"},
		"an address that is no": {args: []string{"--clamd-address=$(id)"}, code: 2, want: testoutput.Error, text: "--clamd-address"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			code, stderr, verdict, processed := scan(t, append([]string{
				"--image-url=" + host + "/app:1", "--image-digest=" + image.DigestStr(), "--clamd-address=127.0.0.1:1",
			}, tc.args...)...)
			if code != tc.code || verdict.Result != tc.want || !strings.Contains(verdict.Note, tc.text) {
				t.Errorf("exit code = %d, verdict = %v, want %d and a note with %q: %s", code, verdict, tc.code, tc.text, stderr)
			}
			if !strings.Contains(processed, `"digests":[]`) {
				t.Errorf("IMAGES_PROCESSED = %s, want none", processed)
			}
		})
	}
}
