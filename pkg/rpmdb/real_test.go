package rpmdb_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/rpmdb"
	"github.com/headrace-ci/headrace/pkg/run"
)

// TestRead reads databases of distributions, which the module that reads the
// two older formats brings with it.
func TestRead(t *testing.T) {
	dir, err := run.Output(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/knqyf263/go-rpmdb")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		file string
		want map[string]int
	}{
		"SQLite": {
			file: "fedora35/rpmdb.sqlite", want: map[string]int{"db4639719867c58f": 137},
		},
		"SQLite, with two keys": {
			file: "fedora35-plus-mongo/rpmdb.sqlite", want: map[string]int{"b00a0bd1e2c63c11": 2, "db4639719867c58f": 139},
		},
		"NDB": {
			file: "sle15-bci/Packages.db", want: map[string]int{"70af9e8139db7c82": 35},
		},
		"Berkeley DB": {
			file: "centos8-modularitylabel/Packages", want: map[string]int{"05b555b38483c65d": 517},
		},
		"Berkeley DB, with signatures of version 3": {
			file: "centos5-plain/Packages", want: map[string]int{"a8a447dce8562897": 110},
		},
		"Berkeley DB, in the other order of bytes": {
			file: "ubi8-s390x/Packages", want: map[string]int{"199e2f91fd431d51": 181},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			packages, err := rpmdb.Read(filepath.Join(strings.TrimSpace(string(dir)), "pkg", "testdata", tc.file))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for _, pkg := range packages {
				got[pkg.Key]++
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("packages by key (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadVersions looks at one package of a database in every format.
func TestReadVersions(t *testing.T) {
	dir, err := run.Output(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/knqyf263/go-rpmdb")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]rpmdb.Package{
		"fedora35/rpmdb.sqlite":            {Name: "bash", Version: "5.1.8", Release: "2.fc35", Arch: "x86_64", Key: "db4639719867c58f"},
		"centos8-modularitylabel/Packages": {Name: "cups-libs", Version: "2.2.6", Release: "33.el8", Epoch: 1, Arch: "x86_64", Key: "05b555b38483c65d"},
	}
	for file, want := range cases {
		t.Run(file, func(t *testing.T) {
			packages, err := rpmdb.Read(filepath.Join(strings.TrimSpace(string(dir)), "pkg", "testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range packages {
				if got.Name == want.Name {
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("package (-want +got):\n%s", diff)
					}
					return
				}
			}
			t.Errorf("there is no package %s", want.Name)
		})
	}
}
