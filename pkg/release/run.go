package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Keys of a release's runs, as upstream has them.
const (
	ServiceLabel   = "appstudio.openshift.io/service"
	ServiceValue   = "release"
	RunTypeLabel   = "pipelines.appstudio.openshift.io/type"
	NameLabel      = "release.appstudio.openshift.io/name"
	NamespaceLabel = "release.appstudio.openshift.io/namespace"
	AttemptLabel   = "release.appstudio.openshift.io/attempt"
	OwnerKey       = "operator-sdk/primary-resource"
	OwnerTypeKey   = "operator-sdk/primary-resource-type"
	OwnerType      = "Release.appstudio.redhat.com"
	Finalizer      = "appstudio.redhat.com/release-finalizer"

	resourceRole = "release-pipeline-resource-role"
)

// Stage is a pipeline of a release.
type Stage string

// The stages, in the order they run.
const (
	Tenant  Stage = "tenant"
	Managed Stage = "managed"
	Final   Stage = "final"
)

// RunKey is where the run of a stage is. It follows from the Release alone: a
// crash cannot make two runs, and a run is found when what it was made from is
// gone.
func RunKey(stage Stage, r *v1alpha1.Release) types.NamespacedName {
	key := types.NamespacedName{Namespace: r.Namespace, Name: string(stage) + "-" + hash(r)}
	if stage == Managed {
		key.Namespace = r.Status.Target
	}
	return key
}

// NewRun is the run of a stage that Startable has no problem with.
func NewRun(stage Stage, f Facts, config *v1alpha1.ReleaseServiceConfig) (*tektonv1.PipelineRun, error) {
	r, key := f.Release, RunKey(stage, f.Release)
	run := &tektonv1.PipelineRun{
		TypeMeta: metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "PipelineRun"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name,
			Labels: map[string]string{
				ServiceLabel: ServiceValue, RunTypeLabel: string(stage), NameLabel: r.Name, NamespaceLabel: r.Namespace,
				"appstudio.openshift.io/snapshot":    f.Snapshot.Name,
				"appstudio.openshift.io/application": f.Plan.Spec.Application,
			},
			Annotations: map[string]string{OwnerKey: r.Namespace + "/" + r.Name, OwnerTypeKey: OwnerType},
			Finalizers:  []string{Finalizer},
		},
	}
	for _, from := range []metav1.ObjectMeta{f.Snapshot.ObjectMeta, r.ObjectMeta} {
		copyPaC(run.Labels, from.Labels)
		copyPaC(run.Annotations, from.Annotations)
	}
	params := []v1alpha1.Param{{Name: "release", Value: r.Namespace + "/" + r.Name},
		{Name: "releasePlan", Value: f.Plan.Namespace + "/" + f.Plan.Name}, {Name: "snapshot", Value: f.Snapshot.Namespace + "/" + f.Snapshot.Name}}
	switch stage {
	case Managed:
		policy, err := json.Marshal(f.Policy.Spec)
		if err != nil {
			return nil, err
		}
		run.Labels[AttemptLabel] = "1"
		params = append(params,
			v1alpha1.Param{Name: "releasePlanAdmission", Value: f.Admission.Namespace + "/" + f.Admission.Name},
			v1alpha1.Param{Name: "releaseServiceConfig", Value: config.Namespace + "/" + config.Name},
			v1alpha1.Param{Name: "enterpriseContractPolicy", Value: string(policy)})
		fill(run, *f.Admission.Spec.Pipeline, params, config)
	case Tenant:
		fill(run, f.Plan.Spec.TenantPipeline.Pipeline, merge(params, f.Plan.Spec.TenantPipeline.Params), config)
	case Final:
		fill(run, f.Plan.Spec.FinalPipeline.Pipeline, merge(params, f.Plan.Spec.FinalPipeline.Params), config)
	}
	return run, nil
}

// copyPaC copies what Pipelines as Code said about the commit.
func copyPaC(to, from map[string]string) {
	for k, v := range from {
		if strings.HasPrefix(k, "pac.test.appstudio.openshift.io/") {
			to[k] = v
		}
	}
}

// fill gives a run its pipeline.
func fill(run *tektonv1.PipelineRun, p v1alpha1.Pipeline, params []v1alpha1.Param, config *v1alpha1.ReleaseServiceConfig) {
	ref := &tektonv1.PipelineRef{ResolverRef: tektonv1.ResolverRef{Resolver: tektonv1.ResolverName(p.PipelineRef.Resolver)}}
	given := map[string]string{}
	for _, param := range p.PipelineRef.Params {
		ref.Params = append(ref.Params, tektonv1.Param{Name: param.Name, Value: *tektonv1.NewStructuredValues(param.Value)})
		given[param.Name] = param.Value
	}
	if p.PipelineRef.Resolver == "git" {
		params = merge([]v1alpha1.Param{{Name: "taskGitUrl", Value: given["url"]}, {Name: "taskGitRevision", Value: given["revision"]}}, params)
	}
	if p.PipelineRef.OciStorage != "" {
		params = merge([]v1alpha1.Param{{Name: "ociStorage", Value: p.PipelineRef.OciStorage}}, params)
	}
	run.Spec.PipelineRef = ref
	for _, param := range params {
		run.Spec.Params = append(run.Spec.Params, tektonv1.Param{Name: param.Name, Value: *tektonv1.NewStructuredValues(param.Value)})
	}
	run.Spec.Workspaces = []tektonv1.WorkspaceBinding{workspace(p.PipelineRef, given, config)}
	run.Spec.TaskRunTemplate.ServiceAccountName = p.ServiceAccountName
	run.Spec.TaskRunSpecs = p.TaskRunSpecs
	run.Spec.Timeouts = p.Timeouts
	if run.Spec.Timeouts == nil {
		run.Spec.Timeouts = config.Spec.DefaultTimeouts
	}
}

// merge adds params whose names are new; a value the user gave wins.
func merge(own, users []v1alpha1.Param) []v1alpha1.Param {
	taken := map[string]bool{}
	for _, p := range users {
		taken[p.Name] = true
	}
	merged := append([]v1alpha1.Param{}, users...)
	for _, p := range own {
		if !taken[p.Name] {
			merged = append(merged, p)
		}
	}
	return merged
}

// RoleBindingKey is where a Release's RoleBinding is.
func RoleBindingKey(r *v1alpha1.Release) types.NamespacedName {
	return types.NamespacedName{Namespace: r.Namespace, Name: short(r.Name, 20) + "-rolebinding-for-release-" + hash(r)}
}

// NewRoleBinding lets the managed run read what it releases in the tenant's
// namespace, for as long as it runs.
func NewRoleBinding(f Facts) *rbacv1.RoleBinding {
	r, key := f.Release, RoleBindingKey(f.Release)
	return &rbacv1.RoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name,
			Labels: map[string]string{ServiceLabel: ServiceValue, NameLabel: r.Name, NamespaceLabel: r.Namespace},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "Release", Name: r.Name, UID: r.UID,
			}},
		},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: resourceRole},
		Subjects: []rbacv1.Subject{{
			Kind: rbacv1.ServiceAccountKind, Namespace: f.Admission.Namespace, Name: f.Admission.Spec.Pipeline.ServiceAccountName,
		}},
	}
}

// Expiration is when a Release may be deleted.
func Expiration(f Facts) time.Time {
	days := f.Release.Spec.GracePeriodDays
	if days == 0 {
		days = f.Plan.Spec.ReleaseGracePeriodDays
	}
	return f.Release.CreationTimestamp.Add(time.Duration(days) * 24 * time.Hour)
}

func hash(r *v1alpha1.Release) string {
	sum := sha256.Sum256([]byte(r.Namespace + "\x00" + r.Name + "\x00" + string(r.UID)))
	return hex.EncodeToString(sum[:5])
}

func short(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.TrimRight(s, "-")
}
