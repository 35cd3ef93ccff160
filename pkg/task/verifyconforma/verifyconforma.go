// Package verifyconforma is the steps around ec in the tasks that hold images
// to a policy: what comes before, so that ec gets files and nothing it would
// have to look up, and what comes after, so that its report is believed only
// when it is about everything that was asked.
package verifyconforma

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Files of the working folder, which the steps of a task share.
const (
	imagesFile = "images.json"
	policyFile = "policy.json"
	keyFile    = "cosign.pub"
	reportFile = "report.json"
)

// Command is `verify-conforma prepare` and `verify-conforma assert`.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "verify-conforma", Short: "Hold images to a policy with ec"}
	cmd.AddCommand(prepareCommand(), assertCommand())
	return cmd
}

func prepareCommand() *cobra.Command {
	var opts Options
	cmd := &cobra.Command{
		Use: "prepare", Short: "Write what ec reads: images, policy and key", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return Prepare(cmd.Context(), opts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.Images, "images", "", "Snapshot spec as JSON, or a Snapshot's name")
	f.StringVar(&opts.ImagesFile, "images-file", "", "File with a Snapshot spec, instead of --images")
	f.StringVar(&opts.Policy, "policy-configuration", "enterprise-contract-service/default", "Policy: namespace/name of an EnterpriseContractPolicy, or its spec as JSON")
	f.StringVar(&opts.PublicKey, "public-key", "", "Key of the signatures: PEM, a file, or k8s://namespace/secret; the policy's when empty")
	f.StringVar(&opts.RekorHost, "rekor-host", "", "Transparency log to ask; the policy's when empty")
	f.StringVar(&opts.ExtraRuleData, "extra-rule-data", "", "More rule data, as key=value separated by commas")
	f.StringVar(&opts.TUFMirror, "tuf-mirror", "", "Root of trust for keyless signatures; not supported yet")
	f.StringVar(&opts.SingleComponent, "single-component", "false", "Look at one component only; not supported yet")
	f.StringVar(&opts.Workers, "workers", "1", "Images to look at at once; this ec decides by itself")
	f.StringVar(&opts.Dir, "work-dir", "/var/workdir/verify", "Folder shared by the steps")
	return cmd
}

func assertCommand() *cobra.Command {
	var opts AssertOptions
	var results result.Writer
	cmd := &cobra.Command{
		Use: "assert", Short: "Read ec's report, and fail when it is bad and strict is true", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			output, failure := Assert(opts)
			// The verdict first: it must be there whatever happens next.
			if err := results.Write(map[string]string{"TEST_OUTPUT": output.String()}); err != nil {
				return errors.Join(failure, err)
			}
			return failure
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opts.Strict, "strict", true, "Fail the task when the policy is not satisfied")
	f.StringVar(&opts.ExitCodeFile, "exit-code-file", "", "File with ec's exit code")
	f.StringVar(&opts.Dir, "work-dir", "/var/workdir/verify", "Folder shared by the steps")
	results.AddFlag(f)
	return cmd
}

// readSpec reads a Snapshot spec, and refuses one that names nothing: ec finds
// nothing wrong with no image at all.
func readSpec(text []byte) (v1alpha1.SnapshotSpec, error) {
	var spec v1alpha1.SnapshotSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return spec, fmt.Errorf("the Snapshot spec is not JSON: %w", err)
	}
	if len(spec.Components) == 0 {
		return spec, &EmptyError{Application: spec.Application}
	}
	seen := map[string]bool{}
	for _, c := range spec.Components {
		if c.Name == "" || c.ContainerImage == "" {
			return spec, fmt.Errorf("the Snapshot spec has a component without name or containerImage")
		}
		if seen[c.Name] {
			return spec, fmt.Errorf("the Snapshot spec names component %q twice", c.Name)
		}
		seen[c.Name] = true
	}
	return spec, nil
}

// EmptyError says that there is no image to hold to the policy.
type EmptyError struct{ Application string }

func (e *EmptyError) Error() string {
	return fmt.Sprintf("the Snapshot of application %q has no component: there is nothing to verify, and nothing is not good enough", e.Application)
}

// Hint says what to do about it.
func (e *EmptyError) Hint() string {
	return "release a Snapshot with components, and check that the admission's mapping names them"
}

func (o Options) path(name string) string { return filepath.Join(o.Dir, name) }

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
