package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	task "github.com/headrace-ci/headrace/pkg/task/buildah"
)

func TestBases(t *testing.T) {
	cases := map[string]struct {
		file string
		plan task.Plan
		want []task.Base
	}{
		"one stage": {
			file: "FROM r.test/a:1\n",
			want: []task.Base{{Name: "r.test/a:1", Final: true}},
		},
		"nothing to start from": {file: "FROM scratch\nCOPY x /\n"},
		"arguments, given and by default": {
			file: "ARG TAG=1\nARG NAME=a\nFROM r.test/${NAME}:${TAG}\n",
			plan: task.Plan{Args: map[string]string{"NAME": "b"}},
			want: []task.Base{{Name: "r.test/b:1", Final: true}},
		},
		"a builder": {
			file: "FROM r.test/go:1 AS build\nRUN x\nFROM r.test/a:1\nCOPY --from=build /x /\nCOPY --from=0 /y /\n",
			want: []task.Base{{Name: "r.test/go:1"}, {Name: "r.test/a:1", Stage: 1, Final: true}},
		},
		"a stage on a stage has its base": {
			file: "FROM r.test/a:1 AS one\nRUN x\nFROM one AS two\nRUN y\nFROM two\nRUN z\n",
			want: []task.Base{{Name: "r.test/a:1", Final: true}},
		},
		"images that are copied from and mounted": {
			file: "FROM r.test/a:1\nCOPY --from=r.test/b:1 /x /\nRUN --mount=type=bind,from=r.test/c:1,target=/c x\n",
			want: []task.Base{
				{Name: "r.test/a:1", Final: true}, {Name: "r.test/b:1", Copied: true}, {Name: "r.test/c:1", Copied: true},
			},
		},
		"an image that is both": {
			file: "FROM r.test/b:1 AS b\nCOPY --from=r.test/a:1 /x /\nFROM r.test/a:1\n",
			want: []task.Base{{Name: "r.test/b:1"}, {Name: "r.test/a:1", Final: true}},
		},
		"up to a target": {
			file: "FROM r.test/a:1 AS one\nFROM r.test/b:1 AS two\n",
			plan: task.Plan{Target: "one"},
			want: []task.Base{{Name: "r.test/a:1", Final: true}},
		},
		"more than the file says": {
			file: "FROM r.test/a:1\n",
			plan: task.Plan{ExtraBases: []string{"r.test/x:1"}},
			want: []task.Base{{Name: "r.test/a:1", Final: true}, {Name: "r.test/x:1", Copied: true}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.plan.Containerfile = filepath.Join(t.TempDir(), "Containerfile")
			if err := os.WriteFile(tc.plan.Containerfile, []byte(tc.file), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := bases(tc.plan)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("bases (-want +got):\n%s", diff)
			}
		})
	}
}
