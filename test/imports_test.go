package test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/headrace-ci/headrace/pkg/run"
)

const module = "github.com/headrace-ci/headrace/"

// arrow is a direction that imports may not take.
type arrow struct {
	from, to string // import path prefixes below the module; to may be any path
	except   []string
	why      string
	direct   bool // only what a package imports itself
}

var forbidden = []arrow{
	{from: "pkg/task/", to: module + "pkg/task/", why: "a task stands alone"},
	{from: "pkg/task/", to: module + "pkg/controllers/", why: "a task knows no controller"},
	{from: "pkg/", to: module + "cmd/", why: "cmd is for programs"},
	{from: "pkg/", to: module + "test/", why: "what ships does not need its tests"},
	{from: "pkg/", to: "os/exec", except: []string{"pkg/run"}, direct: true, why: "only pkg/run starts programs"},
	{from: "cmd/", to: "os/exec", direct: true, why: "only pkg/run starts programs"},
	{from: "pkg/task/", to: "k8s.io/client-go/", except: clusterTasks, why: "a task's program has no Kubernetes client unless it needs one"},
	{from: "pkg/component", to: "github.com/spf13/cobra", why: "the domain has no command line"},
	{from: "pkg/snapshot", to: "github.com/spf13/cobra", except: programs, why: "the domain has no command line"},
	{from: "pkg/release", to: "github.com/spf13/cobra", why: "the domain has no command line"},
	{from: "pkg/report", to: "github.com/spf13/cobra", why: "the domain has no command line"},
	{from: "pkg/report", to: "sigs.k8s.io/controller-runtime", direct: true, why: "the domain has no client"},
	{from: "pkg/controllers/", to: module + "pkg/scm", why: "what talks to a git host is a task"},
	{from: "pkg/component", to: "sigs.k8s.io/controller-runtime", direct: true, why: "the domain has no client"},
	{from: "pkg/snapshot", to: "sigs.k8s.io/controller-runtime", except: programs, direct: true, why: "the domain has no client"},
}

// programs have the domain's name, and are none of it.
var programs = []string{"pkg/snapshotgc"}

// clusterTasks read or write the API server.
var clusterTasks = []string{"pkg/task/collectdata", "pkg/task/reportstatus", "pkg/task/updatecrstatus", "pkg/task/verifyconforma"}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// TestImportDirection fails on an import that points the wrong way.
func TestImportDirection(t *testing.T) {
	out, err := run.Output(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", module+"...")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		check(t, p)
	}
	if seen < 10 {
		t.Fatalf("go list found %d packages", seen)
	}
}

func check(t *testing.T, p listed) {
	t.Helper()
	name := strings.TrimPrefix(p.ImportPath, module)
	for _, a := range forbidden {
		if !strings.HasPrefix(name, a.from) || slices.Contains(a.except, name) {
			continue
		}
		imports := p.Deps
		if a.direct {
			imports = p.Imports
		}
		for _, dep := range imports {
			if strings.HasPrefix(dep, a.to) && dep != p.ImportPath {
				t.Errorf("%s imports %s: %s", name, dep, a.why)
			}
		}
	}
}
