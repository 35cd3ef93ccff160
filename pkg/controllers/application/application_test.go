package application

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// newClient is a client of objects, and counts the patches made with it.
func newClient(t *testing.T, objects ...client.Object) (client.Client, *int) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	patches := new(int)
	count := func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		*patches++
		return c.Patch(ctx, o, p, opts...)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{Patch: count}).Build(), patches
}

func application(name string) *v1alpha1.Application {
	return &v1alpha1.Application{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name, UID: "new"}}
}

func component(name, application string, owners ...metav1.OwnerReference) *v1alpha1.Component {
	return &v1alpha1.Component{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: name, OwnerReferences: owners},
		Spec:       v1alpha1.ComponentSpec{Application: application},
	}
}

func owner(name string, uid types.UID) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "appstudio.redhat.com/v1alpha1", Kind: "Application", Name: name, UID: uid}
}

func TestReconcile(t *testing.T) {
	yes := true
	made := owner("shop", "new")
	byInterface := owner("shop", "new")
	byInterface.Controller, byInterface.BlockOwnerDeletion = &yes, &yes
	other := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "list", UID: "list"}
	cases := map[string]struct {
		component *v1alpha1.Component
		want      []metav1.OwnerReference
		patches   int
	}{
		"a component gets its owner":           {component("web", "shop"), []metav1.OwnerReference{made}, 1},
		"other owners stay":                    {component("web", "shop", other), []metav1.OwnerReference{other, made}, 1},
		"one that has its owner is left alone": {component("web", "shop", made), []metav1.OwnerReference{made}, 0},
		"as is one that somebody else made so": {component("web", "shop", byInterface), []metav1.OwnerReference{byInterface}, 0},
		"an application that was made again":   {component("web", "shop", owner("shop", "old")), []metav1.OwnerReference{made}, 1},
		"an application that is not there yet": {component("web", "later"), nil, 0},
		"a component of groups, not of one":    {component("web", ""), nil, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, patches := newClient(t, application("shop"), tc.component)
			r := &Reconciler{Client: c}
			for range 2 { // the second time changes nothing
				stored := &v1alpha1.Component{}
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(tc.component), stored); err != nil {
					t.Fatal(err)
				}
				if _, err := r.Reconcile(t.Context(), stored); err != nil {
					t.Fatal(err)
				}
			}
			stored := &v1alpha1.Component{}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(tc.component), stored); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, stored.OwnerReferences); diff != "" {
				t.Errorf("owners (-want +got):\n%s", diff)
			}
			if *patches != tc.patches {
				t.Errorf("%d patches, want %d", *patches, tc.patches)
			}
		})
	}
}

func TestReconcileLeavesWhatGoes(t *testing.T) {
	now := metav1.Now()
	going := component("web", "shop")
	going.DeletionTimestamp, going.Finalizers = &now, []string{"example.com/wait"}
	c, patches := newClient(t, application("shop"), going)
	if _, err := (&Reconciler{Client: c}).Reconcile(t.Context(), going); err != nil || *patches != 0 {
		t.Errorf("error %v and %d patches, want neither", err, *patches)
	}
}

// TestReconcileOverwritesNobody is of somebody who adds an owner meanwhile.
func TestReconcileOverwritesNobody(t *testing.T) {
	c, _ := newClient(t, application("shop"), component("web", "shop"))
	seen := &v1alpha1.Component{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: "web"}, seen); err != nil {
		t.Fatal(err)
	}
	meanwhile := seen.DeepCopy()
	meanwhile.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "list", UID: "list"}}
	if err := c.Update(t.Context(), meanwhile); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Reconciler{Client: c}).Reconcile(t.Context(), seen); !apierrors.IsConflict(err) {
		t.Errorf("got error %v, want a conflict, after which it is tried again", err)
	}
}

func TestMembers(t *testing.T) {
	elsewhere := component("web", "shop")
	elsewhere.Namespace = "other"
	c, _ := newClient(t, component("web", "shop"), component("api", "shop"), component("lone", "other"), elsewhere)
	var got []string
	for _, r := range (&Reconciler{Client: c}).members(t.Context(), application("shop")) {
		got = append(got, r.String())
	}
	if diff := cmp.Diff([]string{"dev/api", "dev/web"}, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}
