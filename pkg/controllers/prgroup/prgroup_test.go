package prgroup

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// member is the Snapshot of a pull request to a component.
func member(component string) *v1alpha1.Snapshot {
	return &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "dev", Name: "of-" + component,
			Labels: map[string]string{
				snapshot.TypeLabel: snapshot.ComponentType, snapshot.ComponentLabel: component, snapshot.PRGroupLabel: "sum",
				snapshot.PullRequestLabel: "1", "pac.test.appstudio.openshift.io/event-type": "pull_request",
			},
			Annotations: map[string]string{snapshot.PRGroupAnnotation: "feature", snapshot.StartTimeKey: "1741064767000"},
		},
		Spec: v1alpha1.SnapshotSpec{Application: "shop", Components: []v1alpha1.SnapshotComponent{{
			Name: component, ContainerImage: "registry.test/" + component + "@" + digest,
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/" + component, Revision: "1"}},
		}}},
	}
}

// TestNoRoom says on every member that there is no room for the group's
// Snapshot, tries again, and says so no more when there is.
func TestNoRoom(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, tektonv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	objects := []client.Object{&v1alpha1.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "shop"}}, member("api"), member("web")}
	for _, name := range []string{"api", "web"} {
		objects = append(objects, &v1alpha1.Component{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name}, Spec: v1alpha1.ComponentSpec{Application: "shop"}})
	}
	full := true
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if full {
				return apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("snapshots").GroupResource(), o.GetName(), errors.New("exceeded quota: crds"))
			}
			return c.Create(ctx, o, opts...)
		},
	}).Build()
	r := &Reconciler{Client: c}
	for _, tc := range []struct {
		full         bool
		again        time.Duration
		reason, text string
	}{
		{true, time.Minute, snapshot.GroupFailed, "exceeded quota: crds; it is tried again every minute"},
		{false, 0, snapshot.GroupCreated, `was created for PR group "feature"`},
	} {
		full = tc.full
		result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "dev", Name: "sum"}})
		if err != nil || result.RequeueAfter != tc.again {
			t.Fatalf("Reconcile() = %v, %v", result, err)
		}
		for _, name := range []string{"of-api", "of-web"} {
			var s v1alpha1.Snapshot
			if err := c.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: name}, &s); err != nil {
				t.Fatal(err)
			}
			if s.Annotations[snapshot.GroupReasonAnnotation] != tc.reason || !strings.Contains(s.Annotations[snapshot.GroupStatusAnnotation], tc.text) {
				t.Errorf("%s says %s: %s", name, s.Annotations[snapshot.GroupReasonAnnotation], s.Annotations[snapshot.GroupStatusAnnotation])
			}
		}
	}
}
