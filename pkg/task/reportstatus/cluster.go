package reportstatus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	konfluxv1alpha1 "github.com/headrace-ci/headrace/pkg/apis/konflux/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/report"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// load reads what is reported on. An object that is gone is nil: nobody waits
// for a report on it.
func (t *task) load(ctx context.Context) (client.Object, report.Subject, error) {
	if t.kind == report.KindBuild {
		return t.loadBuild(ctx)
	}
	s := &v1alpha1.Snapshot{}
	if err := t.Client.Get(ctx, t.key, s); err != nil {
		return nil, report.Subject{}, gone(ctx, fmt.Errorf("reading Snapshot %q: %w", t.Resource, err))
	}
	var broken error
	subject := report.OfSnapshot(s, func(name string) *v1alpha1.Snapshot {
		if name == s.Name {
			return s
		}
		member := &v1alpha1.Snapshot{}
		if err := t.Client.Get(ctx, client.ObjectKey{Namespace: t.key.Namespace, Name: name}, member); err != nil {
			if !apierrors.IsNotFound(err) {
				broken = fmt.Errorf("reading Snapshot %q of the group: %w", name, err)
			}
			return nil
		}
		return member
	})
	return s, subject, broken
}

func (t *task) loadBuild(ctx context.Context) (client.Object, report.Subject, error) {
	run := &tektonv1.PipelineRun{}
	if err := t.Client.Get(ctx, t.key, run); err != nil {
		return nil, report.Subject{}, gone(ctx, fmt.Errorf("reading PipelineRun %q: %w", t.Resource, err))
	}
	application := ""
	component := &v1alpha1.Component{}
	name := run.Labels[snapshot.ComponentLabel]
	err := t.Client.Get(ctx, client.ObjectKey{Namespace: t.key.Namespace, Name: name}, component)
	if client.IgnoreNotFound(err) != nil {
		return nil, report.Subject{}, fmt.Errorf("reading Component %q: %w", name, err)
	}
	if err == nil {
		application = component.Spec.Application
	}
	var scenarios v1beta2.IntegrationTestScenarioList
	var groups v1beta2.ComponentGroupList
	for what, list := range map[string]client.ObjectList{"scenarios": &scenarios, "component groups": &groups} {
		if err := t.Client.List(ctx, list, client.InNamespace(t.key.Namespace)); err != nil {
			return nil, report.Subject{}, fmt.Errorf("listing the %s: %w", what, err)
		}
	}
	return run, report.OfBuild(run, application, groups.Items, scenarios.Items), nil
}

func gone(ctx context.Context, err error) error {
	if !apierrors.IsNotFound(err) {
		return err
	}
	slog.InfoContext(ctx, "nothing to report on", "reason", err.Error())
	return nil
}

// repository reads the PaC Repository.
func (t *task) repository(ctx context.Context) (report.Repository, error) {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(report.RepositoryVersion)
	u.SetKind("Repository")
	if err := t.Client.Get(ctx, client.ObjectKey{Namespace: t.key.Namespace, Name: t.Repository}, u); err != nil {
		return report.Repository{}, fmt.Errorf("reading PaC Repository %q: %w", t.Repository, err)
	}
	return report.ReadRepository(u.Object)
}

// muted reports whether a component's pull requests get no comments.
func (t *task) muted(ctx context.Context, target report.Target, repository report.Repository) (bool, error) {
	if repository.Muted {
		return true, nil
	}
	key := client.ObjectKey{Namespace: t.key.Namespace, Name: target.Component}
	var old v1alpha1.Component
	var versioned konfluxv1alpha1.Component
	for _, c := range []struct {
		component client.Object
		settings  **v1alpha1.RepositorySettings
	}{{&old, &old.Spec.RepositorySettings}, {&versioned, &versioned.Spec.RepositorySettings}} {
		err := t.Client.Get(ctx, key, c.component)
		switch {
		case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
			continue // one that was deleted is not muted
		case err != nil:
			return false, fmt.Errorf("reading Component %q: %w", target.Component, err)
		}
		if report.Muted(c.component.GetAnnotations()[report.MuteAnnotation]) || *c.settings != nil && report.Muted((*c.settings).CommentStrategy) {
			return true, nil
		}
	}
	return false, nil
}

// tasks are what ran in a test, the first first. What is not there any more, or
// may not be read, is left out: the verdict stands in the Snapshot.
func (t *task) tasks(ctx context.Context, run string) []tektonv1.TaskRun {
	if run == "" {
		return nil
	}
	if known, ok := t.runs[run]; ok {
		return known
	}
	var all tektonv1.TaskRunList
	if err := t.Client.List(ctx, &all, client.InNamespace(t.key.Namespace), client.MatchingLabels{"tekton.dev/pipelineRun": run}); err != nil {
		slog.WarnContext(ctx, "the report lacks the table of tasks", "run", run, "error", err.Error())
		return nil
	}
	slices.SortStableFunc(all.Items, func(a, b tektonv1.TaskRun) int {
		if n := startOf(a).Compare(startOf(b)); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	t.runs[run] = all.Items
	return all.Items
}

func startOf(run tektonv1.TaskRun) time.Time {
	if run.Status.StartTime != nil {
		return run.Status.StartTime.Time
	}
	return run.CreationTimestamp.Time
}

// write puts on the object what was told, and what could not be.
func (t *task) write(ctx context.Context, object client.Object, subject report.Subject, books report.Books) error {
	annotations := map[string]any{report.BooksAnnotation: books.String(), report.FailureAnnotation: nil}
	if text := books.Text(); text != "" {
		annotations[report.FailureAnnotation] = text
	}
	if t.kind == report.KindBuild && len(books.Failures) == 0 && len(subject.Lines) > 0 {
		annotations[report.BuildAnnotation] = subject.Lines[0].Status
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	// A server that is busy is worth a moment: the next task would ask the git
	// host everything again.
	err = retry.OnError(retry.DefaultBackoff, busy, func() error {
		return t.Client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
	})
	if err != nil {
		return gone(ctx, fmt.Errorf("writing on %s %q what was reported: %w", t.kind, t.Resource, err))
	}
	return nil
}

func busy(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err)
}
