package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/release"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Facts are what is there of a chain; what is not is nil.
type Facts struct {
	Component string // whose latest build this is, if that was asked
	Build     *tektonv1.PipelineRun
	Snapshots []SnapshotFacts
	Now       time.Time
}

// SnapshotFacts are a Snapshot and what it meets.
type SnapshotFacts struct {
	Snapshot   *v1alpha1.Snapshot
	Scenarios  []v1beta2.IntegrationTestScenario // of its application or group
	Plans      []v1alpha1.ReleasePlan            // likewise
	Others     []v1alpha1.Snapshot               // of its component
	Releases   []v1alpha1.Release                // of it
	Admissions map[string]Admissions             // by the plans' targets
}

// Admissions are those of one namespace.
type Admissions struct {
	Items     []v1alpha1.ReleasePlanAdmission
	Forbidden bool // the asker may not read them
}

// reader reads one namespace.
type reader struct {
	client.Reader
	namespace string
}

func read(ctx context.Context, c client.Reader, subject Subject) (Facts, error) {
	r := reader{c, subject.Namespace}
	facts := Facts{Now: time.Now()}
	missing := &NotFoundError{subject}
	switch subject.Kind {
	case "component":
		component, err := get(ctx, r, subject.Name, &v1alpha1.Component{})
		if err != nil || component == nil {
			return facts, firstOf(err, missing)
		}
		facts.Component = subject.Name
		return r.latest(ctx, facts, subject.Name)
	case "pipelinerun":
		run, err := get(ctx, r, subject.Name, &tektonv1.PipelineRun{})
		if err != nil || run == nil {
			return facts, firstOf(err, missing)
		}
		return r.ofRun(ctx, facts, run)
	case "snapshot":
		s, err := get(ctx, r, subject.Name, &v1alpha1.Snapshot{})
		if err != nil || s == nil {
			return facts, firstOf(err, missing)
		}
		return r.ofSnapshot(ctx, facts, s, "")
	case "release":
		rel, err := get(ctx, r, subject.Name, &v1alpha1.Release{})
		if err != nil || rel == nil {
			return facts, firstOf(err, missing)
		}
		return r.ofRelease(ctx, facts, rel)
	}
	return facts, fmt.Errorf("nothing is known of kind %q", subject.Kind)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// get reads an object of the namespace; one that is not there is nil.
func get[T client.Object](ctx context.Context, r reader, name string, into T) (T, error) {
	var none T
	err := r.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("reading %q: %w", name, err)
	}
	return into, nil
}

// latest is the chain of a component's latest build, or of its latest Snapshot
// when that outlived the build.
func (r reader) latest(ctx context.Context, facts Facts, component string) (Facts, error) {
	var runs tektonv1.PipelineRunList
	err := r.List(ctx, &runs, client.InNamespace(r.namespace),
		client.MatchingLabels{snapshot.RunTypeLabel: snapshot.BuildRun, snapshot.ComponentLabel: component})
	if err != nil {
		return facts, fmt.Errorf("listing builds: %w", err)
	}
	var snapshots v1alpha1.SnapshotList
	if err := r.List(ctx, &snapshots, client.InNamespace(r.namespace), client.MatchingLabels{snapshot.ComponentLabel: component}); err != nil {
		return facts, fmt.Errorf("listing Snapshots: %w", err)
	}
	slices.SortFunc(runs.Items, func(a, b tektonv1.PipelineRun) int { return snapshot.Started(&b).Compare(snapshot.Started(&a)) })
	slices.SortFunc(snapshots.Items, func(a, b v1alpha1.Snapshot) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	switch {
	case len(runs.Items) > 0:
		return r.ofRun(ctx, facts, &runs.Items[0])
	case len(snapshots.Items) > 0:
		return r.ofSnapshot(ctx, facts, &snapshots.Items[0], "")
	}
	return facts, nil
}

// ofRun is the chain of a run: of a build, or of what a test or a release's
// pipeline runs for.
func (r reader) ofRun(ctx context.Context, facts Facts, run *tektonv1.PipelineRun) (Facts, error) {
	switch {
	case run.Labels[snapshot.RunTypeLabel] == snapshot.TestRun:
		s, err := get(ctx, r, run.Labels[snapshot.SnapshotKey], &v1alpha1.Snapshot{})
		if err != nil || s == nil {
			return facts, firstOf(err, &NotFoundError{Subject{"snapshot", r.namespace, run.Labels[snapshot.SnapshotKey]}})
		}
		return r.ofSnapshot(ctx, facts, s, "")
	case run.Labels[release.NameLabel] != "":
		r.namespace = run.Labels[release.NamespaceLabel]
		rel, err := get(ctx, r, run.Labels[release.NameLabel], &v1alpha1.Release{})
		if err != nil || rel == nil {
			return facts, firstOf(err, &NotFoundError{Subject{"release", r.namespace, run.Labels[release.NameLabel]}})
		}
		return r.ofRelease(ctx, facts, rel)
	}
	facts.Build = run
	var list v1alpha1.SnapshotList
	if err := r.List(ctx, &list, client.InNamespace(r.namespace), client.MatchingLabels{snapshot.BuildLabel: run.Name}); err != nil {
		return facts, fmt.Errorf("listing Snapshots: %w", err)
	}
	for i := range list.Items {
		if !snapshot.Of(&list.Items[i], run) {
			continue
		}
		met, err := r.meets(ctx, &list.Items[i], "")
		if err != nil {
			return facts, err
		}
		facts.Snapshots = append(facts.Snapshots, met)
	}
	return facts, nil
}

func (r reader) ofRelease(ctx context.Context, facts Facts, rel *v1alpha1.Release) (Facts, error) {
	s, err := get(ctx, r, rel.Spec.Snapshot, &v1alpha1.Snapshot{})
	if err != nil {
		return facts, err
	}
	if s == nil {
		// The Release's own conditions are all that is left.
		s = &v1alpha1.Snapshot{}
		s.Namespace, s.Name = r.namespace, rel.Spec.Snapshot
		met, err := r.meets(ctx, s, rel.Name)
		met.Snapshot = nil
		facts.Snapshots = []SnapshotFacts{met}
		return facts, err
	}
	return r.ofSnapshot(ctx, facts, s, rel.Name)
}

// ofSnapshot is the chain of a Snapshot, from the build that made it; only
// names the one Release to tell about, empty for all.
func (r reader) ofSnapshot(ctx context.Context, facts Facts, s *v1alpha1.Snapshot, only string) (Facts, error) {
	if name := s.Labels[snapshot.BuildLabel]; name != "" {
		run, err := get(ctx, r, name, &tektonv1.PipelineRun{})
		if err != nil {
			return facts, err
		}
		if run != nil && snapshot.Of(s, run) {
			facts.Build = run
		}
	}
	met, err := r.meets(ctx, s, only)
	facts.Snapshots = []SnapshotFacts{met}
	return facts, err
}

// meets reads what a Snapshot is tested with and released by.
func (r reader) meets(ctx context.Context, s *v1alpha1.Snapshot, only string) (SnapshotFacts, error) {
	f := SnapshotFacts{Snapshot: s, Admissions: map[string]Admissions{}}
	var scenarios v1beta2.IntegrationTestScenarioList
	var plans v1alpha1.ReleasePlanList
	var releases v1alpha1.ReleaseList
	var others v1alpha1.SnapshotList
	component := client.MatchingLabels{snapshot.ComponentLabel: s.Labels[snapshot.ComponentLabel]}
	here := client.InNamespace(r.namespace)
	if err := firstOf(r.List(ctx, &scenarios, here), r.List(ctx, &plans, here), r.List(ctx, &releases, here), r.List(ctx, &others, here, component)); err != nil {
		return f, err
	}
	f.Others = others.Items
	for _, rel := range releases.Items {
		if rel.Spec.Snapshot == s.Name && (only == "" || rel.Name == only) {
			f.Releases = append(f.Releases, rel)
		}
	}
	slices.SortFunc(f.Releases, func(a, b v1alpha1.Release) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for _, scenario := range scenarios.Items {
		if scenario.Spec.Application == s.Spec.Application && scenario.Spec.ComponentGroup == s.Spec.ComponentGroup {
			f.Scenarios = append(f.Scenarios, scenario)
		}
	}
	for _, plan := range plans.Items {
		named := slices.ContainsFunc(f.Releases, func(rel v1alpha1.Release) bool { return rel.Spec.ReleasePlan == plan.Name })
		if named || only == "" && plan.Spec.Application == s.Spec.Application && plan.Spec.ComponentGroup == s.Spec.ComponentGroup {
			f.Plans = append(f.Plans, plan)
		}
	}
	slices.SortFunc(f.Plans, func(a, b v1alpha1.ReleasePlan) int { return strings.Compare(a.Name, b.Name) })
	for _, plan := range f.Plans {
		target := plan.Spec.Target
		if _, ok := f.Admissions[target]; target == "" || ok {
			continue
		}
		var list v1alpha1.ReleasePlanAdmissionList
		err := r.List(ctx, &list, client.InNamespace(target))
		if err != nil && !apierrors.IsForbidden(err) {
			return f, err
		}
		f.Admissions[target] = Admissions{Items: list.Items, Forbidden: err != nil}
	}
	return f, nil
}
