package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Story is what became of one commit.
type Story struct {
	Component string
	Commit    string // of the sources, 40 hex digits
	Run       string // build PipelineRun
	Image     string // built image, by digest
	Snapshot  string
	Tests     []Test
	Release   string
	Released  []Released
	Phases    []Phase
}

// Test is one scenario's outcome, as the Snapshot's status annotation has it.
type Test struct {
	Scenario string `json:"scenario"`
	Status   string `json:"status"`
	Details  string `json:"details"`
	Run      string `json:"testPipelineRunName"`
}

// Released is an image at its destination, as the Release's artifacts have it.
type Released struct {
	Name   string   `json:"name"`
	Digest string   `json:"shasum"`
	URLs   []string `json:"urls"`
}

// Phase is a part of the journey and how long it took.
type Phase struct {
	Name string
	Took time.Duration
}

func (d *Demo) readArtifacts(release *v1alpha1.Release, story *Story) error {
	if release.Status.Artifacts == nil {
		return fmt.Errorf("the Release %s succeeded without artifacts in its status", release.Name)
	}
	var artifacts struct {
		Images []Released `json:"images"`
	}
	if err := json.Unmarshal(release.Status.Artifacts.Raw, &artifacts); err != nil {
		return fmt.Errorf("reading the artifacts of Release %s: %w", release.Name, err)
	}
	story.Released = artifacts.Images
	d.say("%s: released by %s", story.Component, release.Name)
	return nil
}

func (s Story) failedTests() string {
	var text strings.Builder
	for _, t := range s.Tests {
		if t.Status != "TestPassed" {
			fmt.Fprintf(&text, "\n  %s: %s: %s\n  look at: tkn pipelinerun logs %s", t.Scenario, t.Status, t.Details, t.Run)
		}
	}
	return text.String()
}

// Print tells the stories as a table, then where the evidence is and how to
// look further.
func (d *Demo) Print(out io.Writer, stories []Story) error {
	for _, s := range stories {
		if s.Image == "" {
			continue // it failed before there was anything to tell
		}
		fmt.Fprintf(out, "\n%s\n", s.Component)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		row := func(name, value string) { fmt.Fprintf(w, "  %s\t%s\n", name, value) }
		row("commit", s.Commit)
		row("image", s.Image)
		row("Snapshot", s.Snapshot)
		for _, t := range s.Tests {
			row("test "+t.Scenario, t.Status)
		}
		row("Release", s.Release)
		for _, r := range s.Released {
			if r.Name != s.Component {
				continue
			}
			for _, url := range r.URLs {
				row("released", url)
			}
		}
		repo, hex, _ := strings.Cut(s.Image, "@sha256:")
		for _, evidence := range []struct{ name, suffix string }{{"signature", "sig"}, {"provenance", "att"}, {"SBOM", "sbom"}} {
			row(evidence.name, repo+":sha256-"+hex+"."+evidence.suffix)
		}
		var times []string
		for _, p := range s.Phases {
			times = append(times, fmt.Sprintf("%s %.1fs", p.Name, p.Took.Seconds()))
		}
		row("took", strings.Join(times, ", "))
		if err := w.Flush(); err != nil {
			return err
		}
	}
	commands := d.Commands(stories)
	if len(commands) == 0 {
		return nil
	}
	fmt.Fprint(out, "\nLook further (make shell opens a shell where these work):\n")
	for _, c := range commands {
		fmt.Fprintf(out, "  %s\n", c)
	}
	return nil
}

// Commands are lines for a shell that look further into the last story: what
// became of it, who signed the image, and whether the policy accepts it.
func (d *Demo) Commands(stories []Story) []string {
	if len(stories) == 0 || stories[len(stories)-1].Image == "" {
		return nil
	}
	last := stories[len(stories)-1]
	component := Component{Name: last.Component}
	image := last.Image
	for _, r := range last.Released {
		if r.Name == last.Component {
			image = d.released(component) + "@" + r.Digest
		}
	}
	// The policy wants to know which sources the image should be of.
	images := fmt.Sprintf(`{"components":[{"name":%q,"containerImage":%q,"source":{"git":{"url":%q,"revision":%q}}}]}`,
		last.Component, image, d.gitURL(component), last.Commit)
	return []string{
		fmt.Sprintf("kubectl -n %s get snapshot,release", d.Tenant),
		fmt.Sprintf("cosign verify --key %s --insecure-ignore-tlog %s", publicKey, image),
		fmt.Sprintf("ec validate image --policy %s/release --public-key %s --ignore-rekor --images '%s'", d.Managed, publicKey, images),
	}
}
