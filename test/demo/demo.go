// Package demo takes components from a git commit to a released, signed and
// policy-checked image on a cluster that Headrace is installed on, and tells
// the story of it.
//
// Everything is asked of the API server and the registry: the demo starts the
// builds, as a git host's push event would, and from there only watches. So a
// run that ends well shows that the system does the rest by itself, and the
// end-to-end tests assert on the same [Story] that a person reads.
package demo

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// Config says where the demo runs and what it builds.
type Config struct {
	Registry string // where everything is pushed, host and optional prefix
	Tenant   string // namespace of the team
	Managed  string // namespace of the releases
	// Application is what the components are part of; "" for demo.
	Application string
	Lock        string // file that `catalog publish` wrote for Registry
	BuildAuth   string // docker config that may push below Registry/Tenant
	// ReleaseAuth is a docker config that may push below Registry/released.
	ReleaseAuth string
	Cache       string        // folder for what is fetched
	Timeout     time.Duration // for the whole journey of the components
	Out         io.Writer
	Components  []Component
}

// Component is a source to build.
type Component struct {
	Name       string
	Files      fs.FS  // the sources, for a sample
	Repo       string // or a git repository to mirror, by path
	Dockerfile string
	Prefetch   string // prefetch-input of the build, as JSON; "" for none
	Program    string // path in the image that takes --self-test; "" for none
}

// Samples are the two components the demo has of its own, below dir. They are
// read from disk: one is a Go module, which cannot be embedded in another.
func Samples(dir string) []Component {
	return []Component{
		{
			Name: "service", Files: os.DirFS(filepath.Join(dir, "service")), Dockerfile: "Containerfile",
			Prefetch: `{"type":"gomod","path":"."}`, Program: "/service",
		},
		{Name: "page", Files: os.DirFS(filepath.Join(dir, "page")), Dockerfile: "Containerfile"},
	}
}

// Demo is a run of the demo.
type Demo struct {
	Config
	rest   *rest.Config
	client client.WithWatch
	lock   lock
	start  time.Time
}

// New connects to the cluster.
func New(cfg Config, restConfig *rest.Config) (*Demo, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, tektonv1.AddToScheme, v1alpha1.AddToScheme, v1beta2.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	c, err := client.NewWithWatch(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	l, err := readLock(cfg.Lock)
	if err != nil {
		return nil, err
	}
	cfg.Application = cmp.Or(cfg.Application, "demo")
	return &Demo{Config: cfg, rest: restConfig, client: c, lock: l, start: time.Now()}, nil
}

// Run takes every component through the whole journey, one after the other,
// so that the second one's Snapshot holds both.
func (d *Demo) Run(ctx context.Context) ([]Story, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	if err := d.Prepare(ctx); err != nil {
		return nil, err
	}
	var stories []Story
	for _, component := range d.Components {
		story, err := d.Journey(ctx, component)
		stories = append(stories, story)
		if err != nil {
			return stories, fmt.Errorf("component %q: %w", component.Name, err)
		}
	}
	return stories, nil
}

// say prints a line of progress with the time since the start.
func (d *Demo) say(format string, args ...any) {
	fmt.Fprintf(d.Out, "%6.1fs  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

// Client is the demo's connection, for tests that look at what it left.
func (d *Demo) Client() client.WithWatch { return d.client }
