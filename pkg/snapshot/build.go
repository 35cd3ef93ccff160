package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Built is what a build says it made.
type Built struct {
	Image   string // by digest, without a tag
	URL     string // of the source
	Commit  string
	Context string // the folder that was built; empty is the component's
}

// BuiltBy reads a finished build's results. Its errors are a *Refusal: the
// build will never have a Snapshot.
func BuiltBy(run *tektonv1.PipelineRun) (Built, error) {
	values := results(run)
	var problems []error
	for _, key := range []string{"IMAGE_URL", "IMAGE_DIGEST", "CHAINS-GIT_URL", "CHAINS-GIT_COMMIT"} {
		if values[key] == "" {
			problems = append(problems, fmt.Errorf("pipeline result %s is missing: the build pipeline must declare it", key))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Built{}, &Refusal{Reason: ResultMissing, Err: err}
	}
	// A parser, not a search for ':': registries have ports.
	ref, err := name.ParseReference(values["IMAGE_URL"])
	if err != nil {
		return Built{}, &Refusal{Reason: ImageInvalid, Err: fmt.Errorf("pipeline result IMAGE_URL: %w", err)}
	}
	digest, err := name.NewDigest(ref.Context().String() + "@" + values["IMAGE_DIGEST"])
	if err != nil {
		return Built{}, &Refusal{Reason: DigestInvalid, Err: fmt.Errorf("pipeline result IMAGE_DIGEST: %w", err)}
	}
	return Built{
		Image: digest.String(), URL: values["CHAINS-GIT_URL"], Commit: values["CHAINS-GIT_COMMIT"],
		Context: run.Annotations[ContextKey],
	}, nil
}

func results(run *tektonv1.PipelineRun) map[string]string {
	values := map[string]string{}
	for _, r := range run.Status.Results {
		if r.Value.Type == tektonv1.ParamTypeString {
			values[r.Name] = strings.TrimSpace(r.Value.StringVal)
		}
	}
	return values
}

// ComponentOf is the component that a run builds, and which version of it.
// Without a version the run is of an Application.
func ComponentOf(run metav1.Object) (component, version string) {
	labels := run.GetLabels()
	return cmp.Or(labels[ComponentLabel], labels[builtComponentLabel]), run.GetAnnotations()[VersionKey]
}

// Of reports whether a Snapshot is a build's. The time tells apart two builds
// that had one name after another.
func Of(s *v1alpha1.Snapshot, run *tektonv1.PipelineRun) bool {
	return s.Labels[BuildLabel] == run.Name && s.Annotations[StartTimeKey] == startMillis(run)
}

func startMillis(run *tektonv1.PipelineRun) string {
	return strconv.FormatInt(Started(run).UnixMilli(), 10)
}

// Started is when a run started, or was made where it does not say.
func Started(run *tektonv1.PipelineRun) time.Time {
	if run.Status.StartTime != nil {
		return run.Status.StartTime.Time
	}
	return run.CreationTimestamp.Time
}

// PushRun reports whether a build is of a push, not of a pull request. What
// is in a merge queue is a pull request still, though it arrives as a push.
func PushRun(run metav1.Object) bool {
	if mergeQueue(run.GetAnnotations()[pacPrefix+"source-branch"]) {
		return false
	}
	_, pull := run.GetLabels()[pacPrefix+"pull-request"]
	return !pull || strings.EqualFold(run.GetLabels()[pacPrefix+"event-type"], "push")
}

// Push reports whether a Snapshot is of what was pushed: it may be promoted
// and released.
func Push(s *v1alpha1.Snapshot) bool {
	if mergeQueue(s.Annotations[pacTestPrefix+"source-branch"]) || s.Labels[TypeLabel] == GroupType {
		return false
	}
	event, hasEvent := s.Labels[pacTestPrefix+"event-type"]
	_, pull := s.Labels[PullRequestLabel]
	return strings.EqualFold(event, "push") || !hasEvent || !pull
}

const queuePrefix = "gh-readonly-queue/"

func mergeQueue(branch string) bool {
	return strings.HasPrefix(strings.TrimPrefix(branch, "refs/heads/"), queuePrefix)
}

// pullRequest is the number of the pull request that a run builds, empty for
// none. A merge queue has it in the name of its branch:
// gh-readonly-queue/main/pr-7-0123456.
func pullRequest(run metav1.Object) string {
	if number := run.GetLabels()[pacPrefix+"pull-request"]; number != "" {
		return number
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(run.GetAnnotations()[pacPrefix+"source-branch"], "refs/heads/"), queuePrefix)
	if !ok {
		return ""
	}
	// The base branch may hold a slash, and "/pr-" too: the last one counts.
	i := strings.LastIndex(rest, "/pr-")
	if i < 0 {
		return ""
	}
	number, _, _ := strings.Cut(rest[i+len("/pr-"):], "-")
	if _, err := strconv.ParseUint(number, 10, 64); err != nil {
		return ""
	}
	return number
}

// Restored reports whether an object came out of a backup: what it led to
// happened before.
func Restored(o metav1.Object) bool {
	_, restored := o.GetLabels()["velero.io/restore-name"]
	_, backed := o.GetLabels()["velero.io/backup-name"]
	return restored || backed
}
