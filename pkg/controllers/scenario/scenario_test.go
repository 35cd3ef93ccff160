package scenario

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"knative.dev/pkg/apis"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/test/fixture/faults"
)

func at(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "dev", Name: name, UID: "0"}
}

func smoke(resolver string, params ...v1beta2.ResolverParameter) *v1beta2.IntegrationTestScenario {
	s := &v1beta2.IntegrationTestScenario{ObjectMeta: at("smoke"), Spec: v1beta2.IntegrationTestScenarioSpec{
		Application: "shop", ResolverRef: v1beta2.ResolverRef{Resolver: resolver, Params: params, ResourceKind: "pipeline"},
		Contexts: []v1beta2.TestContext{{Name: "component_web"}},
	}}
	s.Generation = 1
	return s
}

// world is a namespace with a scenario, in which a test plays the resolvers.
type world struct {
	client.WithWatch
	t   *testing.T
	now int64
}

func newWorld(t *testing.T, fault *faults.Write, objects ...client.Object) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, resolutionv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w, funcs := &world{t: t, now: 1000}, fault.Funcs()
	create := funcs.Create
	funcs.Create = func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		o.SetCreationTimestamp(metav1.Unix(w.now, 0)) // as the API server does
		return create(ctx, c, o, opts...)
	}
	w.WithWatch = fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1beta2.IntegrationTestScenario{}, &resolutionv1.ResolutionRequest{}).
		WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
	return w
}

// settle reconciles as a controller does that is started again when killed.
func (w *world) settle() (last ctrl.Result) {
	w.t.Helper()
	for range 4 {
		r := &Reconciler{Client: w, Now: func() time.Time { return time.Unix(w.now, 0).UTC() }}
		result, err := r.Reconcile(w.t.Context(), w.scenario())
		if err != nil && !errors.Is(err, faults.ErrKilled) {
			w.t.Fatal(err)
		}
		last = result
	}
	return last
}

func (w *world) scenario() *v1beta2.IntegrationTestScenario {
	w.t.Helper()
	s := &v1beta2.IntegrationTestScenario{}
	if err := w.Get(w.t.Context(), client.ObjectKey{Namespace: "dev", Name: "smoke"}, s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) requests() []resolutionv1.ResolutionRequest {
	w.t.Helper()
	var list resolutionv1.ResolutionRequestList
	if err := w.List(w.t.Context(), &list); err != nil {
		w.t.Fatal(err)
	}
	return list.Items
}

// answer plays the resolver for the one request there is.
func (w *world) answer(document, failure string) {
	w.t.Helper()
	all := w.requests()
	if len(all) != 1 {
		w.t.Fatalf("%d requests, want one", len(all))
	}
	request := all[0]
	if request.Labels[snapshot.ResolverLabel] == "" || request.OwnerReferences[0].BlockOwnerDeletion != nil {
		w.t.Errorf("request %+v", request.ObjectMeta)
	}
	c := apis.Condition{Type: apis.ConditionSucceeded, Status: corev1.ConditionTrue}
	if failure != "" {
		c.Status, c.Message = corev1.ConditionFalse, failure
	}
	request.Status.Conditions = []apis.Condition{c}
	request.Status.Data = base64.StdEncoding.EncodeToString([]byte(document))
	for {
		err := w.Status().Update(w.t.Context(), &request)
		if err == nil {
			return
		}
		if !errors.Is(err, faults.ErrKilled) {
			w.t.Fatal(err)
		}
	}
}

func (w *world) condition(kind string) string {
	w.t.Helper()
	c := meta.FindStatusCondition(w.scenario().Status.Conditions, kind)
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%s/%s: %s", c.Status, c.Reason, c.Message)
}

const pipeline = "{apiVersion: tekton.dev/v1, kind: Pipeline}"

// TestConditions says what keeps a scenario from testing, and what to do.
func TestConditions(t *testing.T) {
	web := &v1alpha1.Component{ObjectMeta: at("web"), Spec: v1alpha1.ComponentSpec{Application: "shop"}}
	shop := &v1alpha1.Application{ObjectMeta: at("shop")}
	git := smoke("git", v1beta2.ResolverParameter{Name: "url", Value: "https://git.test/x"})
	task := smoke("bundles", v1beta2.ResolverParameter{Name: "kind", Value: "task"})
	group := smoke("git")
	group.Spec.Application, group.Spec.ComponentGroup = "", "shop"
	cases := map[string]struct {
		scenario          *v1beta2.IntegrationTestScenario
		others            []client.Object
		document, failure string // of the resolver; none for both empty
		want              map[string]string
	}{
		"good": {git, []client.Object{shop, web}, pipeline, "", map[string]string{
			snapshot.ValidCondition: "True/Valid", snapshot.FoundCondition: "True/Found", snapshot.ContextsCondition: "True/Known",
		}},
		"of a group": {group, []client.Object{&v1beta2.ComponentGroup{ObjectMeta: at("shop"), Spec: v1beta2.ComponentGroupSpec{
			Components: []v1beta2.ComponentReference{{Name: "web", Kind: "component"}},
		}}}, pipeline, "", map[string]string{
			snapshot.ValidCondition: "True/Valid", snapshot.ContextsCondition: "True/Known",
		}},
		"of a group of groups": {group, []client.Object{&v1beta2.ComponentGroup{ObjectMeta: at("shop"), Spec: v1beta2.ComponentGroupSpec{
			Components: []v1beta2.ComponentReference{{Name: "web", Kind: "componentGroup"}},
		}}}, pipeline, "", map[string]string{
			snapshot.ContextsCondition: `False/UnknownContexts: no Snapshot meets context "component_web" (there is no Component "web")`,
		}},
		"nobody answers yet": {git, []client.Object{shop, web}, "", "", map[string]string{
			snapshot.ValidCondition: "True/Valid", snapshot.FoundCondition: "Unknown/LookingUp",
		}},
		"without application": {git, nil, pipeline, "", map[string]string{
			snapshot.ValidCondition:    `False/Invalid: there is no Application "shop" in namespace dev: create it`,
			snapshot.ContextsCondition: `False/UnknownContexts: no Snapshot meets context "component_web" (there is no Component "web")`,
		}},
		"a Task by its reference": {task, []client.Object{shop, web}, "", "", map[string]string{
			snapshot.ValidCondition: "False/Invalid: spec.resolverRef refers to a task: refer to a Pipeline", snapshot.FoundCondition: "none",
		}},
		"a Task by its document": {git, []client.Object{shop, web}, "{apiVersion: tekton.dev/v1, kind: Task}", "", map[string]string{
			snapshot.ValidCondition: "False/Invalid: spec.resolverRef leads to a tekton.dev/v1 Task: refer to a Pipeline", snapshot.FoundCondition: "False/NotAPipeline",
		}},
		"nothing": {git, []client.Object{shop, web}, "", "file does not exist", map[string]string{
			snapshot.ValidCondition: "False/Invalid: what spec.resolverRef refers to was not found: file does not exist", snapshot.FoundCondition: "False/NotFound",
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			objects := []client.Object{tc.scenario.DeepCopy()}
			for _, o := range tc.others {
				objects = append(objects, o.DeepCopyObject().(client.Object))
			}
			w := newWorld(t, &faults.Write{}, objects...)
			w.settle()
			if tc.document != "" || tc.failure != "" {
				w.answer(tc.document, tc.failure)
				if w.settle(); len(w.requests()) != 0 {
					t.Errorf("%d requests are left", len(w.requests()))
				}
			}
			for kind, want := range tc.want {
				if got := w.condition(kind); !strings.HasPrefix(got, want) {
					t.Errorf("%s is %q, want %q", kind, got, want)
				}
			}
		})
	}
}

// TestMended takes a mistake back when it is corrected.
func TestMended(t *testing.T) {
	w := newWorld(t, &faults.Write{}, smoke("git"))
	w.settle()
	w.answer("", "file does not exist")
	w.settle()
	web := &v1alpha1.Component{ObjectMeta: at("web"), Spec: v1alpha1.ComponentSpec{Application: "shop"}}
	if err := errors.Join(w.Create(t.Context(), &v1alpha1.Application{ObjectMeta: at("shop")}), w.Create(t.Context(), web)); err != nil {
		t.Fatal(err)
	}
	s := w.scenario()
	s.Generation, s.Spec.ResolverRef.Params = 2, []v1beta2.ResolverParameter{{Name: "pathInRepo", Value: "p.yaml"}}
	if err := w.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.answer(pipeline, "")
	w.settle()
	for _, c := range w.scenario().Status.Conditions {
		if c.Status != metav1.ConditionTrue || c.ObservedGeneration != 2 {
			t.Errorf("condition %+v", c)
		}
	}
	owner := w.scenario().OwnerReferences
	if len(owner) != 1 || owner[0].Kind != "Application" || owner[0].Controller != nil || owner[0].BlockOwnerDeletion != nil {
		t.Errorf("owners %+v", owner)
	}
}

// TestOlderVersion is of a scenario whose pipeline is in the words of before.
func TestOlderVersion(t *testing.T) {
	old := smoke("")
	old.Spec.ResolverRef, old.Spec.Bundle, old.Spec.Pipeline = v1beta2.ResolverRef{}, "registry.test/p:1", "smoke"
	w := newWorld(t, &faults.Write{}, old)
	w.settle()
	if ref := w.scenario().Spec.ResolverRef; ref.Resolver != "bundles" || len(ref.Params) != 3 {
		t.Errorf("it refers to %+v", ref)
	}
}

type end struct {
	Scenario *v1beta2.IntegrationTestScenario
	Account  corev1.ServiceAccount
	Secret   corev1.Secret
	Binding  rbacv1.RoleBinding
	Requests int
}

// TestKilledAtEveryWrite ends the same wherever the controller was killed,
// before the write arrived or after.
func TestKilledAtEveryWrite(t *testing.T) {
	journey := func(t *testing.T, fault *faults.Write) end {
		w := newWorld(t, fault, smoke("git"), &v1alpha1.Application{ObjectMeta: at("shop")})
		w.settle()
		w.answer(pipeline, "")
		w.settle()
		e := end{Scenario: w.scenario(), Requests: len(w.requests())}
		for name, o := range map[string]client.Object{"components-namespace-pull": &e.Secret, "konflux-integration-runner": &e.Account} {
			if err := w.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: name}, o); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Get(t.Context(), client.ObjectKey{Namespace: "dev", Name: "konflux-integration-runner"}, &e.Binding); err != nil {
			t.Fatal(err)
		}
		return e
	}
	whole := &faults.Write{}
	want := journey(t, whole)
	if want.Requests != 0 || !meta.IsStatusConditionTrue(want.Scenario.Status.Conditions, snapshot.FoundCondition) || len(want.Scenario.OwnerReferences) != 1 ||
		want.Account.ImagePullSecrets[0].Name != want.Secret.Name || want.Secret.Type != "kubernetes.io/dockerconfigjson" ||
		string(want.Secret.Data[".dockerconfigjson"]) != `{"auths":{}}` || want.Binding.Subjects[0].Name != want.Account.Name {
		t.Fatalf("undisturbed it ends in %+v", want)
	}
	for i := range whole.Seen() {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, late %t", i+1, late), func(t *testing.T) {
				fault := &faults.Write{At: i + 1, Late: late}
				got := journey(t, fault)
				if !fault.Happened() {
					t.Fatal("the write was not reached")
				}
				byType := cmpopts.SortSlices(func(a, b metav1.Condition) bool { return a.Type < b.Type })
				if diff := cmp.Diff(want, got, byType, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion")); diff != "" {
					t.Errorf("it ended otherwise (-undisturbed +killed):\n%s", diff)
				}
			})
		}
	}
}
