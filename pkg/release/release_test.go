package release

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// facts are those of a Release that may run.
func facts() Facts {
	pipeline := v1alpha1.Pipeline{
		ServiceAccountName: "releaser",
		PipelineRef: v1alpha1.PipelineRef{Resolver: "bundles", OciStorage: "registry.example.com/ta", Params: []v1alpha1.Param{
			{Name: "bundle", Value: "registry.example.com/push"}, {Name: "name", Value: "push"}, {Name: "kind", Value: "pipeline"}}},
	}
	f := Facts{
		Release:   &v1alpha1.Release{Spec: v1alpha1.ReleaseSpec{Snapshot: "shop-1", ReleasePlan: "ship"}},
		Plan:      &v1alpha1.ReleasePlan{Spec: v1alpha1.ReleasePlanSpec{Application: "shop", Target: "managed", ReleaseGracePeriodDays: 7}},
		Admission: &v1alpha1.ReleasePlanAdmission{Spec: v1alpha1.ReleasePlanAdmissionSpec{Applications: []string{"shop"}, Origin: "dev", Policy: "standard", Pipeline: &pipeline}},
		Policy:    &v1alpha1.EnterpriseContractPolicy{Spec: v1alpha1.EnterpriseContractPolicySpec{Description: "ours"}},
		Snapshot:  &v1alpha1.Snapshot{Spec: v1alpha1.SnapshotSpec{Application: "shop", Components: []v1alpha1.SnapshotComponent{{Name: "web"}}}},
	}
	f.Release.Namespace, f.Release.Name, f.Release.UID = "dev", "shop-1-ship", "1"
	f.Release.Labels = map[string]string{AuthorLabel: "ada"}
	f.Release.Status.Target = "managed"
	f.Release.CreationTimestamp = metav1.NewTime(time.Unix(0, 0).UTC())
	f.Plan.Namespace, f.Plan.Name = "dev", "ship"
	f.Admission.Namespace, f.Admission.Name = "managed", "shop"
	f.Policy.Namespace, f.Policy.Name = "managed", "standard"
	f.Snapshot.Namespace, f.Snapshot.Name = "dev", "shop-1"
	return f
}

func says(t *testing.T, got error, want string) {
	t.Helper()
	switch {
	case want == "" && got != nil:
		t.Errorf("got problem %v, want none", got)
	case want != "" && (got == nil || !strings.Contains(got.Error(), want)):
		t.Errorf("got problem %v, want one that says %q", got, want)
	}
}

func TestValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Facts)
		want   string
	}{
		"all there":   {func(*Facts) {}, ""},
		"no plan":     {func(f *Facts) { f.Plan = nil }, `no ReleasePlan "ship" in namespace dev`},
		"no Snapshot": {func(f *Facts) { f.Snapshot = nil }, `no Snapshot "shop-1" in namespace dev`},
		"no admission": {func(f *Facts) {
			f.Admission, f.MatchProblem = Admission(f.Plan, nil)
		}, `ReleasePlan ship targets namespace managed, but no ReleasePlanAdmission there has spec.origin dev and application "shop" in its list`},
		"no policy":           {func(f *Facts) { f.Policy = nil }, `no EnterpriseContractPolicy "standard" in namespace managed`},
		"another application": {func(f *Facts) { f.Snapshot.Spec.Application = "bank" }, `Snapshot shop-1 is of application "bank"`},
		"an empty Snapshot":   {func(f *Facts) { f.Snapshot.Spec.Components = nil }, "nothing to release"},
		"no pipeline at all":  {func(f *Facts) { f.Admission.Spec.Pipeline = nil }, "nothing would run"},
		"blocked":             {func(f *Facts) { f.Admission.Labels = map[string]string{BlockLabel: "true"} }, "managed/shop does not permit releases at present"},
		"cluster resolver":    {func(f *Facts) { f.Admission.Spec.Pipeline.PipelineRef.Resolver = "cluster" }, "use bundles or git"},
		"cluster resolver in debug mode": {func(f *Facts) {
			f.Debug, f.Admission.Spec.Pipeline.PipelineRef.Resolver = true, "cluster"
		}, ""},
		"no author": {func(f *Facts) { f.Release.Labels = nil }, "set label " + AuthorLabel},
		"automated without standing attribution": {func(f *Facts) {
			f.Release.Labels[AutomatedLabel] = "true"
		}, "nobody is responsible for automated Releases by ReleasePlan ship"},
		"automated with standing attribution": {func(f *Facts) {
			f.Release.Labels[AutomatedLabel] = "true"
			f.Plan.Labels = map[string]string{StandingLabel: "true", AuthorLabel: "ada"}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts()
			tc.change(&f)
			says(t, Validate(f), tc.want)
		})
	}
}

func TestStartableAfterSomethingChanged(t *testing.T) {
	for name, tc := range map[string]struct {
		stage  Stage
		change func(*Facts)
		want   string
	}{
		"nothing":               {Managed, func(*Facts) {}, ""},
		"the plan went":         {Final, func(f *Facts) { f.Plan = nil }, "no ReleasePlan"},
		"the Snapshot went":     {Tenant, func(f *Facts) { f.Snapshot = nil }, "no Snapshot"},
		"the admission went":    {Managed, func(f *Facts) { f.Admission, f.MatchProblem = Admission(f.Plan, nil) }, "no ReleasePlanAdmission there"},
		"the policy went":       {Managed, func(f *Facts) { f.Policy = nil }, "no EnterpriseContractPolicy"},
		"releases were blocked": {Managed, func(f *Facts) { f.Admission.Labels = map[string]string{BlockLabel: "true"} }, "does not permit releases"},
		"another target":        {Managed, func(f *Facts) { f.Admission.Namespace = "other" }, "does not target namespace managed any more"},
		"no target":             {Managed, func(f *Facts) { f.Plan.Spec.Target, f.Admission = "", nil }, "does not target namespace managed any more"},
		"the admission went, and the final pipeline runs": {Final, func(f *Facts) { f.Admission = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts()
			tc.change(&f)
			if tc.want != "" && tc.stage != Tenant && !Defined(tc.stage, f) {
				t.Errorf("stage %s counts as having nothing to run, and would be skipped", tc.stage)
			}
			says(t, Startable(tc.stage, f), tc.want)
		})
	}
}

func TestAdmission(t *testing.T) {
	admission := func(name string, change func(*v1alpha1.ReleasePlanAdmission)) v1alpha1.ReleasePlanAdmission {
		a := *facts().Admission.DeepCopy()
		a.Name = name
		if change != nil {
			change(&a)
		}
		return a
	}
	for name, tc := range map[string]struct {
		label string
		all   []v1alpha1.ReleasePlanAdmission
		want  string
		says  string
	}{
		"one":                 {all: []v1alpha1.ReleasePlanAdmission{admission("a", nil)}, want: "a"},
		"of another origin":   {all: []v1alpha1.ReleasePlanAdmission{admission("a", func(a *v1alpha1.ReleasePlanAdmission) { a.Spec.Origin = "other" })}, says: "no ReleasePlanAdmission there"},
		"of another app":      {all: []v1alpha1.ReleasePlanAdmission{admission("a", func(a *v1alpha1.ReleasePlanAdmission) { a.Spec.Applications = []string{"bank"} })}, says: "no ReleasePlanAdmission there"},
		"two":                 {all: []v1alpha1.ReleasePlanAdmission{admission("b", nil), admission("a", nil)}, says: "multiple ReleasePlanAdmissions of namespace managed (a, b)"},
		"two, and one chosen": {label: "b", all: []v1alpha1.ReleasePlanAdmission{admission("b", nil), admission("a", nil)}, want: "b"},
		"chosen, not there":   {label: "c", all: []v1alpha1.ReleasePlanAdmission{admission("a", nil)}, says: `names ReleasePlanAdmission "c" by label`},
		"chosen, of another origin": {label: "a", all: []v1alpha1.ReleasePlanAdmission{
			admission("a", func(a *v1alpha1.ReleasePlanAdmission) { a.Spec.Origin = "other" })}, says: "its spec.origin must be dev"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := facts().Plan
			if tc.label != "" {
				plan.Labels = map[string]string{AdmissionLabel: tc.label}
			}
			got, err := Admission(plan, tc.all)
			says(t, err, tc.says)
			if tc.want != "" && (got == nil || got.Name != tc.want) {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
}

func TestNewRunManaged(t *testing.T) {
	f, config := facts(), &v1alpha1.ReleaseServiceConfig{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "config"}}
	f.Snapshot.Labels = map[string]string{"pac.test.appstudio.openshift.io/sha": "abc", "other": "no"}
	run, err := NewRun(Managed, f, config)
	if err != nil {
		t.Fatal(err)
	}
	params := map[string]string{}
	for _, p := range run.Spec.Params {
		params[p.Name] = p.Value.StringVal
	}
	want := map[string]string{
		"release": "dev/shop-1-ship", "releasePlan": "dev/ship", "releasePlanAdmission": "managed/shop", "releaseServiceConfig": "system/config",
		"snapshot": "dev/shop-1", "enterpriseContractPolicy": params["enterpriseContractPolicy"], "ociStorage": "registry.example.com/ta",
	}
	if diff := cmp.Diff(want, params); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	if !strings.Contains(params["enterpriseContractPolicy"], `"description":"ours"`) {
		t.Errorf("the policy is %s", params["enterpriseContractPolicy"])
	}
	if run.Namespace != "managed" || run.Spec.TaskRunTemplate.ServiceAccountName != "releaser" || run.Labels["pac.test.appstudio.openshift.io/sha"] != "abc" || run.Labels["other"] != "" {
		t.Errorf("got %+v, %+v", run.ObjectMeta, run.Spec.TaskRunTemplate)
	}
	if w := run.Spec.Workspaces; len(w) != 1 || w[0].Name != "release-workspace" || w[0].EmptyDir == nil {
		t.Errorf("got workspaces %+v, want an empty directory", w)
	}
	again, err := NewRun(Managed, f, config)
	if err != nil || again.Name != run.Name {
		t.Errorf("a second run has name %s, error %v; want %s again", again.Name, err, run.Name)
	}
	f.Release.UID = "2"
	if other, _ := NewRun(Managed, f, config); other.Name == run.Name {
		t.Error("another Release of the same name has the same run")
	}
}

// TestNewRunTenant is of a pipeline in git: the user's params win.
func TestNewRunTenant(t *testing.T) {
	f := facts()
	f.Plan.Spec.TenantPipeline = &v1alpha1.ParameterizedPipeline{
		Pipeline: v1alpha1.Pipeline{PipelineRef: v1alpha1.PipelineRef{Resolver: "git", Params: []v1alpha1.Param{
			{Name: "url", Value: "https://git.example.com/p"}, {Name: "revision", Value: "main"}, {Name: "pathInRepo", Value: "p.yaml"}}}},
		Params: []v1alpha1.Param{{Name: "taskGitRevision", Value: "mine"}, {Name: "release", Value: "mine/too"}},
	}
	run, err := NewRun(Tenant, f, &v1alpha1.ReleaseServiceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, p := range run.Spec.Params {
		got[p.Name] = append(got[p.Name], p.Value.StringVal)
	}
	want := map[string][]string{"release": {"mine/too"}, "releasePlan": {"dev/ship"}, "snapshot": {"dev/shop-1"}, "taskGitUrl": {"https://git.example.com/p"}, "taskGitRevision": {"mine"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	if w := run.Spec.Workspaces[0]; run.Namespace != "dev" || w.VolumeClaimTemplate == nil {
		t.Errorf("got namespace %s, workspace %+v", run.Namespace, w)
	}
	override := &v1alpha1.ReleaseServiceConfig{Spec: v1alpha1.ReleaseServiceConfigSpec{EmptyDirOverrides: []v1alpha1.EmptyDirOverride{
		{URL: "(", Revision: ".*", PathInRepo: "p.yaml"}, {URL: "git.example.com", Revision: ".*", PathInRepo: "p.yaml"}}}}
	if run, err = NewRun(Tenant, f, override); err != nil || run.Spec.Workspaces[0].EmptyDir == nil {
		t.Errorf("got workspace %+v, error %v, want an empty directory", run.Spec.Workspaces[0], err)
	}
}

func TestExpiration(t *testing.T) {
	f := facts()
	if got, want := Expiration(f), time.Unix(7*86400, 0); !got.Equal(want) {
		t.Errorf("got %v, want the plan's days: %v", got, want)
	}
	f.Release.Spec.GracePeriodDays = 1
	if got, want := Expiration(f), time.Unix(86400, 0); !got.Equal(want) {
		t.Errorf("got %v, want the Release's days: %v", got, want)
	}
}
