//go:build apiserver

package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/task/reportstatus"
	"github.com/headrace-ci/headrace/test/fixture/chains"
	"github.com/headrace-ci/headrace/test/fixture/kube"
	"github.com/headrace-ci/headrace/test/fixture/scm"
)

const (
	pac     = "pipelinesascode.tekton.dev/"
	failure = "test.appstudio.openshift.io/git-reporting-failure"
)

// reports is a namespace whose pull requests are at a git host.
type reports struct {
	t    *testing.T
	c    client.Client
	ns   string
	host *scm.Server
}

// newReports is a cluster as install leaves it, with a host, and the
// controller's own program with its own rights.
func newReports(t *testing.T) *reports {
	t.Helper()
	r := &reports{t: t, c: newClient(t), host: scm.Forgejo(t)}
	r.ns = namespace(t, r.c)
	r.host.Tokens["t0ken"] = scm.Token{User: 7, Writes: []string{"shop/web"}}
	r.host.Commits["shop/web"] = []string{commit}
	r.kinds()
	policies(t, r.c)
	p := newProcess(t, r.c, chains.NewSigner(t).PublicKey)
	p.Start(t)
	r.switchOn("registry.test/report-status@" + digest)
	repository := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository", "metadata": map[string]any{"namespace": r.ns, "name": "web"},
		"spec": map[string]any{"url": r.host.URL + "/shop/web", "git_provider": map[string]any{"secret": map[string]any{"name": "login"}}},
	}}
	create(t, r.c, application(r.ns), component(r.ns, "web"), testScenario(r.ns), repository)
	return r
}

// kinds makes the API server know PaC Repositories, from then on.
func (r *reports) kinds() {
	r.t.Helper()
	_, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(root, "test/apiserver/testdata/repositories.yaml")}, ErrorIfPathMissing: true, MaxTime: time.Minute,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *reports) switchOn(bundle string) {
	r.t.Helper()
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: serviceNamespace, Name: "reporting"}, Data: map[string]string{"bundle": bundle}}
	create(r.t, r.c, config)
	r.t.Cleanup(func() {
		if err := r.c.Delete(context.Background(), config); err != nil {
			r.t.Error(err)
		}
	})
}

// pull makes a build one of a pull request, as Pipelines as Code does.
func (r *reports) pull(run *tektonv1.PipelineRun) *tektonv1.PipelineRun {
	if run.Annotations == nil {
		run.Annotations = map[string]string{}
	}
	for k, v := range map[string]string{"git-provider": "gitea", "event-type": "pull_request", "pull-request": "5", "sha": commit} {
		run.Labels[pac+k] = v
	}
	run.Annotations[pac+"repo-url"] = r.host.URL + "/shop/web"
	return run
}

// task waits for the one task that reports and is not done.
func (r *reports) task() *tektonv1.TaskRun {
	r.t.Helper()
	var found *tektonv1.TaskRun
	eventually(r.t, "waiting for a task that reports", func() error {
		var list tektonv1.TaskRunList
		if err := r.c.List(r.t.Context(), &list, client.InNamespace(r.ns), client.HasLabels{"headrace.dev/report-on"}); err != nil {
			return err
		}
		if len(list.Items) != 1 || list.Items[0].IsDone() || !list.Items[0].DeletionTimestamp.IsZero() {
			return fmt.Errorf("there are %d, or it is done", len(list.Items))
		}
		found = &list.Items[0]
		return nil
	})
	return found
}

// reporter is a client with the rights of the task's account.
func (r *reports) reporter() client.Client {
	r.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: r.ns, Name: "headrace-reporter"}}
	rest, err := clientcmd.BuildConfigFromFlags("", kube.Login(r.t, config, r.c, account))
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := client.New(rest, client.Options{Scheme: reportstatus.Scheme()})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// work does as Tekton does with a task: runs it as its account, and ends it.
func (r *reports) work(run *tektonv1.TaskRun) {
	r.t.Helper()
	opts := reportstatus.Options{Client: r.reporter(), HTTP: r.host.HTTP, Now: time.Now, SecretDir: r.t.TempDir()}
	if err := os.WriteFile(filepath.Join(opts.SecretDir, "token"), []byte("t0ken"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	for _, p := range run.Spec.Params {
		switch p.Name {
		case "resource":
			opts.Resource = p.Value.StringVal
		case "resourceType":
			opts.ResourceType = p.Value.StringVal
		case "repository":
			opts.Repository = p.Value.StringVal
		case "provider":
			opts.Provider = p.Value.StringVal
		case "consoleName":
			opts.Links.ConsoleName = p.Value.StringVal
		}
	}
	message, status := "", corev1.ConditionTrue
	if err := reportstatus.Run(r.t.Context(), opts); err != nil {
		message, status = err.Error(), corev1.ConditionFalse
		r.t.Logf("the task failed: %v", err)
	}
	run.Status.SetCondition(&apis.Condition{Type: apis.ConditionSucceeded, Status: status, Reason: "Done", Message: message})
	if err := r.c.Status().Update(r.t.Context(), run); err != nil {
		r.t.Fatal(err)
	}
}

// told works until the host was told what is wanted last.
func (r *reports) told(want string) {
	r.t.Helper()
	for range 5 {
		r.work(r.task())
		if all := r.host.Statuses(); len(all) > 0 && all[len(all)-1].State == want {
			break
		}
	}
	all := r.host.Statuses()
	if len(all) == 0 || all[len(all)-1].State != want || all[len(all)-1].Name != "Integration Service / smoke / web" || all[len(all)-1].Commit != commit {
		r.t.Fatalf("the host was told %+v, want %s last", all, want)
	}
	eventually(r.t, "the task goes when it is done", func() error {
		var list tektonv1.TaskRunList
		if err := r.c.List(r.t.Context(), &list, client.InNamespace(r.ns)); err != nil || len(list.Items) > 0 {
			return fmt.Errorf("%d are left, %w", len(list.Items), err)
		}
		return nil
	})
}

// TestReports has the controller's program with its rights, and the task with
// its own, tell a host of a pull request: its build is pending, then fails;
// another one's Snapshot is tested and passes.
func TestReports(t *testing.T) {
	r := newReports(t)
	run := r.pull(buildRun(r.ns, "web-1", "web"))
	create(t, r.c, run)
	r.told("pending")
	finish(t, r.c, run, corev1.ConditionFalse, nil)
	r.told("failure")

	s := &v1alpha1.Snapshot{ObjectMeta: meta(r.ns, "shop-1"), Spec: v1alpha1.SnapshotSpec{Application: app, Components: []v1alpha1.SnapshotComponent{{
		Name: "web", ContainerImage: image + "@" + digest, Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: r.host.URL + "/shop/web", Revision: commit}},
	}}}}
	for k, v := range r.pull(buildRun(r.ns, "x", "web")).Labels {
		if rest, ok := strings.CutPrefix(k, pac); ok {
			s.Labels["pac.test.appstudio.openshift.io/"+rest] = v
		}
	}
	s.Labels["test.appstudio.openshift.io/type"], s.Labels["appstudio.openshift.io/component"] = "component", "web"
	s.Annotations = map[string]string{"pac.test.appstudio.openshift.io/repo-url": r.host.URL + "/shop/web"}
	create(t, r.c, s)
	r.told("pending")
	finish(t, r.c, oneRun(t, r.c, r.ns, "test"), corev1.ConditionTrue, nil)
	r.told("success")
	comments := r.host.Comments("shop/web", 5)
	if len(comments) != 1 || !strings.Contains(comments[0].Body, "| :heavy_check_mark: Succeeded |") {
		t.Errorf("comments are %+v, want one that says it passed", comments)
	}
	var words []string
	for _, said := range r.host.Statuses() {
		words = append(words, said.State)
	}
	if words[len(words)-1] != "success" || cmp.Equal(words[0], "success") {
		t.Errorf("the host was told %v", words)
	}
	if err := r.c.Get(t.Context(), client.ObjectKeyFromObject(s), s); err != nil || s.Annotations[failure] != "" || !strings.Contains(s.Annotations["test.appstudio.openshift.io/git-reporter-status"], "smoke-shop-1") {
		t.Errorf("the Snapshot says %v, %v", s.Annotations, err)
	}

	lacking := s.DeepCopy()
	lacking.ObjectMeta = meta(r.ns, "shop-2")
	lacking.Labels["test.appstudio.openshift.io/type"], lacking.Labels["appstudio.openshift.io/component"] = "component", "web"
	create(t, r.c, lacking)
	eventually(t, "a Snapshot without git-provider says so", func() error {
		if err := r.c.Get(t.Context(), client.ObjectKeyFromObject(lacking), lacking); err != nil {
			return err
		}
		if text := lacking.Annotations[failure]; !strings.Contains(text, "pac.test.appstudio.openshift.io/git-provider") {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
}

// TestReporterRights lets the task's account write what was reported, and
// nothing else, although it may patch.
func TestReporterRights(t *testing.T) {
	r := newReports(t)
	run := r.pull(buildRun(r.ns, "web-1", "web"))
	create(t, r.c, run)
	r.task()
	s := &v1alpha1.Snapshot{ObjectMeta: meta(r.ns, "by-hand"), Spec: v1alpha1.SnapshotSpec{Application: app}}
	create(t, r.c, s)
	for _, o := range []client.Object{s, run} {
		eventually(t, "the controller owns or holds it", func() error {
			if err := r.c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}
			if len(o.GetOwnerReferences())+len(o.GetFinalizers()) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
	}
	c := r.reporter()
	for name, tc := range map[string]struct {
		o     client.Object
		patch string
		want  string // empty when it may
	}{
		"what was reported":               {s, `{"metadata":{"annotations":{"test.appstudio.openshift.io/git-reporter-status":"{}"}}}`, ""},
		"that it failed":                  {s, `{"metadata":{"annotations":{"test.appstudio.openshift.io/git-reporting-failure":null}}}`, ""},
		"what was reported of a build":    {run, `{"metadata":{"annotations":{"test.appstudio.openshift.io/snapshot-creation-report":"x"}}}`, ""},
		"that a Snapshot is of a push":    {s, `{"metadata":{"labels":{"pac.test.appstudio.openshift.io/event-type":"push"}}}`, "may not change metadata.labels"},
		"that a Snapshot passed":          {s, `{"metadata":{"annotations":{"test.appstudio.openshift.io/status":"[]"}}}`, "no annotations but those"},
		"what a Snapshot holds":           {s, `{"spec":{"displayName":"x"}}`, "spec"}, // the rule on Snapshots speaks, or ours
		"whose a Snapshot is":             {s, `{"metadata":{"ownerReferences":null}}`, "ownerRef"},
		"that a build is to stop":         {run, `{"spec":{"status":"Cancelled"}}`, "may not change spec"},
		"that a build is not held":        {run, `{"metadata":{"finalizers":null}}`, "may not change metadata.finalizers"},
		"what a build's annotations were": {run, `{"metadata":{"annotations":{"` + pac + `repo-url":null}}}`, "no annotations but those"},
	} {
		t.Run(name, func(t *testing.T) {
			eventually(t, "the API server knows the policy", func() error {
				o := tc.o.DeepCopyObject().(client.Object)
				err := c.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(tc.patch)))
				switch {
				case tc.want == "" && err != nil:
					return err
				case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
					return fmt.Errorf("it may: %v, want a refusal with %q", err, tc.want)
				}
				return nil
			})
		})
	}
	controller := account(serviceNamespace, "controller")
	for _, may := range []struct{ verb, group, resource, ns string }{
		{"create", "tekton.dev", "taskruns", r.ns}, {"list", "pipelinesascode.tekton.dev", "repositories", r.ns},
	} {
		if !allowed(t, r.c, controller, may.verb, may.group, may.resource, may.ns, "") {
			t.Errorf("the controller may not %s %s", may.verb, may.resource)
		}
	}
	if allowed(t, r.c, controller, "get", "", "secrets", r.ns, "") || allowed(t, r.c, controller, "update", "pipelinesascode.tekton.dev", "repositories", r.ns, "") {
		t.Error("the controller reads tokens, or chooses them")
	}
	for _, resource := range []string{"secrets", "configmaps", "serviceaccounts"} {
		if allowed(t, r.c, account(r.ns, "headrace-reporter"), "get", "", resource, r.ns, "") {
			t.Errorf("it reads %s", resource)
		}
	}
}
