package assembly

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// TestRefused tells what stays from what passes: a user has to mend the one,
// and never hears of the other.
func TestRefused(t *testing.T) {
	kind := v1alpha1.GroupVersion.WithResource("snapshots").GroupResource()
	quotas := corev1.Resource("resourcequotas")
	terminating := apierrors.NewForbidden(kind, "s", errors.New("namespace dev is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	cases := map[string]struct {
		err    error
		reason string // of a Refusal, empty for an error that passes
	}{
		"a full quota":                {apierrors.NewForbidden(kind, "s", errors.New("exceeded quota: crds, requested: count/snapshots=1")), snapshot.QuotaExceeded},
		"a quota that others write":   {apierrors.NewConflict(quotas, "crds", errors.New("the object has been modified")), ""},
		"a quota that takes too long": {apierrors.NewInternalError(errors.New("resource quota evaluation timed out")), ""},
		"a quota that is not known":   {apierrors.NewForbidden(kind, "s", errors.New("status unknown for quota: crds, resources: count/snapshots")), ""},
		"no right":                    {apierrors.NewForbidden(kind, "s", errors.New("user may not create snapshots")), snapshot.CreateForbidden},
		"a namespace that goes":       {terminating, snapshot.NamespaceGone},
		"a rule of the schema":        {apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("Snapshot").GroupKind(), "s", nil), snapshot.Refused},
		"too large":                   {apierrors.NewRequestEntityTooLargeError("limit is 3145728"), snapshot.Refused},
		"too many requests":           {apierrors.NewTooManyRequests("later", 1), ""},
		"a server that is away":       {apierrors.NewServiceUnavailable("etcd"), ""},
		"a time-out":                  {apierrors.NewServerTimeout(kind, "create", 1), ""},
		"a broken line":               {errors.New("connection reset by peer"), ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := refused(tc.err)
			var refusal *snapshot.Refusal
			switch is := errors.As(got, &refusal); {
			case is != (tc.reason != ""):
				t.Errorf("refused() = %v, a refusal: %t", got, is)
			case is && refusal.Reason != tc.reason:
				t.Errorf("it is refused as %s, want %s", refusal.Reason, tc.reason)
			}
			if !errors.Is(got, tc.err) || !strings.Contains(got.Error(), "creating the Snapshot") {
				t.Errorf("refused() = %v, which hides %v", got, tc.err)
			}
		})
	}
}

func newClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Snapshot{}).WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
}

func named(name, label string) *v1alpha1.Snapshot {
	return &v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name, Labels: map[string]string{"is": label}}}
}

func TestMake(t *testing.T) {
	behind := interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("snapshots").GroupResource(), key.Name)
	}}
	cases := map[string]struct {
		there []client.Object
		funcs interceptor.Funcs
		want  string
		isNew bool
		fails string
	}{
		"the first name":                     {want: "a", isNew: true},
		"a name that another one has":        {there: []client.Object{named("a", "other")}, want: "b", isNew: true},
		"it is there":                        {there: []client.Object{named("a", "this")}, want: "a"},
		"it is there under the second name":  {there: []client.Object{named("a", "other"), named("b", "this")}, want: "b"},
		"others have every name":             {there: []client.Object{named("a", "other"), named("b", "other")}, fails: "every name for the Snapshot is taken: a, b"},
		"it is there, and not in the cache":  {there: []client.Object{named("a", "this")}, funcs: behind, fails: `reading Snapshot "a"`},
		"another is, and not in the cache":   {there: []client.Object{named("a", "other")}, funcs: behind, fails: `reading Snapshot "a"`},
		"it is there, without what it omits": {there: []client.Object{named("a", "this")}, want: "a"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, tc.funcs, tc.there...)
			omitted := []v1alpha1.OmittedComponent{{Name: "new", Reason: snapshot.NeverBuilt}}
			got, isNew, err := Make(t.Context(), c, Order{
				Snapshot: named("", "this"), Omitted: omitted, Names: []string{"a", "b"},
				Owner: &v1alpha1.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "shop", UID: "1"}},
				Same:  func(s *v1alpha1.Snapshot) bool { return s.Labels["is"] == "this" },
			})
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("Make() = %v, want an error with %q", err, tc.fails)
				}
				return
			}
			if err != nil || got.Name != tc.want || isNew != tc.isNew {
				t.Fatalf("Make() = %+v, %t, %v", got, isNew, err)
			}
			var stored v1alpha1.Snapshot
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(got), &stored); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(omitted, stored.Status.Omitted); diff != "" {
				t.Errorf("status.omitted (-want +got):\n%s", diff)
			}
			if isNew && metav1.GetControllerOf(&stored) == nil {
				t.Error("it has no owner")
			}
		})
	}
}

func TestSources(t *testing.T) {
	going := &v1alpha1.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "going", Finalizers: []string{"x/y"}}}
	c := newClient(t, interceptor.Funcs{}, &v1alpha1.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "shop"}}, going,
		&v1beta2.ComponentGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "group"}})
	if err := c.Delete(t.Context(), going); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		spec   v1alpha1.SnapshotSpec
		kind   string
		reason string
	}{
		"an application":             {spec: v1alpha1.SnapshotSpec{Application: "shop"}, kind: "Application"},
		"an application that goes":   {spec: v1alpha1.SnapshotSpec{Application: "going"}, reason: snapshot.ApplicationUnknown},
		"an application there isn't": {spec: v1alpha1.SnapshotSpec{Application: "bank"}, reason: snapshot.ApplicationUnknown},
		"a group":                    {spec: v1alpha1.SnapshotSpec{ComponentGroup: "group"}, kind: "ComponentGroup"},
		"a group there isn't":        {spec: v1alpha1.SnapshotSpec{ComponentGroup: "bank"}, reason: snapshot.GroupUnknown},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Of(t.Context(), c, &v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "dev"}, Spec: tc.spec})
			var refusal *snapshot.Refusal
			if errors.As(err, &refusal) {
				if refusal.Reason != tc.reason || !strings.Contains(err.Error(), "create it, and build again") {
					t.Errorf("Of() = %v", err)
				}
				return
			}
			if err != nil || tc.reason != "" || got.Whole.Kind() != tc.kind || got.Owner.GetName() != got.Whole.Name() {
				t.Errorf("Of() = %+v, %v", got, err)
			}
		})
	}
}
