package explain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/release"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// cluster holds a component that was built, tested and released, and another
// that never was.
func cluster(t *testing.T, funcs interceptor.Funcs) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{tektonv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	f := passed()
	build, older, test, managed := buildRun(corev1.ConditionTrue, nil), buildRun(corev1.ConditionFalse, nil), &tektonv1.PipelineRun{}, &tektonv1.PipelineRun{}
	start := metav1.Unix(1741064767, 0)
	build.Status.StartTime = &start
	f.Snapshot.Annotations[snapshot.StartTimeKey] = "1741064767000"
	older.Name, older.CreationTimestamp = "web-older", metav1.Unix(1741064000, 0)
	test.ObjectMeta, managed.ObjectMeta = object("smoke-1"), metav1.ObjectMeta{Namespace: "releases", Name: "managed-1"}
	test.Labels[snapshot.RunTypeLabel], test.Labels[snapshot.SnapshotKey] = snapshot.TestRun, "shop-1"
	managed.Labels = map[string]string{release.NameLabel: "rel-1", release.NamespaceLabel: "team"}
	other := f.Releases[0].DeepCopy()
	other.Name, other.Spec.Snapshot = "other", "shop-0"
	another := f.Plans[0].DeepCopy()
	another.Name, another.Spec.Application = "another", "bank"
	objects := []client.Object{
		f.Snapshot, &f.Plans[0], another, &f.Admissions["releases"].Items[0], &f.Releases[0], other, build, older, test, managed,
		&v1alpha1.Component{ObjectMeta: object("web")}, &v1alpha1.Component{ObjectMeta: object("api")},
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
}

func states(c Chain) string {
	var got []string
	for _, link := range c.Links {
		got = append(got, link.Stage+":"+string(link.State))
	}
	return strings.Join(got, " ")
}

func TestExplain(t *testing.T) {
	const whole = "build:done signature:done snapshot:done test:done promotion:done release:done admission:done pipeline:done"
	c := cluster(t, interceptor.Funcs{})
	for text, want := range map[string]string{
		"snapshot/shop-1":       whole,
		"component/web":         whole,
		"pipelinerun/web-build": whole,
		"pr/smoke-1":            whole,
		"release/rel-1":         whole,
		"release/other":         "snapshot:skipped promotion:skipped release:done admission:done pipeline:done",
		"pipelinerun/web-older": "build:stopped signature:ahead snapshot:ahead",
		"component/api":         "build:stopped snapshot:ahead",
	} {
		t.Run(text, func(t *testing.T) {
			subject, err := ParseSubject(text)
			if err != nil {
				t.Fatal(err)
			}
			subject.Namespace = "team"
			got, err := Explain(t.Context(), c, subject)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, states(got)); diff != "" {
				t.Errorf("chain (-want +got):\n%s", diff)
			}
		})
	}
	managed, err := Explain(t.Context(), c, Subject{"pipelinerun", "releases", "managed-1"})
	if err != nil || states(managed) != whole {
		t.Errorf("of a run elsewhere: %v, %v", managed, err)
	}
}

// TestNotThere names what is missing, and how to find what is not.
func TestNotThere(t *testing.T) {
	for _, text := range []string{"snapshot/none", "component/none", "pipelinerun/none", "release/none"} {
		subject, err := ParseSubject(text)
		if err != nil {
			t.Fatal(err)
		}
		subject.Namespace = "team"
		_, err = Explain(t.Context(), cluster(t, interceptor.Funcs{}), subject)
		var missing *NotFoundError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), `"none" in namespace "team"`) || !strings.Contains(missing.Hint(), "kubectl -n team get "+subject.Kind+"s") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestForbidden goes by the plan where the asker may not read admissions, and
// fails on anything else.
func TestForbidden(t *testing.T) {
	refuse := func(kind client.ObjectList) interceptor.Funcs {
		return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			_, admissions := kind.(*v1alpha1.ReleasePlanAdmissionList)
			if _, ok := list.(*v1alpha1.ReleasePlanAdmissionList); ok == admissions {
				return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("x").GroupResource(), "", errors.New("not yours"))
			}
			return c.List(ctx, list, opts...)
		}}
	}
	subject := Subject{"snapshot", "team", "shop-1"}
	if got, err := Explain(t.Context(), cluster(t, refuse(&v1alpha1.ReleasePlanAdmissionList{})), subject); err != nil || !strings.Contains(states(got), "admission:done") {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Explain(t.Context(), cluster(t, refuse(&v1alpha1.ReleaseList{})), subject); !apierrors.IsForbidden(err) {
		t.Errorf("it says %v", err)
	}
}

func TestRun(t *testing.T) {
	cases := map[string]struct {
		opts Options
		want string
		err  string
	}{
		"released":            {opts: Options{Subject: "snapshot/shop-1", Namespace: "team", Output: "text"}, want: "snapshot/shop-1 in namespace team is released.\n\nbuild      done  PipelineRun/web-build"},
		"not released":        {opts: Options{Subject: "component/api", Namespace: "team", Output: "text"}, want: "component/api in namespace team is not released: build of Component/api.\n  why: NoBuild: the component was never built, or nothing is left of it\n  fix: push a commit"},
		"what is no subject":  {opts: Options{Subject: "pod/x", Output: "text"}, err: `"pod/x" is not snapshot/NAME`},
		"no name":             {opts: Options{Subject: "snapshot/", Output: "text"}, err: "is not snapshot/NAME"},
		"a format nobody has": {opts: Options{Subject: "snapshot/x", Output: "yaml"}, err: `--output: "yaml" is neither text nor json`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			tc.opts.Out, tc.opts.Client = &out, cluster(t, interceptor.Funcs{})
			err := Run(t.Context(), tc.opts)
			if !strings.HasPrefix(out.String(), tc.want) || tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("Run() = %v, printed\n%s", err, out.String())
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		var out bytes.Buffer
		if err := Run(t.Context(), Options{Subject: "rel/rel-1", Namespace: "team", Output: "json", Out: &out, Client: cluster(t, interceptor.Funcs{})}); err != nil {
			t.Fatal(err)
		}
		var chain Chain
		if err := json.Unmarshal(out.Bytes(), &chain); err != nil || chain.Subject != "release/rel-1" || len(chain.Links) != 8 {
			t.Errorf("%s, %v", out.String(), err)
		}
	})
}

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{"short": "short", "two\nlines": "two…", strings.Repeat("é", 101): strings.Repeat("é", 100) + "…"} {
		if got := oneLine(text); got != want {
			t.Errorf("oneLine(%q) = %q", text, got)
		}
	}
}
