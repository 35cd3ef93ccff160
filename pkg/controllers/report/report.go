// Package report has git hosts told about tests: it starts the task
// report-status for a Snapshot, or for a build that has none yet, whenever there
// is something that was not told. It talks to no git host itself, and reads no
// login: the task mounts it.
//
// An object has one such task at a time, which tells everything there is to
// tell. It runs in the object's namespace with the Secret that the PaC
// Repository names, or where the GitHub App sent the event in the namespace of
// the App's key.
package report

import (
	"context"
	"fmt"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

const (
	// busy is when to look again where too many tasks run.
	busy = 5 * time.Second
	// switchedOff is when to look again where the operator has not said which
	// task reports.
	switchedOff = 5 * time.Minute
)

// Settings are the operator's.
type Settings struct {
	Namespace    string // of ConfigMap reporting
	AppNamespace string // of the GitHub App's Secret
	AppSecret    string
	GitHubAPI    string // of the App's host, empty for github.com
	Most         int    // tasks at once, 0 for any number
	ConsoleName  string
	RunURL       string // addresses of the console, with placeholders
	TaskURL      string
	SnapshotURL  string
}

// Reconciler starts the tasks that report. It has two controllers: one for
// Snapshots and one for builds.
type Reconciler struct {
	Client   client.Client
	Tasks    client.Reader // of tasks that report; may be a cache
	Config   client.Reader // of ConfigMap reporting
	Settings Settings
	Now      func() time.Time
}

// SetupWithManager registers both controllers. Tasks wake what they report on,
// and PaC Repositories, where the cluster has them, what could not be reported.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	builds := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetLabels()[snapshot.RunTypeLabel] == snapshot.BuildRun })
	for _, c := range []struct {
		name, kind string
		object     client.Object
		only       []builder.ForOption
	}{
		{"report", report.KindSnapshot, &v1alpha1.Snapshot{}, nil},
		{"report-build", report.KindBuild, &tektonv1.PipelineRun{}, []builder.ForOption{builder.WithPredicates(builds)}},
	} {
		b := ctrl.NewControllerManagedBy(mgr).Named(c.name).For(c.object, c.only...).
			Watches(&tektonv1.TaskRun{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request { return subjectOf(o, c.kind) }))
		if _, err := mgr.GetRESTMapper().RESTMapping(repositoryObject().GroupVersionKind().GroupKind()); err == nil {
			b = b.Watches(repositoryObject(), handler.EnqueueRequestsFromMapFunc(r.failedIn(c.kind)))
		} else if !meta.IsNoMatchError(err) {
			return fmt.Errorf("looking for the kind of PaC Repositories: %w", err)
		}
		run := reconcile.Func(func(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
			return r.Reconcile(ctx, c.kind, request.NamespacedName)
		})
		if err := b.Complete(run); err != nil {
			return err
		}
	}
	return nil
}

func repositoryObject() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(report.RepositoryVersion)
	u.SetKind("Repository")
	return u
}

// failedIn are the objects of a Repository's namespace that say that they could
// not be reported.
func (r *Reconciler) failedIn(kind string) handler.MapFunc {
	return func(ctx context.Context, repository client.Object) []reconcile.Request {
		var objects []client.Object
		var err error
		if kind == report.KindSnapshot {
			var list v1alpha1.SnapshotList
			err = r.Client.List(ctx, &list, client.InNamespace(repository.GetNamespace()))
			for i := range list.Items {
				objects = append(objects, &list.Items[i])
			}
		} else {
			var list tektonv1.PipelineRunList
			err = r.Client.List(ctx, &list, client.InNamespace(repository.GetNamespace()), client.MatchingLabels{snapshot.RunTypeLabel: snapshot.BuildRun})
			for i := range list.Items {
				objects = append(objects, &list.Items[i])
			}
		}
		if err != nil {
			log.FromContext(ctx).Error(err, "what a Repository mends is not tried at once", "repository", repository.GetName())
		}
		var requests []reconcile.Request
		for _, o := range objects {
			if o.GetAnnotations()[report.FailureAnnotation] != "" {
				requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o)})
			}
		}
		return requests
	}
}

// scope is what the steps of one reconciliation hand on to each other.
type scope struct {
	kind    string
	key     client.ObjectKey
	object  client.Object // nil when it is gone
	subject report.Subject
	books   report.Books
	run     *tektonv1.TaskRun // that reports on the object, or did; nil for none
}

// Reconcile looks at what became of the last task, and starts another where
// something was not told.
func (r *Reconciler) Reconcile(ctx context.Context, kind string, key client.ObjectKey) (ctrl.Result, error) {
	s := &scope{kind: kind, key: key}
	if err := r.load(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	if s.object == nil || !s.object.GetDeletionTimestamp().IsZero() {
		return ctrl.Result{}, r.forget(ctx, s)
	}
	if !r.due(s) {
		return ctrl.Result{}, r.rest(ctx, s)
	}
	if err := r.find(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	if s.run != nil {
		if !s.run.IsDone() || !s.run.DeletionTimestamp.IsZero() {
			return ctrl.Result{}, nil // it tells, and then wakes this
		}
		if err := r.conclude(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
	}
	all, err := r.repositories(ctx, key.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	step := r.decide(s, all)
	if step.Problem != "" {
		if err := r.say(ctx, s, step.Problem); err != nil {
			return ctrl.Result{}, err
		}
	}
	if step.Login == nil {
		return ctrl.Result{RequeueAfter: step.After}, nil
	}
	return r.start(ctx, s, *step.Login)
}

func (r *Reconciler) decide(s *scope, all []report.Repository) report.Step {
	return report.Decide(s.subject, s.books, all, report.App{Secret: r.Settings.AppSecret, API: r.Settings.GitHubAPI}, r.Now())
}

// rest leaves an object of which everything was told, or nothing can be.
func (r *Reconciler) rest(ctx context.Context, s *scope) error {
	if step := r.decide(s, nil); step.Problem != "" {
		return r.say(ctx, s, step.Problem)
	}
	return r.forgetDone(ctx, s)
}

// due reports whether anything was not told.
func (r *Reconciler) due(s *scope) bool {
	for _, t := range s.subject.Targets {
		if len(s.subject.Due(s.books, t, r.Now())) > 0 {
			return true
		}
	}
	return false
}

// load reads the object and what there is to tell of it.
func (r *Reconciler) load(ctx context.Context, s *scope) error {
	if s.kind == report.KindBuild {
		return r.loadBuild(ctx, s)
	}
	object := &v1alpha1.Snapshot{}
	if err := r.Client.Get(ctx, s.key, object); err != nil {
		return client.IgnoreNotFound(err)
	}
	var broken error
	s.object, s.books = object, report.ReadBooks(object)
	s.subject = report.OfSnapshot(object, func(name string) *v1alpha1.Snapshot {
		member := &v1alpha1.Snapshot{}
		if err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.key.Namespace, Name: name}, member); err != nil {
			if !apierrors.IsNotFound(err) {
				broken = err
			}
			return nil
		}
		return member
	})
	return broken
}

func (r *Reconciler) loadBuild(ctx context.Context, s *scope) error {
	run, component, application := &tektonv1.PipelineRun{}, &v1alpha1.Component{}, ""
	if err := r.Client.Get(ctx, s.key, run); err != nil {
		return client.IgnoreNotFound(err)
	}
	s.object, s.books = run, report.ReadBooks(run)
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.key.Namespace, Name: run.Labels[snapshot.ComponentLabel]}, component)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err == nil {
		application = component.Spec.Application
	}
	var scenarios v1beta2.IntegrationTestScenarioList
	var groups v1beta2.ComponentGroupList
	for _, list := range []client.ObjectList{&scenarios, &groups} {
		if err := r.Client.List(ctx, list, client.InNamespace(s.key.Namespace)); err != nil {
			return err
		}
	}
	s.subject = report.OfBuild(run, application, groups.Items, scenarios.Items)
	// A build by hand is of no pull request: its Snapshot says so.
	s.subject.Problem = ""
	return nil
}

// repositories are the namespace's PaC Repositories, none where the cluster
// does not know the kind.
func (r *Reconciler) repositories(ctx context.Context, namespace string) ([]report.Repository, error) {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(report.RepositoryVersion)
	list.SetKind("RepositoryList")
	if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("listing the PaC Repositories: %w", err)
	}
	var all []report.Repository
	for _, item := range list.Items {
		repository, err := report.ReadRepository(item.Object)
		if err != nil {
			log.FromContext(ctx).Error(err, "a PaC Repository is left out", "repository", item.GetName())
			continue
		}
		all = append(all, repository)
	}
	return all, nil
}

// say writes on the object why something cannot be reported, once.
func (r *Reconciler) say(ctx context.Context, s *scope, problem string) error {
	if text := s.books.Text(); text != "" {
		problem = strings.Join([]string{problem, text}, "; ")
	}
	return r.annotate(ctx, s, map[string]string{report.FailureAnnotation: problem})
}

func (r *Reconciler) annotate(ctx context.Context, s *scope, annotations map[string]string) error {
	before := s.object.DeepCopyObject().(client.Object)
	now, changed := s.object.GetAnnotations(), false
	if now == nil {
		now = map[string]string{}
	}
	for k, v := range annotations {
		changed = changed || now[k] != v
		now[k] = v
	}
	if !changed {
		return nil
	}
	s.object.SetAnnotations(now)
	// The task writes the same annotations.
	return client.IgnoreNotFound(r.Client.Patch(ctx, s.object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}
