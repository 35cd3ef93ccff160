// Package collectdata is the task collect-data: it reads the objects a release
// is about and what they say about how to release.
package collectdata

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
)

// Options are the task's params.
type Options struct {
	Folder       releasedata.Folder
	Release      string // each as namespace/name
	Plan         string
	Admission    string
	Config       string
	Snapshot     string
	Subdirectory string // of the folder

	Client client.Reader // nil for the cluster this runs in
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "collect-data", Short: "Gather what a release is about", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.Client == nil {
				rest, err := config.GetConfig()
				if err != nil {
					return fmt.Errorf("finding the cluster: %w", err)
				}
				if opts.Client, err = client.New(rest, client.Options{}); err != nil {
					return fmt.Errorf("connecting to the cluster: %w", err)
				}
			}
			values, err := Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return results.Write(values)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Release, "release", "", "Release, as namespace/name")
	f.StringVar(&opts.Plan, "release-plan", "", "ReleasePlan, as namespace/name")
	f.StringVar(&opts.Admission, "release-plan-admission", "", "ReleasePlanAdmission, as namespace/name")
	f.StringVar(&opts.Config, "release-service-config", "", "ReleaseServiceConfig, as namespace/name")
	f.StringVar(&opts.Snapshot, "snapshot", "", "Snapshot, as namespace/name")
	f.StringVar(&opts.Subdirectory, "subdirectory", "", "Folder below the data folder to put everything in")
	opts.Folder.AddFlags(f)
	results.AddFlag(f)
	return cmd
}

// Run gathers, and returns the task's results.
func Run(ctx context.Context, opts Options) (map[string]string, error) {
	if opts.Subdirectory != "" && !filepath.IsLocal(opts.Subdirectory) {
		return nil, &taskcli.UsageError{Flag: "subdirectory", Problem: fmt.Sprintf("%q leaves the data folder", opts.Subdirectory)}
	}
	objects, err := opts.read(ctx)
	if err != nil {
		return nil, err
	}
	release, plan, admission, snapshot := objects["release"], objects["release-plan"], objects["release-plan-admission"], objects["snapshot"]
	for _, object := range []*unstructured.Unstructured{release, plan} {
		if err := checkData(object); err != nil {
			return nil, err
		}
	}
	data := releasedata.Merge(collected(release), dataOf(release), dataOf(plan), dataOf(admission))
	spec, _, _ := unstructured.NestedMap(snapshot.Object, "spec") // absent is empty, and refused by who needs it
	if spec == nil {
		spec = map[string]any{}
	}
	if spec["componentGroup"] == nil && spec["application"] != nil {
		spec["componentGroup"] = spec["application"]
	}
	if err := opts.Folder.Open(ctx); err != nil {
		return nil, err
	}
	at := func(file string) string { return path.Join(opts.Subdirectory, file) }
	files := map[string]any{
		releasedata.ReleaseFile: release, releasedata.PlanFile: plan, releasedata.AdmissionFile: admission,
		releasedata.ConfigFile: objects["release-service-config"], releasedata.SnapshotFile: spec, releasedata.DataFile: data,
		releasedata.SnapshotLabelsFile: map[string]any{
			"namespace": snapshot.GetNamespace(), "name": snapshot.GetName(), "labels": snapshot.GetLabels(),
		},
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := opts.Folder.Write(at(file), files[file]); err != nil {
			return nil, err
		}
	}
	single, _ := data["singleComponentMode"].(bool)
	metadata, err := json.Marshal(pipelineOf(admission))
	if err != nil {
		return nil, err
	}
	values, err := opts.Folder.Keep(ctx)
	if err != nil {
		return nil, err
	}
	maps.Copy(values, map[string]string{
		"release": at(releasedata.ReleaseFile), "releasePlan": at(releasedata.PlanFile),
		"releasePlanAdmission": at(releasedata.AdmissionFile), "releaseServiceConfig": at(releasedata.ConfigFile),
		"snapshotSpec": at(releasedata.SnapshotFile), "data": at(releasedata.DataFile), "resultsDir": at(releasedata.ResultsDir),
		"singleComponentMode": fmt.Sprint(single), "snapshotName": snapshot.GetName(), "snapshotNamespace": snapshot.GetNamespace(),
		"snapshotBuildId":         snapshot.GetLabels()["appstudio.openshift.io/build-pipelinerun"],
		"releasePipelineMetadata": string(metadata), "subdirectory": opts.Subdirectory,
	})
	return values, nil
}

// read reads the five objects, by the name of their flag.
func (o Options) read(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
	objects := map[string]*unstructured.Unstructured{}
	for _, want := range []struct{ flag, value, kind string }{
		{"release", o.Release, "Release"}, {"release-plan", o.Plan, "ReleasePlan"},
		{"release-plan-admission", o.Admission, "ReleasePlanAdmission"},
		{"release-service-config", o.Config, "ReleaseServiceConfig"}, {"snapshot", o.Snapshot, "Snapshot"},
	} {
		namespace, name, ok := strings.Cut(want.value, "/")
		if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
			return nil, &taskcli.UsageError{Flag: want.flag, Problem: fmt.Sprintf("%q is not namespace/name", want.value)}
		}
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(want.kind))
		err := o.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object)
		// A cluster whose operator configured nothing has no such object.
		if absent := want.flag == "release-service-config" && apierrors.IsNotFound(err); err != nil && !absent {
			return nil, fmt.Errorf("reading %s %q: %w", want.kind, want.value, err)
		}
		object.SetManagedFields(nil)
		objects[want.flag] = object
	}
	return objects, nil
}
