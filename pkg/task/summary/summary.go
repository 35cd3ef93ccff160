// Package summary is the task summary: a few lines at the end of a build for
// who reads its log.
package summary

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/git"
)

// Options are the task's params.
type Options struct {
	PipelineRunName, GitURL, ImageURL string
	BuildTaskStatus                   string
	WorkspaceDir                      string // of a bound workspace; "" for none
}

// sourceResult is what source-build leaves in a workspace.
const sourceResult = "source_build_result.json"

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	cmd := &cobra.Command{
		Use: "summary", Short: "Print what a build made", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return Run(opts, cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.PipelineRunName, "pipelinerun-name", "", "PipelineRun that built")
	f.StringVar(&opts.GitURL, "git-url", "", "Repository that was built from")
	f.StringVar(&opts.ImageURL, "image-url", "", "Image that was built")
	f.StringVar(&opts.BuildTaskStatus, "build-task-status", "Succeeded", "How the build ended")
	f.StringVar(&opts.WorkspaceDir, "workspace-dir", "", "Folder that source-build worked in, if it did")
	return cmd
}

// Run prints the summary.
func Run(opts Options, out io.Writer) error {
	lines := []string{"Build Summary:", "", "PipelineRun: " + opts.PipelineRunName, "Build repository: " + git.Redact(opts.GitURL)}
	if opts.BuildTaskStatus == "Succeeded" {
		lines = append(lines, "Generated Image is in : "+opts.ImageURL)
	} else {
		lines = append(lines, "The build ended as "+opts.BuildTaskStatus)
	}
	source, err := sourceImage(opts.WorkspaceDir)
	if err != nil {
		return err
	}
	if source != "" {
		lines = append(lines, "Generated Source Image is in : "+source)
	}
	_, err = fmt.Fprintln(out, strings.Join(append(lines, "", "End Summary"), "\n"))
	return err
}

func sourceImage(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	raw, err := os.ReadFile(filepath.Join(dir, sourceResult))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading what source-build left: %w", err)
	}
	var built struct {
		ImageURL string `json:"image_url"`
	}
	if err := json.Unmarshal(raw, &built); err != nil {
		return "", fmt.Errorf("reading what source-build left, %s: %w", sourceResult, err)
	}
	return built.ImageURL, nil
}
