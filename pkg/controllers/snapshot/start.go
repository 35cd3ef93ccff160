package snapshot

import (
	"context"
	"fmt"
	"maps"
	"slices"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// rerun has tested again what the Snapshot's label asks for. That is written
// down, and the label goes, before a run is made.
func (r *Reconciler) rerun(ctx context.Context, sc *scope) (bool, error) {
	wanted, ok := sc.snapshot.Labels[snapshot.RerunLabel]
	if !ok {
		return true, nil
	}
	decision := snapshot.DecideRerun(wanted, sc.scenarios, sc.tests, sc.snapshot)
	sc.note = &decision
	for _, name := range decision.Start {
		scenario := sc.scenarios[name]
		test := r.line(sc, scenario)
		test.RunAfter, test.Optional = nil, snapshot.Optional(scenario)
		if len(decision.Start) > 1 || name != wanted {
			test.RunAfter = sc.graph.Before(name)
		}
		test.Again(snapshot.RerunDetails, nil, r.Now())
	}
	if len(decision.Start) == 0 {
		return true, nil
	}
	_, err := r.judge(ctx, sc)
	return false, err
}

// refuse takes the label off a Snapshot that is tested no more.
func (r *Reconciler) refuse(_ context.Context, sc *scope) (bool, error) {
	if _, ok := sc.snapshot.Labels[snapshot.RerunLabel]; ok {
		sc.note = &snapshot.Rerun{Reason: snapshot.NotTested, Detail: "condition " + snapshot.IntegrationCondition + " says why this Snapshot is tested no more"}
	}
	return true, nil
}

// line is a scenario's test, a new one if there is none.
func (r *Reconciler) line(sc *scope, scenario *v1beta2.IntegrationTestScenario) *snapshot.Test {
	if test := sc.tests.Find(scenario.Name); test != nil {
		return test
	}
	sc.tests = append(sc.tests, snapshot.Test{
		Scenario: scenario.Name, Optional: snapshot.Optional(scenario), RunAfter: sc.graph.Before(scenario.Name),
	})
	test := &sc.tests[len(sc.tests)-1]
	test.Set(snapshot.Pending, "", r.Now())
	return test
}

// test starts every test whose turn it is.
func (r *Reconciler) test(ctx context.Context, sc *scope) (bool, error) {
	if !concluded(sc.snapshot) {
		for _, name := range slices.Sorted(maps.Keys(sc.scenarios)) {
			if scenario := sc.scenarios[name]; snapshot.Applies(scenario, sc.snapshot) {
				r.line(sc, scenario).Optional = snapshot.Optional(scenario)
			}
		}
	}
	// A scenario that is gone is tested by no more.
	sc.tests = slices.DeleteFunc(sc.tests, func(t snapshot.Test) bool {
		return t.Status == snapshot.Pending && t.Run == "" && sc.scenarios[t.Scenario] == nil
	})
	if snapshot.AwaitsCheck(sc.snapshot) {
		return false, nil
	}
	// A test that is kept from running keeps those after it from running too.
	for changed := true; changed; {
		changed = false
		for i := range sc.tests {
			test := &sc.tests[i]
			if test.Status != snapshot.Pending {
				continue
			}
			if err := r.consider(ctx, sc, test); err != nil {
				sc.failures = append(sc.failures, err)
				continue
			}
			changed = changed || test.Final()
		}
		if len(sc.failures) > 0 {
			break
		}
	}
	// Those that run are followed even if another cannot be started.
	return true, nil
}

// consider starts a pending test, or says on it what it waits for.
func (r *Reconciler) consider(ctx context.Context, sc *scope, test *snapshot.Test) error {
	scenario := sc.scenarios[test.Scenario]
	if scenario == nil {
		test.Set(snapshot.Deleted, "the scenario was deleted", r.Now())
		return nil
	}
	switch standing, why := sc.graph.Stands(*test, sc.tests); standing {
	case snapshot.NeverRuns:
		test.Set(snapshot.TestFail, why, r.Now())
		return nil
	case snapshot.MustWait:
		test.Set(snapshot.Pending, why, r.Now())
		return nil
	}
	if test.NotBefore != nil {
		if wait := test.NotBefore.Sub(r.Now()); wait > 0 {
			sc.wait(wait)
			return nil
		}
	}
	return r.start(ctx, sc, scenario, test)
}

// start makes the run of a scenario. That it exists already means that it was
// made and not written down.
func (r *Reconciler) start(ctx context.Context, sc *scope, scenario *v1beta2.IntegrationTestScenario, test *snapshot.Test) error {
	template, ready, err := r.find(ctx, sc, scenario, test)
	if err != nil || !ready {
		return err
	}
	if err := r.warn(ctx, scenario, sc.snapshot); err != nil {
		return err
	}
	run := snapshot.Attempt{
		Scenario: scenario, Snapshot: sc.snapshot, Previous: test.Run, Retry: test.NotBefore != nil,
		Template: template, Defaults: r.Defaults,
	}.Run()
	if err := r.Client.Create(ctx, run.DeepCopy()); apierrors.IsAlreadyExists(err) {
		made := &tektonv1.PipelineRun{}
		if err := r.live().Get(ctx, client.ObjectKeyFromObject(run), made); err != nil {
			return err
		}
		if err := snapshot.CheckRun(ctx, made, run); err != nil {
			test.Set(snapshot.TestInvalid, err.Error(), r.Now())
			return nil
		}
		run = made
	} else if err != nil {
		fate := snapshot.CreationFailed(err)
		switch {
		case fate.Refused:
			test.Set(snapshot.TestInvalid, fate.Message, r.Now())
			return nil
		case fate.Wait > 0:
			test.Set(snapshot.Pending, fate.Message, r.Now())
			sc.wait(fate.Wait)
			return nil
		}
		return fmt.Errorf("starting scenario %q: %w", scenario.Name, err)
	}
	sc.runs[run.Name] = run
	test.Start(run.Name, r.Now())
	return nil
}

// find looks at what the scenario refers to, where that must be known before
// there is a run: it is a run itself, or it was found to be wrong before. It
// returns the run that is referred to, if it is one, and whether to go on.
func (r *Reconciler) find(ctx context.Context, sc *scope, scenario *v1beta2.IntegrationTestScenario, test *snapshot.Test) (*tektonv1.PipelineRun, bool, error) {
	ref := scenario.Spec.ResolverRef
	if err := snapshot.CheckReference(ref); err != nil {
		test.Set(snapshot.TestInvalid, err.Error(), r.Now())
		return nil, false, nil
	}
	if ref.ResourceKind != snapshot.PipelineRunKind && !snapshot.NotFound(scenario) {
		return nil, true, nil
	}
	question := snapshot.Question{
		Owner: sc.snapshot.UID, About: scenario.Name + "\x00" + test.Run, Ref: snapshot.Reference(scenario, sc.snapshot),
	}
	sc.asked[scenario.Name] = question.Names()
	answer, err := r.asker(sc.snapshot).Ask(ctx, question)
	switch {
	case err != nil:
		return nil, false, err
	case answer.Wait > 0:
		test.Set(snapshot.Pending, answer.Waiting, r.Now())
		sc.wait(answer.Wait)
		return nil, false, nil
	case answer.Failure != "":
		status := snapshot.TestInvalid
		if answer.Passing {
			status = snapshot.TestFail
		}
		test.Set(status, "what spec.resolverRef refers to was not found: "+answer.Failure, r.Now())
		return nil, false, nil
	}
	var template *tektonv1.PipelineRun
	if ref.ResourceKind == snapshot.PipelineRunKind {
		template, err = snapshot.PipelineRunFound(ref, answer.Document)
	} else {
		err = snapshot.CheckFound(ref, answer.Document)
	}
	if err != nil {
		test.Set(snapshot.TestInvalid, err.Error(), r.Now())
		return nil, false, nil
	}
	if snapshot.NotFound(scenario) {
		return template, true, r.mark(ctx, scenario, snapshot.Found(scenario, answer))
	}
	return template, true, nil
}
