package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// Journey takes one component from its sources to its release.
func (d *Demo) Journey(ctx context.Context, component Component) (Story, error) {
	story := Story{Component: component.Name}
	run, err := d.Build(ctx, component, &story)
	if err != nil {
		return story, err
	}
	if err := d.follow(ctx, run, &story); err != nil {
		return story, err
	}
	return story, nil
}

// Build pushes the component's sources and builds their commit, as a git
// host's push event would.
func (d *Demo) Build(ctx context.Context, component Component, story *Story) (*tektonv1.PipelineRun, error) {
	login, err := d.login(ctx)
	if err != nil {
		return nil, err
	}
	forwardCtx, stop := context.WithCancel(ctx)
	defer stop()
	address, err := d.forward(forwardCtx, sourcesNamespace, "sources", 8080)
	if err != nil {
		return nil, err
	}
	commit, err := push(ctx, component, "http://"+address+"/git/demo/"+component.Name+".git", login)
	if err != nil {
		return nil, err
	}
	story.Commit = commit.Hash.String()
	title, _, _ := strings.Cut(commit.Message, "\n")
	d.say("%s: pushed commit %.7s to the git server", component.Name, story.Commit)

	v := values{
		"APPLICATION": d.Application, "TENANT": d.Tenant, "REGISTRY": d.Registry, "COMPONENT": component.Name,
		"COMMIT": story.Commit, "TITLE": strings.ReplaceAll(title, `"`, `'`), "GIT_URL": d.gitURL(component),
		"IMAGE": d.image(component), "DOCKERFILE": component.Dockerfile, "PREFETCH": component.Prefetch,
		"HERMETIC":                     strconv.FormatBool(true),
		"RUN":                          component.Name + "-on-push-" + strconv.FormatInt(time.Now().Unix(), 36),
		"PIPELINE_DOCKER_BUILD_OCI_TA": d.lock.pipeline("docker-build-oci-ta"),
	}
	if err := d.apply(ctx, "component.yaml", v); err != nil {
		return nil, err
	}
	if err := d.apply(ctx, "build.yaml", v); err != nil {
		return nil, err
	}
	run := &tektonv1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: d.Tenant, Name: v["RUN"]}}
	story.Run = run.Name
	d.say("%s: build %s started", component.Name, run.Name)
	return run, nil
}

// follow watches what the system makes of the build.
func (d *Demo) follow(ctx context.Context, run *tektonv1.PipelineRun, story *Story) error {
	mark := time.Now()
	lap := func(phase string) {
		story.Phases = append(story.Phases, Phase{phase, time.Since(mark)})
		mark = time.Now()
	}
	if err := d.AwaitBuild(ctx, run); err != nil {
		return err
	}
	lap("build")
	image, digest := result(run, "IMAGE_URL"), result(run, "IMAGE_DIGEST")
	story.Image = strings.TrimSuffix(image, ":"+story.Commit) + "@" + digest
	d.say("%s: built %s", story.Component, story.Image)

	snapshot, err := d.AwaitSnapshot(ctx, run)
	if err != nil {
		return err
	}
	lap("signed, Snapshot")
	story.Snapshot = snapshot.Name
	d.say("%s: Snapshot %s holds %d component(s)", story.Component, snapshot.Name, len(snapshot.Spec.Components))

	if err := d.awaitTests(ctx, snapshot, story); err != nil {
		return err
	}
	lap("tests")
	release, err := d.awaitRelease(ctx, snapshot)
	if release != nil {
		story.Release = release.Name
	}
	if err != nil {
		return err
	}
	lap("release")
	return d.readArtifacts(release, story)
}

// AwaitBuild waits for the end of a build and reads it into run. The error of
// one that failed says which tasks did, and why.
func (d *Demo) AwaitBuild(ctx context.Context, run *tektonv1.PipelineRun) error {
	err := d.until(ctx, "build "+run.Name, func() (bool, error) {
		if err := d.client.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
			return false, err
		}
		return run.IsDone(), nil
	})
	if err != nil {
		return err
	}
	condition := run.Status.GetCondition(apis.ConditionSucceeded)
	if condition.Status != corev1.ConditionTrue {
		return fmt.Errorf("build %s failed: %s%s", run.Name, condition.Message, d.failures(ctx, run))
	}
	return nil
}

// AwaitSigned waits until Chains has signed what a build made.
func (d *Demo) AwaitSigned(ctx context.Context, run *tektonv1.PipelineRun) error {
	return d.until(ctx, "the signature of what "+run.Name+" built", func() (bool, error) {
		if err := d.client.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
			return false, err
		}
		signed := run.Annotations[snapshot.SignedAnnotation]
		if signed == "failed" {
			return false, final{fmt.Errorf("what %s built could not be signed by Chains", run.Name)}
		}
		return signed == "true", nil
	})
}

// failures says which tasks of a run failed, and why.
func (d *Demo) failures(ctx context.Context, run *tektonv1.PipelineRun) string {
	var tasks tektonv1.TaskRunList
	if err := d.client.List(ctx, &tasks, client.InNamespace(run.Namespace),
		client.MatchingLabels{"tekton.dev/pipelineRun": run.Name}); err != nil {
		return ""
	}
	var text strings.Builder
	for _, task := range tasks.Items {
		if c := task.Status.GetCondition(apis.ConditionSucceeded); c.IsFalse() {
			fmt.Fprintf(&text, "\n  task %s: %s\n  look at: kubectl -n %s logs %s --all-containers",
				task.Labels["tekton.dev/pipelineTask"], c.Message, task.Namespace, task.Status.PodName)
		}
	}
	return text.String()
}

// AwaitOutcome waits until it is said what became of a build.
func (d *Demo) AwaitOutcome(ctx context.Context, run *tektonv1.PipelineRun) (snapshot.Outcome, error) {
	var outcome snapshot.Outcome
	err := d.until(ctx, "the outcome of "+run.Name, func() (bool, error) {
		if err := d.client.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
			return false, err
		}
		var said bool
		outcome, said = snapshot.ParseOutcome(run.Annotations[snapshot.CreatedAnnotation])
		return said && outcome.Status != snapshot.Waiting, nil
	})
	return outcome, err
}

// AwaitSnapshot waits for what becomes of a build once it is signed.
func (d *Demo) AwaitSnapshot(ctx context.Context, run *tektonv1.PipelineRun) (*v1alpha1.Snapshot, error) {
	var list v1alpha1.SnapshotList
	err := d.until(ctx, "the Snapshot of "+run.Name, func() (bool, error) {
		err := d.client.List(ctx, &list, client.InNamespace(run.Namespace),
			client.MatchingLabels{"appstudio.openshift.io/build-pipelinerun": run.Name})
		return len(list.Items) > 0, err
	})
	if err != nil {
		return nil, err
	}
	if len(list.Items) > 1 {
		return nil, fmt.Errorf("build %s has %d Snapshots, want one", run.Name, len(list.Items))
	}
	return &list.Items[0], nil
}

func (d *Demo) awaitTests(ctx context.Context, snapshot *v1alpha1.Snapshot, story *Story) error {
	err := d.until(ctx, "the tests of "+snapshot.Name, func() (bool, error) {
		if err := d.client.Get(ctx, client.ObjectKeyFromObject(snapshot), snapshot); err != nil {
			return false, err
		}
		return meta.IsStatusConditionTrue(snapshot.Status.Conditions, "AppStudioIntegrationStatus") &&
			meta.FindStatusCondition(snapshot.Status.Conditions, "AppStudioTestSucceeded") != nil, nil
	})
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(snapshot.Annotations["test.appstudio.openshift.io/status"]), &story.Tests); err != nil {
		return fmt.Errorf("reading the test status of Snapshot %s: %w", snapshot.Name, err)
	}
	for _, test := range story.Tests {
		d.say("%s: test %s: %s", story.Component, test.Scenario, test.Status)
	}
	if c := meta.FindStatusCondition(snapshot.Status.Conditions, "AppStudioTestSucceeded"); c.Status != metav1.ConditionTrue {
		return fmt.Errorf("the tests of Snapshot %s failed: %s%s", snapshot.Name, c.Message, story.failedTests())
	}
	return nil
}

func (d *Demo) awaitRelease(ctx context.Context, snapshot *v1alpha1.Snapshot) (*v1alpha1.Release, error) {
	var found *v1alpha1.Release
	err := d.until(ctx, "the Release of "+snapshot.Name, func() (bool, error) {
		var list v1alpha1.ReleaseList
		if err := d.client.List(ctx, &list, client.InNamespace(snapshot.Namespace)); err != nil {
			return false, err
		}
		found = nil
		for i := range list.Items {
			if list.Items[i].Spec.Snapshot != snapshot.Name {
				continue
			}
			if found != nil {
				return false, final{fmt.Errorf("the Snapshot %s has more than one Release", snapshot.Name)}
			}
			found = &list.Items[i]
		}
		if found == nil {
			return false, nil
		}
		c := meta.FindStatusCondition(found.Status.Conditions, "Released")
		return c != nil && c.Reason != "Progressing", nil
	})
	if err != nil {
		return found, err
	}
	if c := meta.FindStatusCondition(found.Status.Conditions, "Released"); c.Status != metav1.ConditionTrue {
		text := c.Message
		for _, other := range found.Status.Conditions {
			if other.Status == metav1.ConditionFalse && other.Type != "Released" {
				text += "\n  " + other.Type + ": " + other.Message
			}
		}
		return found, fmt.Errorf("the Release %s failed: %s", found.Name, text)
	}
	return found, nil
}

// until asks again and again, and names what it waited for when time is up.
// An answer the API server could not give is asked again too.
func (d *Demo) until(ctx context.Context, what string, done func() (bool, error)) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok {
			return nil
		}
		if errors.As(err, &final{}) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// final is an error that asking again cannot mend.
type final struct{ error }

func result(run *tektonv1.PipelineRun, name string) string {
	for _, r := range run.Status.Results {
		if r.Name == name {
			return r.Value.StringVal
		}
	}
	return ""
}
