package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PRGroup is what pull requests have in common that belong together: the name
// of the branch that they come from.
type PRGroup struct{ Name string }

// PRGroupOf is the group of a build's pull request; a push has none, which is
// the zero value.
func PRGroupOf(run metav1.Object) PRGroup {
	if PushRun(run) {
		return PRGroup{}
	}
	branch, _, _ := strings.Cut(run.GetAnnotations()[pacPrefix+"source-branch"], "@")
	if branch == "main" || branch == "master" {
		// Every fork has one, and they have nothing in common.
		branch += "-" + fromPAC(run, "url-org")
	}
	return PRGroup{Name: branch}
}

func fromPAC(run metav1.Object, key string) string {
	if value := run.GetLabels()[pacPrefix+key]; value != "" {
		return value
	}
	return run.GetAnnotations()[pacPrefix+key]
}

// Sum is the group's name as the value of a label.
func (g PRGroup) Sum() string {
	sum := sha256.Sum256([]byte(g.Name))
	return hex.EncodeToString(sum[:])[:62]
}

func (g PRGroup) labels() map[string]string {
	if g.Name == "" {
		return nil
	}
	return map[string]string{PRGroupLabel: g.Sum()}
}

func (g PRGroup) annotations() map[string]string {
	if g.Name == "" {
		return nil
	}
	return map[string]string{PRGroupAnnotation: g.Name}
}

// JoinGroup writes a build's group on it, and reports whether that changed it.
func JoinGroup(run metav1.Object) bool {
	g := PRGroupOf(run)
	if g.Name == "" || run.GetLabels()[PRGroupLabel] == g.Sum() && run.GetAnnotations()[PRGroupAnnotation] == g.Name {
		return false
	}
	labels, annotations := run.GetLabels(), run.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[PRGroupLabel], annotations[PRGroupAnnotation] = g.Sum(), g.Name
	run.SetLabels(labels)
	run.SetAnnotations(annotations)
	return true
}

// GroupMember is what a group Snapshot has from one pull request.
type GroupMember struct {
	Namespace   string `json:"namespace"`
	Component   string `json:"component"`
	Build       string `json:"buildPipelineRun"`
	Snapshot    string `json:"snapshot"`
	RepoURL     string `json:"repoUrl"`
	PullRequest string `json:"pullRequestNumber"`
	Version     string `json:"version,omitempty"`
}

// ParseGroupInfo reads annotation group-test-info. What cannot be read is no
// members.
func ParseGroupInfo(annotation string) []GroupMember {
	var members []GroupMember
	if json.Unmarshal([]byte(annotation), &members) != nil {
		return nil
	}
	return members
}
