// Package testmetadata is the task test-metadata: what an integration test
// wants to know of the Snapshot it tests, as results.
//
// What the Snapshot does not say is in the labels that the test run carries,
// which Tekton hands to the pod and the Task to this program's environment.
package testmetadata

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/snapshotparam"
)

// Environment variables that the Task fills from the run's labels.
const (
	componentVar   = "COMPONENT"
	eventVar       = "EVENT_TYPE"
	pullRequestVar = "PULL_REQUEST"
)

// snapshotSpec is the part of a Snapshot's spec that is reported. The API's own
// types would bring a Kubernetes client into the program.
type snapshotSpec struct {
	Components []component `json:"components"`
}

type component struct {
	Name           string `json:"name"`
	ContainerImage string `json:"containerImage"`
	Source         struct {
		Git *struct {
			URL      string `json:"url"`
			Revision string `json:"revision"`
		} `json:"git"`
	} `json:"source"`
}

// Command returns the task's command.
func Command() *cobra.Command {
	var snapshot string
	var results result.Writer
	cmd := &cobra.Command{
		Use: "test-metadata", Short: "Tell a test what it tests", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := Run(cmd.Context(), snapshotparam.Here(), snapshot, os.Getenv)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	cmd.Flags().StringVar(&snapshot, "snapshot", "", "The Snapshot's spec as JSON, or its name")
	results.AddFlag(cmd.Flags())
	return cmd
}

// Run returns the task's results. The component is the one that the Snapshot
// was made for, or its only one.
func Run(ctx context.Context, cluster snapshotparam.Cluster, snapshot string, env func(string) string) (map[string]string, error) {
	text, err := cluster.Spec(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	var spec snapshotSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, &taskcli.UsageError{Flag: "snapshot", Problem: "is not a Snapshot's spec as JSON: " + err.Error()}
	}
	found, err := pick(spec, env(componentVar))
	if err != nil {
		return nil, err
	}
	ref, err := name.ParseReference(found.ContainerImage)
	if err != nil {
		return nil, fmt.Errorf("image of component %q: %w", found.Name, err)
	}
	event := env(eventVar)
	if event == "" {
		event = "push"
	}
	values := map[string]string{
		"test-event-type": event, "pull-request-number": env(pullRequestVar), "component-name": found.Name,
		"container-image": found.ContainerImage, "container-repo": ref.Context().String(),
		"git-url": "", "git-revision": "", "git-org": "", "git-repo": "",
	}
	if git := found.Source.Git; git != nil {
		values["git-url"], values["git-revision"] = git.URL, git.Revision
		values["git-org"], values["git-repo"] = split(git.URL)
	}
	return values, nil
}

func pick(spec snapshotSpec, wanted string) (component, error) {
	for _, c := range spec.Components {
		if c.Name == wanted || wanted == "" && len(spec.Components) == 1 {
			return c, nil
		}
	}
	if wanted == "" {
		return component{}, fmt.Errorf("the Snapshot has %d components and its run no label that names one", len(spec.Components))
	}
	return component{}, fmt.Errorf("the Snapshot has no component %q, which its run's label names", wanted)
}

// split returns the last two parts of a repository's path.
func split(repository string) (org, repo string) {
	u, err := url.Parse(repository)
	if err != nil {
		return "", ""
	}
	parts := strings.Split(strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git"), "/")
	if len(parts) < 2 {
		return "", parts[0]
	}
	return parts[len(parts)-2], parts[len(parts)-1]
}
