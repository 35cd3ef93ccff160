package snapshot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
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
	Image  string // by digest, without a tag
	URL    string // of the source
	Commit string
}

// BuiltBy reads a finished build's results.
func BuiltBy(run *tektonv1.PipelineRun) (Built, error) {
	values := results(run)
	var problems []error
	for _, key := range []string{"IMAGE_URL", "IMAGE_DIGEST", "CHAINS-GIT_URL", "CHAINS-GIT_COMMIT"} {
		if values[key] == "" {
			problems = append(problems, fmt.Errorf("pipeline result %s is missing: the build pipeline must declare it", key))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Built{}, err
	}
	// A parser, not a search for ':': registries have ports.
	ref, err := name.ParseReference(values["IMAGE_URL"])
	if err != nil {
		return Built{}, fmt.Errorf("pipeline result IMAGE_URL: %w", err)
	}
	digest, err := name.NewDigest(ref.Context().String() + "@" + values["IMAGE_DIGEST"])
	if err != nil {
		return Built{}, fmt.Errorf("pipeline result IMAGE_DIGEST: %w", err)
	}
	return Built{Image: digest.String(), URL: values["CHAINS-GIT_URL"], Commit: values["CHAINS-GIT_COMMIT"]}, nil
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

// NewComponentSnapshot is the Snapshot of a build: the image it made, with
// the last promoted image of every other component of the application.
// Components without one are left out and named in the second result.
func NewComponentSnapshot(run *tektonv1.PipelineRun, built Built, component *v1alpha1.Component, all []v1alpha1.Component) (*v1alpha1.Snapshot, []string) {
	s := &v1alpha1.Snapshot{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: run.Namespace, Name: Name(component.Spec.Application, Started(run)),
			Labels: map[string]string{}, Annotations: map[string]string{},
		},
		Spec: v1alpha1.SnapshotSpec{Application: component.Spec.Application},
	}
	own := v1alpha1.SnapshotComponent{Name: component.Name, ContainerImage: built.Image, Source: source(component, built.Commit)}
	own.Source.Git.URL = built.URL
	s.Spec.Components = []v1alpha1.SnapshotComponent{own}
	var left []string
	for i := range all {
		other := &all[i]
		if other.Name == component.Name || other.Spec.Application != component.Spec.Application || other.DeletionTimestamp != nil {
			continue
		}
		if _, err := name.NewDigest(other.Status.LastPromotedImage); err != nil || other.Status.LastBuiltCommit == "" {
			left = append(left, other.Name)
			continue
		}
		s.Spec.Components = append(s.Spec.Components, v1alpha1.SnapshotComponent{
			Name: other.Name, ContainerImage: other.Status.LastPromotedImage, Source: source(other, other.Status.LastBuiltCommit),
		})
	}
	slices.SortFunc(s.Spec.Components, func(a, b v1alpha1.SnapshotComponent) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(left)
	describe(s, run, built, component.Name)
	return s, left
}

func source(c *v1alpha1.Component, commit string) v1alpha1.ComponentSource {
	git := v1alpha1.GitSource{}
	if c.Spec.Source.Git != nil {
		git = *c.Spec.Source.Git
	}
	if git.URL == "" {
		git.URL = c.Spec.Source.URL
	}
	git.Revision = commit
	return v1alpha1.ComponentSource{Git: &git}
}

// describe gives a Snapshot the labels and annotations of its build.
func describe(s *v1alpha1.Snapshot, run *tektonv1.PipelineRun, built Built, component string) {
	for k, v := range run.Labels {
		if carries(k) {
			s.Labels[k] = v
		}
		if rest, ok := strings.CutPrefix(k, pacPrefix); ok {
			s.Labels[pacTestPrefix+rest] = v
		}
	}
	for k, v := range run.Annotations {
		if carries(k) {
			s.Annotations[k] = v
		}
		if rest, ok := strings.CutPrefix(k, pacPrefix); ok {
			s.Annotations[pacTestPrefix+rest] = v
		}
	}
	for k, v := range results(run) {
		s.Annotations[resultPrefix+strings.ToLower(strings.ReplaceAll(k, "_", "-"))] = v
	}
	s.Labels[TypeLabel], s.Labels[ComponentLabel] = ComponentType, component
	s.Labels[ApplicationLabel], s.Labels[BuildLabel] = s.Spec.Application, run.Name
	if run.Status.CompletionTime != nil {
		s.Labels[FinishTimeLabel] = strconv.FormatInt(run.Status.CompletionTime.Unix(), 10)
	}
	s.Annotations[StartTimeKey] = startMillis(run)
	s.Annotations[SourceRepoKey] = built.URL
	s.Annotations[WorkflowAnnotation] = "pull-request"
	if PushRun(run) {
		s.Annotations[WorkflowAnnotation] = "push"
	}
}

func carries(key string) bool {
	return !bookkeeping[key] && slices.ContainsFunc(copied, func(p string) bool { return strings.HasPrefix(key, p) })
}

// maxPrefix leaves room for the time in a name of 63 characters.
const maxPrefix = 43

// Name is a Snapshot's: its application and when its build started, in UTC.
func Name(application string, start time.Time) string {
	start = start.UTC()
	return fmt.Sprintf("%s-%s-%03d", cut(application, maxPrefix), start.Format("20060102-150405"), start.Nanosecond()/int(time.Millisecond))
}

// Names are the names to try for a build's Snapshot, in order: the first is
// another build's where two of an application start in one second. They are
// the same each time, so that a build never gets two.
func Names(s *v1alpha1.Snapshot, run *tektonv1.PipelineRun) []string {
	const (
		digits   = "0123456789abcdefghijklmnopqrstuvwxyz"
		attempts = 8
	)
	sum := sha256.Sum256([]byte(run.UID))
	names := []string{s.Name}
	base := Name(cut(s.Spec.Application, maxPrefix-3), Started(run))
	for i := range attempts {
		pair := sum[2*i:]
		names = append(names, base+"-"+string([]byte{digits[int(pair[0])%len(digits)], digits[int(pair[1])%len(digits)]}))
	}
	return names
}

// Of reports whether a Snapshot is a build's. The time tells apart two builds
// that had one name after another.
func Of(s *v1alpha1.Snapshot, run *tektonv1.PipelineRun) bool {
	return s.Labels[BuildLabel] == run.Name && s.Annotations[StartTimeKey] == startMillis(run)
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.TrimRight(s, "-")
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

// PushRun reports whether a build is of a push, not of a pull request.
func PushRun(run *tektonv1.PipelineRun) bool {
	if mergeQueue(run.Annotations[pacPrefix+"source-branch"]) {
		return false
	}
	_, pull := run.Labels[pacPrefix+"pull-request"]
	return !pull || strings.EqualFold(run.Labels[pacPrefix+"event-type"], "push")
}

// Push reports whether a Snapshot is of what was pushed: it may be promoted
// and released.
func Push(s *v1alpha1.Snapshot) bool {
	if mergeQueue(s.Annotations[pacTestPrefix+"source-branch"]) || s.Labels[TypeLabel] == GroupType {
		return false
	}
	event, hasEvent := s.Labels[pacTestPrefix+"event-type"]
	_, pull := s.Labels[pacTestPrefix+"pull-request"]
	return strings.EqualFold(event, "push") || !hasEvent || !pull
}

func mergeQueue(branch string) bool {
	return strings.HasPrefix(strings.TrimPrefix(branch, "refs/heads/"), "gh-readonly-queue/")
}
