package install

import (
	"context"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Namespaces that the installation makes.
const (
	tektonNamespace    = "tekton-pipelines"
	resolversNamespace = "tekton-pipelines-resolvers"
	chainsNamespace    = "tekton-chains"
	headraceNamespace  = "headrace-system"
)

// Options say what to install and where.
type Options struct {
	Registry string // where images go, as host or host/path
	Platform bool   // Tekton and Chains
	Headrace bool   // our own kinds, roles and controller
	Source   string // root of our sources
	Ko       string // the ko program
	Arch     string // architecture of the nodes, in Go's words
	Cache    string // folder for what is built
	CA       string // certificates to trust besides the system's, in PEM form
	Timeout  time.Duration
}

// Installer installs on one cluster.
type Installer struct {
	Options
	client   client.Client
	progress *progress
}

// New returns an installer that tells out how far it is.
func New(opts Options, c client.Client, out io.Writer) *Installer {
	return &Installer{Options: opts, client: c, progress: newProgress(out)}
}

// Run installs. What is there already stays as it is.
func (in *Installer) Run(ctx context.Context) error {
	objects, err := in.manifests(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, in.Timeout)
	defer cancel()
	first, rest := namespacesFirst(objects)
	for _, u := range first {
		if ca := in.trustedCA(u.GetName()); ca != nil {
			rest = append([]*unstructured.Unstructured{ca}, rest...)
		}
	}
	changed, err := in.apply(ctx, first)
	if err != nil {
		return err
	}
	if in.Platform {
		made, err := ensureSigningKey(ctx, in.client)
		if err != nil {
			return err
		}
		if made {
			in.progress.say("made the key that Chains signs with")
		}
	}
	more, err := in.apply(ctx, rest)
	if err != nil {
		return err
	}
	in.progress.say("applied %d objects, %d of them new or changed", len(first)+len(rest), changed+more)
	if err := in.wait(ctx, objects); err != nil {
		return err
	}
	in.progress.say("installed")
	return nil
}

// manifests are everything to apply, with images that are in the registry.
func (in *Installer) manifests(ctx context.Context) ([]*unstructured.Unstructured, error) {
	base, err := in.ensureBase(ctx)
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	if in.Platform {
		for _, p := range []pin{tekton, chains} {
			objects, err := in.resolve(ctx, p, base)
			if err != nil {
				return nil, fmt.Errorf("building %s: %w", p.title, err)
			}
			if objects, err = p.adapt(objects, trust(in.CA)); err != nil {
				return nil, fmt.Errorf("adapting the manifests of %s: %w", p.title, err)
			}
			all = append(all, objects...)
		}
		all = append(all, publicKeyAccess()...)
	}
	if in.Headrace {
		objects, err := in.ours(ctx, base)
		if err != nil {
			return nil, fmt.Errorf("building Headrace: %w", err)
		}
		if objects, err = adaptDeployments(objects, trust(in.CA)); err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}
