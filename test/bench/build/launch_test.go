//go:build linux

package build

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// probeName is this program's name when it is the step of a test.
const probeName = "/probe/step"

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case launcherName:
		launcher()
	case probeName:
		probe()
	default:
		os.Exit(m.Run())
	}
}

// probed is what a step sees of itself.
type probed struct {
	Args, Env      []string
	Dir, File      string
	UID            int
	Bounding, NNP  string
	SeesTheMachine bool // a folder of the machine, the first argument
}

func probe() {
	p := probed{Args: os.Args[1:], Env: os.Environ(), UID: os.Getuid()}
	p.Dir, _ = os.Getwd() // an empty one is what the test would show
	content, _ := os.ReadFile("/data/file")
	p.File = string(content)
	_, err := os.Stat(p.Args[0])
	p.SeesTheMachine = err == nil
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t"); name {
		case "CapBnd":
			p.Bounding = value
		case "NoNewPrivs":
			p.NNP = value
		}
	}
	if p.Env[0] == "FAIL=1" {
		fmt.Println("I failed")
		os.Exit(3)
	}
	if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
		os.Exit(1)
	}
}

// newLaunch is this test's program in a root of its own.
func newLaunch(t *testing.T) launch {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts and users need root")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	root, data, program := filepath.Join(t.TempDir(), "root"), t.TempDir(), t.TempDir()
	for file, content := range map[string][]byte{filepath.Join(program, "step"): self, filepath.Join(data, "file"): []byte("hello")} {
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l := launch{
		Root: root, Binds: []bind{{data, "/data"}, {program, "/probe"}}, Argv: []string{probeName, root, "--flag=$(x)", ""},
		Env: []string{"A=b"}, Dir: "/data", UID: 65532, Locked: true,
	}
	// What a test that links to C libraries is loaded with.
	for _, libraries := range []string{"/lib", "/lib64", "/usr"} {
		if _, err := os.Stat(libraries); err == nil {
			l.Binds = append(l.Binds, bind{libraries, libraries})
		}
	}
	for _, target := range append([]bind{{To: "/proc"}, {To: "/sys"}, {To: "/dev"}}, l.Binds...) {
		if err := os.MkdirAll(filepath.Join(root, target.To), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestLaunch(t *testing.T) {
	cases := map[string]struct {
		edit     func(*launch)
		uid      int
		bounding string
		nnp      string
	}{
		"a user without capabilities": {edit: func(*launch) {}, uid: 65532, bounding: "0000000000000000", nnp: "1"},
		"root with three": {
			edit: func(l *launch) { l.UID, l.Keep, l.Locked = 0, []string{"SETFCAP", "SETGID", "SETUID"}, false },
			// Bits 6, 7 and 31.
			bounding: "00000000800000c0", nnp: "0",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLaunch(t)
			tc.edit(&l)
			var log bytes.Buffer
			took, err := l.run(t.Context(), &log)
			if err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			if took <= 0 {
				t.Errorf("it took %v", took)
			}
			var got probed
			if err := json.Unmarshal(log.Bytes(), &got); err != nil {
				t.Fatalf("%v in %q", err, &log)
			}
			want := probed{
				Args: []string{l.Root, "--flag=$(x)", ""}, Env: []string{"A=b"}, Dir: "/data", File: "hello",
				UID: tc.uid, Bounding: tc.bounding, NNP: tc.nnp,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what the step saw (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLaunchSaysWhatWentWrong(t *testing.T) {
	cases := map[string]struct {
		edit func(*launch)
		want string // a part of the error
	}{
		"a program that is not there": {func(l *launch) { l.Argv = []string{"/ko-app/x"} }, "starting /ko-app/x bare: exec /ko-app/x: no such file"},
		"a folder that is not there":  {func(l *launch) { l.Binds = append(l.Binds, bind{"/nowhere", "/data"}) }, "mounting /nowhere at /data"},
		"an unknown capability":       {func(l *launch) { l.Keep = []string{"SYS_ADMIN"} }, `capability "SYS_ADMIN"`},
		"a step that fails":           {func(l *launch) { l.Env = []string{"FAIL=1"} }, "exit status 3"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLaunch(t)
			tc.edit(&l)
			_, err := l.run(t.Context(), &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestUntarStaysInside(t *testing.T) {
	cases := map[string]struct {
		entries []tar.Header
		ok      bool
	}{
		"files and links":             {[]tar.Header{{Name: "a/b", Typeflag: tar.TypeReg}, {Name: "/c", Typeflag: tar.TypeSymlink, Linkname: "a/b"}}, true},
		"a name that leads out":       {[]tar.Header{{Name: "../x", Typeflag: tar.TypeReg}}, false},
		"through a link to elsewhere": {[]tar.Header{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l/x", Typeflag: tar.TypeReg}}, false},
		"a device":                    {[]tar.Header{{Name: "d", Typeflag: tar.TypeChar}}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			for _, header := range tc.entries {
				header.Mode = 0o644
				if err := w.WriteHeader(&header); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			outer := t.TempDir()
			inner := filepath.Join(outer, "root")
			if err := os.Mkdir(inner, 0o755); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(inner)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			if err := untar(root, &archive); (err == nil) != tc.ok {
				t.Errorf("error = %v, want none: %v", err, tc.ok)
			}
			if _, err := os.Stat(filepath.Join(outer, "x")); err == nil {
				t.Error("a file was made outside")
			}
		})
	}
}
