package buildlabel

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	newType, newComponent = "pipelines.konflux-ci.dev/type", "build.konflux-ci.dev/component"
	oldType, oldComponent = "pipelines.appstudio.openshift.io/type", "appstudio.openshift.io/component"
)

func TestReconcile(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := tektonv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		labels, want map[string]string
		patches      int
	}{
		"a run of the newer model gets both": {
			labels:  map[string]string{newType: "build", newComponent: "web", "team": "a"},
			want:    map[string]string{newType: "build", newComponent: "web", oldType: "build", oldComponent: "web", "team": "a"},
			patches: 1,
		},
		"what somebody wrote stays": {
			labels:  map[string]string{newType: "build", newComponent: "web", oldComponent: "other"},
			want:    map[string]string{newType: "build", newComponent: "web", oldType: "build", oldComponent: "other"},
			patches: 1,
		},
		"a run that has both is left alone": {
			labels: map[string]string{newType: "build", newComponent: "web", oldType: "build", oldComponent: "web"},
			want:   map[string]string{newType: "build", newComponent: "web", oldType: "build", oldComponent: "web"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			patches := 0
			stored := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "web-1", Labels: tc.labels}}
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(stored).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
					patches++
					return c.Patch(ctx, o, p, opts...)
				},
			}).Build()
			r := &Reconciler{Client: c, runs: c}
			for range 2 {
				if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(stored)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(stored), stored); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, stored.Labels); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			if patches != tc.patches {
				t.Errorf("%d patches, want %d", patches, tc.patches)
			}
		})
	}
}
