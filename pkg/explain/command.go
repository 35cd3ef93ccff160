package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Options are the command's flags.
type Options struct {
	Subject   string // KIND/NAME
	Namespace string // empty for that of the kubeconfig's context
	Output    string // text or json

	Client client.Reader // nil for the cluster that the kubeconfig names
	Out    io.Writer
}

// Command returns the command.
func Command() *cobra.Command {
	var opts Options
	cmd := &cobra.Command{
		Use: "explain KIND/NAME", Short: "Say why a Snapshot, build, Component or Release is not released", Args: cobra.ExactArgs(1),
		Example: "  headrace explain snapshot/shop-20250304-050607-000 -n team\n  headrace explain component/web -n team",
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Subject, opts.Out = args[0], cmd.OutOrStdout()
			return Run(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&opts.Namespace, "namespace", "n", "", "Namespace to look in; the kubeconfig's when left out")
	f.StringVarP(&opts.Output, "output", "o", "text", "How to print it: text or json")
	return cmd
}

// Run prints the chain of the subject.
func Run(ctx context.Context, opts Options) error {
	if opts.Output != "text" && opts.Output != "json" {
		return &taskcli.UsageError{Flag: "output", Problem: fmt.Sprintf("%q is neither text nor json", opts.Output)}
	}
	subject, err := ParseSubject(opts.Subject)
	if err != nil {
		return err
	}
	if subject.Namespace = opts.Namespace; opts.Client == nil {
		if opts.Client, subject.Namespace, err = connect(subject.Namespace); err != nil {
			return err
		}
	}
	chain, err := Explain(ctx, opts.Client, subject)
	if err != nil {
		return err
	}
	if opts.Output == "json" {
		encoder := json.NewEncoder(opts.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(chain)
	}
	_, err = io.WriteString(opts.Out, chain.String())
	return err
}

func connect(namespace string) (client.Reader, string, error) {
	kubeconfig := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{})
	rest, err := kubeconfig.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("finding the cluster: %w", err)
	}
	if namespace == "" {
		if namespace, _, err = kubeconfig.Namespace(); err != nil {
			return nil, "", fmt.Errorf("finding the namespace: %w", err)
		}
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{tektonv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, "", err
		}
	}
	c, err := client.New(rest, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", fmt.Errorf("connecting to the cluster: %w", err)
	}
	return c, namespace, nil
}

// String is the chain as people read it: the verdict first, then every link.
func (c Chain) String() string {
	var b strings.Builder
	cause, open := c.Cause()
	switch {
	case !open:
		fmt.Fprintf(&b, "%s in namespace %s is released.\n", c.Subject, c.Namespace)
	case cause.State == Stopped:
		fmt.Fprintf(&b, "%s in namespace %s is not released: %s of %s.\n", c.Subject, c.Namespace, cause.Stage, cause.Object)
		writeIndented(&b, "  why: ", strings.Trim(cause.Reason+": "+cause.Message, ": "))
		writeIndented(&b, "  fix: ", cause.Fix)
	default:
		fmt.Fprintf(&b, "%s in namespace %s is on its way: %s of %s.\n", c.Subject, c.Namespace, cause.Stage, cause.Object)
		writeIndented(&b, "  why: ", cause.Message)
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, link := range c.Links {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", link.Stage, link.State, link.Object, oneLine(link.Message))
	}
	_ = w.Flush() // a Builder takes everything
	return trailing.ReplaceAllString(b.String(), "")
}

// trailing is what a table leaves behind its last column.
var trailing = regexp.MustCompile(`(?m) +$`)

func writeIndented(b *strings.Builder, label, text string) {
	if text != "" {
		fmt.Fprintf(b, "%s%s\n", label, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n       "))
	}
}

// oneLine is the beginning of a message; the rest is in the verdict, or in JSON.
func oneLine(message string) string {
	const width = 100
	line, _, more := strings.Cut(message, "\n")
	if runes := []rune(line); len(runes) > width {
		line, more = string(runes[:width]), true
	}
	if more {
		line += "…"
	}
	return line
}
