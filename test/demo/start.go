package demo

import (
	"context"
	"fmt"
	"strconv"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
)

// Start runs one of the catalog's build pipelines over a component, which must
// be among the configuration's. The run has none of the labels by which the
// controllers know a build, so nothing comes of it but the image.
func (d *Demo) Start(ctx context.Context, component Component, pipeline string, params ...tektonv1.Param) (*tektonv1.PipelineRun, error) {
	bundle := d.lock.pipeline(pipeline)
	if bundle == "" {
		return nil, fmt.Errorf("pipeline %q is not published (make catalog)", pipeline)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	address, err := d.forward(ctx, sourcesNamespace, "sources", 8080)
	if err != nil {
		return nil, err
	}
	login, err := d.login(ctx)
	if err != nil {
		return nil, err
	}
	pushed, err := push(ctx, component, "http://"+address+"/git/demo/"+component.Name+".git", login)
	if err != nil {
		return nil, err
	}
	commit := pushed.Hash.String()
	account := "build-pipeline-" + component.Name
	err = d.upsert(ctx, &corev1.ServiceAccount{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Tenant, Name: account},
		Secrets:    []corev1.ObjectReference{{Name: "push-" + component.Name}},
	})
	if err != nil {
		return nil, err
	}
	given := func(name, value string) tektonv1.Param {
		return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(value)}
	}
	ref := catalog.Bundle("pipeline", pipeline, bundle)
	run := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Tenant, Name: pipeline + "-" + strconv.FormatInt(time.Now().Unix(), 36)},
		Spec: tektonv1.PipelineRunSpec{
			PipelineRef: &tektonv1.PipelineRef{ResolverRef: ref.ResolverRef},
			Params: append(tektonv1.Params{
				given("git-url", d.gitURL(component)), given("revision", commit),
				given("output-image", d.image(component)+":"+pipeline+"-"+commit),
			}, params...),
			TaskRunTemplate: tektonv1.PipelineTaskRunTemplate{ServiceAccountName: account},
		},
	}
	d.say("%s: pipeline %s started as %s", component.Name, pipeline, run.Name)
	return run, d.client.Create(ctx, run)
}
