package report

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Label is on every task that reports: its value tells which object it is on.
const Label = "headrace.dev/report-on"

// What a task is about, in annotations: a label has no room for it.
const (
	kindKey       = "headrace.dev/report-kind"
	namespaceKey  = "headrace.dev/report-namespace"
	nameKey       = "headrace.dev/report-name"
	repositoryKey = "headrace.dev/report-repository"
	attemptsKey   = "headrace.dev/report-attempts"
)

const (
	// taskName is the task's, in its bundle.
	taskName = "report-status"
	// account is who it runs as, and the role that it has where the object is.
	account = "headrace-reporter"
	// configName is the ConfigMap that says which task reports.
	configName = "reporting"
	bundleKey  = "bundle"
	// timeout is longer than the task waits for a host that wants it.
	timeout = 15 * time.Minute
)

// id is short for what is reported on.
func id(kind string, key client.ObjectKey) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + key.Namespace + "\x00" + key.Name))
	return hex.EncodeToString(sum[:10])
}

// subjectOf is what a task reports on, when it is of the kind.
func subjectOf(run client.Object, kind string) []reconcile.Request {
	a := run.GetAnnotations()
	if a[kindKey] != kind || a[nameKey] == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: a[namespaceKey], Name: a[nameKey]}}}
}

// find is the object's task, wherever it runs.
func (r *Reconciler) find(ctx context.Context, s *scope) error {
	all, err := r.runs(ctx, s.kind, s.key)
	if err != nil || len(all) == 0 {
		return err
	}
	s.run = &all[0]
	for i := range all { // one at a time: what still runs counts first
		if !all[i].IsDone() {
			s.run = &all[i]
		}
	}
	return nil
}

func (r *Reconciler) runs(ctx context.Context, kind string, key client.ObjectKey) ([]tektonv1.TaskRun, error) {
	var list tektonv1.TaskRunList
	if err := r.Tasks.List(ctx, &list, client.MatchingLabels{Label: id(kind, key)}); err != nil {
		return nil, fmt.Errorf("listing the tasks that report: %w", err)
	}
	return list.Items, nil
}

// forget deletes the task of an object that is gone: where it runs in another
// namespace nobody else does.
func (r *Reconciler) forget(ctx context.Context, s *scope) error {
	all, err := r.runs(ctx, s.kind, s.key)
	for i := range all {
		err = errors.Join(err, r.delete(ctx, &all[i]))
	}
	return err
}

// forgetDone deletes tasks that have told everything.
func (r *Reconciler) forgetDone(ctx context.Context, s *scope) error {
	all, err := r.runs(ctx, s.kind, s.key)
	for i := range all {
		if all[i].IsDone() {
			err = errors.Join(err, r.delete(ctx, &all[i]))
		}
	}
	return err
}

func (r *Reconciler) delete(ctx context.Context, run *tektonv1.TaskRun) error {
	if !run.DeletionTimestamp.IsZero() {
		return nil
	}
	return client.IgnoreNotFound(r.Client.Delete(ctx, run))
}

// conclude writes down a task that failed and did not get to say so itself, as
// one whose pod could not start. It stays, with its log, until there is another.
func (r *Reconciler) conclude(ctx context.Context, s *scope) error {
	condition := s.run.Status.GetCondition(apis.ConditionSucceeded)
	name := s.run.Annotations[repositoryKey]
	before, err := strconv.Atoi(s.run.Annotations[attemptsKey])
	if condition.IsTrue() || err != nil || s.books.Failures[name].Attempts > before {
		return nil
	}
	all, err := r.repositories(ctx, s.key.Namespace)
	if err != nil {
		return err
	}
	repository := report.Repository{Name: name}
	for _, known := range all {
		if known.Name == name {
			repository = known
		}
	}
	text := fmt.Sprintf("task %s/%s failed: %s", s.run.Namespace, s.run.Name, condition.Message)
	s.books.Fail(repository, text, false, 0, r.Now())
	return r.annotate(ctx, s, map[string]string{report.BooksAnnotation: s.books.String(), report.FailureAnnotation: s.books.Text()})
}

// start starts a task, unless it must wait: for the last one to be gone, for
// what was said before there was a Snapshot, or for others.
func (r *Reconciler) start(ctx context.Context, s *scope, login report.Login) (ctrl.Result, error) {
	bundle, problem, err := r.bundle(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if problem != "" {
		return ctrl.Result{RequeueAfter: switchedOff}, r.say(ctx, s, problem)
	}
	if s.run != nil {
		return ctrl.Result{}, r.delete(ctx, s.run) // its end wakes this
	}
	if wait, err := r.mustWait(ctx, s); wait || err != nil {
		return ctrl.Result{RequeueAfter: busy}, err
	}
	run, err := r.newRun(s, login, bundle)
	if err != nil {
		return ctrl.Result{}, err
	}
	for _, o := range r.rights(s, run.Namespace) {
		if err := r.Client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			return ctrl.Result{}, fmt.Errorf("preparing namespace %s for reports: %w", o.GetNamespace(), err)
		}
	}
	err = r.Client.Create(ctx, run)
	switch {
	case apierrors.IsAlreadyExists(err):
		return ctrl.Result{RequeueAfter: busy}, nil // the cache lags behind
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("creating the task that reports: %w", err)
	}
	log.FromContext(ctx).Info("started a report", "kind", s.kind, "namespace", s.key.Namespace, "name", s.key.Name, "task", run.Name)
	return ctrl.Result{}, nil
}

// mustWait reports whether another task is to end first.
func (r *Reconciler) mustWait(ctx context.Context, s *scope) (bool, error) {
	if build := s.object.GetLabels()[snapshot.BuildLabel]; s.kind == report.KindSnapshot && build != "" {
		// "Pending" must not arrive after "passed".
		before, err := r.runs(ctx, report.KindBuild, client.ObjectKey{Namespace: s.key.Namespace, Name: build})
		if err != nil {
			return false, err
		}
		for i := range before {
			if !before[i].IsDone() {
				return true, nil
			}
		}
	}
	if r.Settings.Most == 0 {
		return false, nil
	}
	var all tektonv1.TaskRunList
	if err := r.Tasks.List(ctx, &all, client.HasLabels{Label}); err != nil {
		return false, fmt.Errorf("listing the tasks that report: %w", err)
	}
	running := 0
	for i := range all.Items {
		if !all.Items[i].IsDone() {
			running++
		}
	}
	return running >= r.Settings.Most, nil
}

// bundle is the task's, or why there is none: then nothing is reported.
func (r *Reconciler) bundle(ctx context.Context) (bundle, problem string, err error) {
	var config corev1.ConfigMap
	err = r.Config.Get(ctx, client.ObjectKey{Namespace: r.Settings.Namespace, Name: configName}, &config)
	if client.IgnoreNotFound(err) != nil {
		return "", "", fmt.Errorf("reading which task reports: %w", err)
	}
	if bundle = config.Data[bundleKey]; bundle == "" {
		return "", fmt.Sprintf("reporting is off: ConfigMap %s/%s names no bundle of task %s; an operator sets it with `install reporting`",
			r.Settings.Namespace, configName, taskName), nil
	}
	return bundle, "", nil
}

// newRun is the task for an object. It has the same name each time, so that
// there is one at a time.
func (r *Reconciler) newRun(s *scope, login report.Login, bundle string) (*tektonv1.TaskRun, error) {
	name := id(s.kind, s.key)
	run := &tektonv1.TaskRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.key.Namespace, Name: strings.TrimRight(s.key.Name[:min(len(s.key.Name), 35)], "-.") + "-report-" + name,
			Labels: map[string]string{Label: name},
			Annotations: map[string]string{
				kindKey: s.kind, namespaceKey: s.key.Namespace, nameKey: s.key.Name, repositoryKey: login.Repository.Name,
				attemptsKey: strconv.Itoa(s.books.Failures[login.Repository.Name].Attempts),
			},
		},
		Spec: tektonv1.TaskRunSpec{
			ServiceAccountName: account,
			Timeout:            &metav1.Duration{Duration: timeout},
			TaskRef: &tektonv1.TaskRef{ResolverRef: tektonv1.ResolverRef{Resolver: "bundles", Params: params(
				"name", taskName, "bundle", bundle, "kind", "task")}},
			Params: params("resource", s.key.Namespace+"/"+s.key.Name, "resourceType", strings.ToLower(s.kind),
				"repository", login.Repository.Name, "provider", login.Provider, "secretName", login.Secret, "secretKey", login.Key,
				"consoleName", r.Settings.ConsoleName, "consoleUrl", r.Settings.RunURL, "consoleUrlTaskLog", r.Settings.TaskURL,
				"consoleUrlSnapshot", r.Settings.SnapshotURL),
		},
	}
	if login.Provider != report.GitHubApp {
		return run, controllerutil.SetOwnerReference(s.object, run, r.Client.Scheme())
	}
	// The App's key stays where it is; an owner cannot be elsewhere.
	run.Namespace = r.Settings.AppNamespace
	run.Spec.Params = append(run.Spec.Params, params("githubApiUrl", r.Settings.GitHubAPI)...)
	return run, nil
}

// params are names and values; a param without a value keeps its default.
func params(pairs ...string) tektonv1.Params {
	var all tektonv1.Params
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all = append(all, tektonv1.Param{Name: pairs[i], Value: *tektonv1.NewStructuredValues(pairs[i+1])})
		}
	}
	return all
}

// rights are the task's account, where it runs, and its role where the object
// is.
func (r *Reconciler) rights(s *scope, namespace string) []client.Object {
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: account},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: account},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account}},
	}
	if namespace != s.key.Namespace {
		binding.Name += "-app"
	}
	return []client.Object{&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}, binding}
}
