// Package release runs the pipelines of Releases, each in its namespace, and
// tells how they end.
package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/controllers/internal/lastwords"
	"github.com/headrace-ci/headrace/pkg/release"
)

// Condition types and reasons, as upstream has them.
const (
	validated        = "Validated"
	tenantProcessed  = "TenantPipelineProcessed"
	managedProcessed = "ManagedPipelineProcessed"
	finalProcessed   = "FinalPipelineProcessed"
	released         = "Released"

	progressing = "Progressing"
	succeeded   = "Succeeded"
	failed      = "Failed"
	skipped     = "Skipped"
)

// automatedWithin is how long the mark of an automated Release may take.
const automatedWithin = 5 * time.Minute

// Reconciler reconciles Releases.
type Reconciler struct {
	Client client.Client
	// Reader sees what is there now; SetupWithManager sets it.
	Reader client.Reader
	// Logs returns the end of a container's log; SetupWithManager sets it.
	Logs lastwords.Logs
	// ConfigNamespace holds the ReleaseServiceConfig, which may be absent.
	ConfigNamespace string
	Now             func() time.Time
}

// scope is what the steps of one reconciliation hand on to each other.
type scope struct {
	facts  release.Facts
	config *v1alpha1.ReleaseServiceConfig
}

// step does one thing, idempotently. False with a nil error means that there
// is nothing to do until something changes.
type step func(context.Context, *scope) (next bool, err error)

// SetupWithManager registers the reconciler. A run wakes the Release that its
// annotations name, because it may be in another namespace.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.Reader = mgr.GetAPIReader()
	var err error
	if r.Logs, err = lastwords.FromPods(mgr.GetConfig()); err != nil {
		return err
	}
	owner := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		namespace, name, ok := strings.Cut(o.GetAnnotations()[release.OwnerKey], "/")
		if !ok || o.GetAnnotations()[release.OwnerTypeKey] != release.OwnerType {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: namespace, Name: name}}}
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("release").
		For(&v1alpha1.Release{}).
		Watches(&tektonv1.PipelineRun{}, owner).
		Complete(reconcile.AsReconciler(mgr.GetClient(), r))
}

// Reconcile runs a Release's stages one after the other. Its status is written
// once, at the end.
func (r *Reconciler) Reconcile(ctx context.Context, rel *v1alpha1.Release) (_ ctrl.Result, err error) {
	if !rel.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.cleanUp(ctx, rel)
	}
	if c := condition(rel, released); c != nil && c.Reason != progressing {
		return ctrl.Result{}, nil
	}
	before := rel.DeepCopy()
	defer func() {
		if equality.Semantic.DeepEqual(before.Status, rel.Status) {
			return
		}
		base := rel.DeepCopy()
		base.Status = before.Status
		if perr := r.Client.Status().Patch(ctx, rel, client.MergeFrom(base)); client.IgnoreNotFound(perr) != nil {
			err = fmt.Errorf("patching status: %w", perr)
		}
	}()
	s := &scope{facts: release.Facts{Release: rel}}
	for _, run := range []step{r.begin, r.load, r.validate, r.tenant, r.managed, r.final, r.complete} {
		next, err := run(ctx, s)
		var wait waitError
		if errors.As(err, &wait) {
			return ctrl.Result{RequeueAfter: wait.after}, nil
		}
		if err != nil || !next {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{}, nil
}

// waitError asks to be tried again after a time.
type waitError struct{ after time.Duration }

func (e waitError) Error() string { return "waiting" }

// begin marks the Release as under way, and keeps it until its runs are gone.
func (r *Reconciler) begin(ctx context.Context, s *scope) (bool, error) {
	rel := s.facts.Release
	if !controllerutil.ContainsFinalizer(rel, release.Finalizer) {
		before, status := rel.DeepCopy(), rel.Status
		controllerutil.AddFinalizer(rel, release.Finalizer)
		label(rel)
		if err := r.Client.Patch(ctx, rel, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return false, err
		}
		rel.Status = status
	}
	if rel.Status.StartTime == nil {
		now := metav1.NewTime(r.Now())
		rel.Status.StartTime = &now
		r.set(rel, released, metav1.ConditionFalse, progressing, "the release is under way")
	}
	return true, nil
}

// label labels a Release made by hand as the integration service does, so that
// both are found alike.
func label(rel *v1alpha1.Release) {
	for key, value := range map[string]string{release.SnapshotLabel: rel.Spec.Snapshot, release.PlanLabel: rel.Spec.ReleasePlan} {
		if rel.Labels[key] == "" {
			metav1.SetMetaDataLabel(&rel.ObjectMeta, key, value)
		}
	}
}

// load reads what the Release refers to.
func (r *Reconciler) load(ctx context.Context, s *scope) (bool, error) {
	f := &s.facts
	s.config = &v1alpha1.ReleaseServiceConfig{}
	s.config.Namespace, s.config.Name = r.ConfigNamespace, "release-service-config"
	if _, err := get(ctx, r.Client, client.ObjectKeyFromObject(s.config), s.config); err != nil {
		return false, err
	}
	s.config.Namespace, s.config.Name, f.Debug = r.ConfigNamespace, "release-service-config", s.config.Spec.Debug
	var err error
	if f.Plan, err = get(ctx, r.Client, client.ObjectKey{Namespace: f.Release.Namespace, Name: f.Release.Spec.ReleasePlan}, &v1alpha1.ReleasePlan{}); err != nil {
		return false, err
	}
	if f.Snapshot, err = get(ctx, r.Client, client.ObjectKey{Namespace: f.Release.Namespace, Name: f.Release.Spec.Snapshot}, &v1alpha1.Snapshot{}); err != nil {
		return false, err
	}
	if f.Plan == nil || f.Plan.Spec.Target == "" {
		return true, nil
	}
	var admissions v1alpha1.ReleasePlanAdmissionList
	if err := r.Client.List(ctx, &admissions, client.InNamespace(f.Plan.Spec.Target)); err != nil {
		return false, err
	}
	if f.Admission, f.MatchProblem = release.Admission(f.Plan, admissions.Items); f.Admission == nil {
		return true, nil
	}
	f.Policy, err = get(ctx, r.Client, client.ObjectKey{Namespace: f.Admission.Namespace, Name: f.Admission.Spec.Policy}, &v1alpha1.EnterpriseContractPolicy{})
	return err == nil, err
}

// get reads an object; one that is not there is nil.
func get[T client.Object](ctx context.Context, c client.Reader, key client.ObjectKey, into T) (T, error) {
	err := c.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		var none T
		return none, nil
	}
	return into, err
}

// validate ends a Release that cannot run, with the reason.
func (r *Reconciler) validate(_ context.Context, s *scope) (bool, error) {
	rel := s.facts.Release
	if c := condition(rel, validated); c != nil && c.Status == metav1.ConditionTrue {
		return true, nil
	}
	now := metav1.NewTime(r.Now())
	// Only the integration service can write the mark in status; a label that
	// says automated is not enough.
	if rel.Labels[release.AutomatedLabel] == "true" && !rel.Status.Automated {
		if r.Now().Sub(rel.CreationTimestamp.Time) < automatedWithin {
			return false, waitError{time.Second}
		}
		return false, r.refuse(rel, now, fmt.Sprintf("label %s says that the integration service made this Release, and status.automated says that it did not", release.AutomatedLabel))
	}
	if err := release.Validate(s.facts); err != nil {
		return false, r.refuse(rel, now, err.Error())
	}
	attribution := release.Attribution(s.facts)
	rel.Status.Attribution, rel.Status.Target = &attribution, s.facts.Plan.Spec.Target
	rel.Status.Validation = &v1alpha1.ValidationInfo{Time: &now}
	expires := metav1.NewTime(release.Expiration(s.facts))
	rel.Status.ExpirationTime = &expires
	r.set(rel, validated, metav1.ConditionTrue, succeeded, "")
	return true, nil
}

func (r *Reconciler) refuse(rel *v1alpha1.Release, now metav1.Time, message string) error {
	rel.Status.Validation = &v1alpha1.ValidationInfo{FailedPostValidation: true, Time: &now}
	rel.Status.CompletionTime = &now
	r.set(rel, validated, metav1.ConditionFalse, failed, message)
	r.set(rel, released, metav1.ConditionFalse, failed, "Release validation failed: "+message)
	return nil
}

// complete tells how it all ended.
func (r *Reconciler) complete(_ context.Context, s *scope) (bool, error) {
	rel := s.facts.Release
	now := metav1.NewTime(r.Now())
	rel.Status.CompletionTime = &now
	for _, stage := range []string{tenantProcessed, managedProcessed, finalProcessed} {
		if c := condition(rel, stage); c != nil && c.Reason == failed {
			r.set(rel, released, metav1.ConditionFalse, failed, "Release processing failed: "+stage+": "+c.Message)
			return false, nil
		}
	}
	r.set(rel, released, metav1.ConditionTrue, succeeded, "")
	return true, nil
}

// maxMessage is the longest message that the API server takes.
const maxMessage = 32768

func (r *Reconciler) set(rel *v1alpha1.Release, kind string, status metav1.ConditionStatus, reason, message string) {
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	message = strings.ToValidUTF8(message, "")
	meta.SetStatusCondition(&rel.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: rel.Generation,
		LastTransitionTime: metav1.NewTime(r.Now()),
	})
}

func condition(rel *v1alpha1.Release, kind string) *metav1.Condition {
	return meta.FindStatusCondition(rel.Status.Conditions, kind)
}
