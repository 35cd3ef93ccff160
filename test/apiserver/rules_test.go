//go:build apiserver

package apiserver_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rule is a change to the valid object of a kind, and what the API server says
// to it.
type rule struct {
	kind   string
	change string // a merge patch
	update bool   // of the object that is there; else it is made like this
	want   string // a part of the refusal; empty when the change is taken
}

const long = "a234567890123456789012345678901234567890123456789012345678901234" // 64 characters

var rules = map[string]rule{
	"a Component without source":                 {kind: "Component", change: `{spec: {containerImage: null, source: {git: null}}}`, want: "spec.source names no source"},
	"a Component of an image built elsewhere":    {kind: "Component", change: `{spec: {source: {git: null}}}`},
	"a Component with a URL that is a path":      {kind: "Component", change: `{spec: {source: {git: {url: ../web}}}}`, want: "must be an absolute http or https URL"},
	"a Component with an ssh URL":                {kind: "Component", change: `{spec: {source: {git: {url: "git@git.example.com:shop/web"}}}}`, want: "must be an absolute http or https URL"},
	"a Component under another name":             {kind: "Component", update: true, change: `{spec: {componentName: web2}}`, want: "spec.componentName cannot change"},
	"a Component without its name":               {kind: "Component", update: true, change: `{spec: {componentName: null}}`, want: "spec.componentName cannot change"},
	"a Component moved":                          {kind: "Component", update: true, change: `{spec: {application: other}}`, want: "spec.application cannot change"},
	"a Component of another branch":              {kind: "Component", update: true, change: `{spec: {source: {git: {revision: next}}}}`},
	"a Component whose name begins with a digit": {kind: "Component", change: `{metadata: {name: 1web}}`, want: "beginning with a letter"},

	"a Component with an ssh URL for versions":    {kind: "Component", change: `{spec: {source: {git: null, url: "ssh://git@git.example.com/web"}}}`, want: "spec.source.url must be an absolute http or https URL"},
	"a Component with versions":                   {kind: "Component", change: `{spec: {source: {git: null, url: "https://git.example.com/web", versions: [{name: main, revision: main, build-pipeline: {push: {pipelineref-by-name: fast}}}]}}}`},
	"a Component whose application is said empty": {kind: "Component", change: `{spec: {application: ""}}`},
	"a Component with two ways to one pipeline":   {kind: "Component", change: `{spec: {default-build-pipeline: {push: {pipelineref-by-name: a, pipelinespec-from-bundle: {bundle: latest, name: b}}}}}`},
	"a Component with a pipeline of no name":      {kind: "Component", change: `{spec: {default-build-pipeline: {push: {pipelinespec-from-bundle: {bundle: latest, name: ""}}}}}`, want: "should be at least 1 chars long"},

	"a Component of the new group":                  {kind: "Component.konflux-ci.dev", update: true, change: `{spec: {containerImage: registry.example.com/web}}`},
	"a Component of the new group with an ssh URL":  {kind: "Component.konflux-ci.dev", update: true, change: `{spec: {source: {url: "git@git.example.com:shop/web"}}}`, want: "spec.source.url must be an absolute http or https URL"},
	"a Component of the new group without URL":      {kind: "Component.konflux-ci.dev", change: `{spec: {source: {url: null}}}`, want: "spec.source.url: Required value"},
	"a Component of the new group without branch":   {kind: "Component.konflux-ci.dev", change: `{spec: {source: {versions: [{name: main}]}}}`, want: "spec.source.versions[0].revision: Required value"},
	"a Component of the new group, of empty branch": {kind: "Component.konflux-ci.dev", change: `{spec: {source: {versions: [{name: main, revision: ""}]}}}`, want: "should be at least 1 chars long"},
	"a Component of the new group, versions alike":  {kind: "Component.konflux-ci.dev", change: `{spec: {source: {versions: [{name: v1.0, revision: a}, {name: V1-0, revision: b}]}}}`},
	"a Component of the new group, named by a year": {kind: "Component.konflux-ci.dev", change: `{metadata: {name: 2026web}}`, want: "beginning with a letter"},

	"an Application whose name is no label value": {kind: "Application", change: `{metadata: {name: ` + long + `}}`, want: "use at most 63 lower-case letters, digits and '-'"},
	"an Application with a dot in its name":       {kind: "Application", change: `{metadata: {name: my.shop}}`, want: "use at most 63 lower-case letters, digits and '-'"},
	"an Application that begins with a digit":     {kind: "Application", change: `{metadata: {name: 3scale}}`},
	"an Application without a spec":               {kind: "Application", change: `{spec: null}`, want: "spec: Required value"},
	"an Application without a display name":       {kind: "Application", change: `{spec: {displayName: null}}`, want: "spec.displayName: Required value"},

	"a Snapshot edited":                        {kind: "Snapshot", update: true, change: `{spec: {components: []}}`, want: "create another Snapshot"},
	"a Snapshot labelled":                      {kind: "Snapshot", update: true, change: `{metadata: {labels: {test.appstudio.openshift.io/run: all}}}`},
	"a Snapshot of nothing":                    {kind: "Snapshot", change: `{spec: {application: null}}`, want: "set exactly one of spec.application and spec.componentGroup"},
	"a Snapshot of an application and a group": {kind: "Snapshot", change: `{spec: {componentGroup: shop}}`, want: "set exactly one of spec.application and spec.componentGroup"},
	"a Snapshot whose name is no label value":  {kind: "Snapshot", change: `{metadata: {name: ` + long + `}}`, want: "use at most 63 characters"},
	"a Snapshot whose component has no image":  {kind: "Snapshot", change: `{spec: {components: [{name: web}]}}`, want: "containerImage: Required value"},

	"a scenario of nothing":                     {kind: "IntegrationTestScenario", change: `{spec: {application: null}}`, want: "set exactly one of spec.application and spec.componentGroup"},
	"a scenario of an application and a group":  {kind: "IntegrationTestScenario", change: `{spec: {componentGroup: shop}}`, want: "set exactly one of spec.application and spec.componentGroup"},
	"a scenario of a group":                     {kind: "IntegrationTestScenario", change: `{spec: {application: null, componentGroup: shop}}`},
	"a scenario without pipeline":               {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: null}}`, want: "spec names no pipeline: set spec.resolverRef"},
	"a scenario of half a bundle":               {kind: "IntegrationTestScenario", change: `{spec: {bundle: "registry.example.com/p:1"}}`, want: "set both, or spec.resolverRef instead"},
	"a scenario of a bundle, the old way":       {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: null, bundle: "registry.example.com/p:1", pipeline: p}}`},
	"a scenario of two pipelines":               {kind: "IntegrationTestScenario", change: `{spec: {bundle: "registry.example.com/p:1", pipeline: p}}`, want: "remove these two to set it yourself"},
	"a scenario that becomes of two pipelines":  {kind: "IntegrationTestScenario", update: true, change: `{spec: {bundle: "registry.example.com/p:1", pipeline: p, resolverRef: {resolver: hub}}}`, want: "remove these two to set it yourself"},
	"a scenario edited into a bad one":          {kind: "IntegrationTestScenario", update: true, change: `{spec: {params: [{name: SNAPSHOT, value: mine}]}}`, want: "spec.params may not hold SNAPSHOT"},
	"a scenario that sets SNAPSHOT":             {kind: "IntegrationTestScenario", change: `{spec: {params: [{name: SNAPSHOT, value: mine}]}}`, want: "spec.params may not hold SNAPSHOT"},
	"a scenario with params":                    {kind: "IntegrationTestScenario", change: `{spec: {params: [{name: STRICT, value: "true"}]}}`},
	"a scenario with url and repo":              {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: url, value: "https://git.example.com/a"}, {name: repo, value: a}]}}}`, want: "give either url, or both org and repo"},
	"a scenario with repo and no org":           {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: repo, value: a}]}}}`, want: "give either url, or both org and repo"},
	"a scenario with org and repo":              {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: repo, value: a}, {name: org, value: o}]}}}`},
	"a scenario whose pipeline comes by http":   {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: url, value: "http://git.example.com/a"}]}}}`, want: "must begin with https://"},
	"a scenario whose pipeline's URL is none":   {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: url, value: "https://%zz"}]}}}`, want: "and name a host"},
	"a scenario with a server that has no host": {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: org, value: o}, {name: repo, value: a}, {name: serverURL, value: "https:///"}]}}}`, want: "and name a host"},
	"a scenario with token, org and repo":       {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: org, value: o}, {name: repo, value: a}, {name: serverURL, value: "https://git.example.com"}, {name: token, value: git-token}]}}}`},
	"a scenario with a token for a Secret":      {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: url, value: "https://git.example.com/a"}, {name: token, value: ghp_Secret}]}}}`, want: "token is the name of a Secret"},
	"a scenario of a Task":                      {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {resolver: cluster, params: [{name: kind, value: task}, {name: name, value: lint}]}}}`, want: "put a single Task into a Pipeline"},
	"a scenario that becomes that of a Task":    {kind: "IntegrationTestScenario", update: true, change: `{spec: {resolverRef: {resolver: bundles, params: [{name: kind, value: Task}]}}}`, want: "put a single Task into a Pipeline"},
	"a scenario of a Pipeline in capitals":      {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {resolver: cluster, params: [{name: kind, value: Pipeline}, {name: name, value: lint}]}}}`},
	"a scenario of a run":                       {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {resourceKind: pipelinerun, resolver: bundles, params: [{name: kind, value: pipelinerun}]}}}`},
	"a scenario with white space in a value":    {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {params: [{name: url, value: "https://git.example.com/a "}]}}}`, want: "remove the white space"},
	"a scenario of a bundle":                    {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {resolver: bundles, params: [{name: bundle, value: "registry.example.com/p:1"}]}}}`},
	"a scenario of a kind there is not":         {kind: "IntegrationTestScenario", change: `{spec: {resolverRef: {resourceKind: task}}}`, want: "Unsupported value"},
	"a scenario whose name begins with a digit": {kind: "IntegrationTestScenario", change: `{metadata: {name: 1policy}}`, want: "beginning with a letter"},

	"a group with a component of no version":   {kind: "ComponentGroup", change: `{spec: {components: [{name: web}]}}`, want: "of kind component needs componentVersion"},
	"a group with a version of a group":        {kind: "ComponentGroup", change: `{spec: {components: [{name: base, kind: ComponentGroup, componentVersion: {name: main}}]}}`, want: "of kind componentGroup has no componentVersion"},
	"a group with kinds in any case":           {kind: "ComponentGroup", change: `{spec: {components: [{name: base, kind: COMPONENTGROUP}, {name: web, kind: Component, componentVersion: {name: main}}]}}`},
	"a group with a member that is neither":    {kind: "ComponentGroup", change: `{spec: {components: [{name: base, kind: application}]}}`, want: "should match"},
	"a group in itself":                        {kind: "ComponentGroup", change: `{spec: {components: [{name: other, kind: componentGroup}, {name: shop, kind: componentGroup}]}}`, want: "holds the group itself"},
	"a group with a component of its own name": {kind: "ComponentGroup", change: `{spec: {components: [{name: other, componentVersion: {name: main}}]}}`},
	"a group without components":               {kind: "ComponentGroup", change: `{spec: {components: null}}`, want: "spec.components: Required value"},
	"a group that promotes sometimes":          {kind: "ComponentGroup", change: `{spec: {promotionPolicy: Sometimes}}`, want: "Unsupported value"},
	"a group that promotes what was tested":    {kind: "ComponentGroup", change: `{spec: {promotionPolicy: AfterTests}}`},
	"a group whose name is no label value":     {kind: "ComponentGroup", change: `{metadata: {name: ` + long + `}}`, want: "use at most 63 lower-case letters"},

	"a second NudgeConfig":              {kind: "NudgeConfig", change: `{metadata: {name: other}}`, want: "set metadata.name to nudge-config"},
	"a nudge to itself":                 {kind: "NudgeConfig", update: true, change: `{spec: {nudges: [{from: web, to: web}]}}`, want: "goes from a component to itself"},
	"a nudge that is there twice":       {kind: "NudgeConfig", update: true, change: `{spec: {nudges: [{from: web, to: operator}, {from: web, to: operator, mode: validated}]}}`, want: "Duplicate value"},
	"a nudge in a way there is not":     {kind: "NudgeConfig", update: true, change: `{spec: {nudges: [{from: web, to: operator, mode: sometimes}]}}`, want: "Unsupported value"},
	"a nudge from what is no Component": {kind: "NudgeConfig", update: true, change: `{spec: {nudges: [{from: Web, to: operator}]}}`, want: "should match"},
	"nudges of one component to many":   {kind: "NudgeConfig", update: true, change: `{spec: {nudges: [{from: web, to: operator}, {from: web, to: bundle, mode: validated}]}}`},

	"a ReleasePlan of nothing":                   {kind: "ReleasePlan", change: `{spec: {application: null}}`, want: "set exactly one of spec.application and spec.componentGroup"},
	"a ReleasePlan whose name is no label value": {kind: "ReleasePlan", change: `{metadata: {name: ` + long + `}}`, want: "use at most 63 characters"},
	"a ReleasePlan that stays in the namespace":  {kind: "ReleasePlan", change: `{spec: {target: null}}`},
	"a ReleasePlan with data of its own":         {kind: "ReleasePlan", change: `{spec: {data: {anything: {at: [all]}}}}`},

	"an admission of nothing":                   {kind: "ReleasePlanAdmission", change: `{spec: {applications: null}}`, want: "set exactly one of spec.applications and spec.componentGroups"},
	"an admission of an empty list":             {kind: "ReleasePlanAdmission", change: `{spec: {applications: []}}`, want: "should have at least 1 items"},
	"an admission without policy":               {kind: "ReleasePlanAdmission", change: `{spec: {policy: null}}`, want: "spec.policy: Required value"},
	"an admission whose name is no label value": {kind: "ReleasePlanAdmission", change: `{metadata: {name: ` + long + `}}`, want: "use at most 63 characters"},

	"a Release of another Snapshot":          {kind: "Release", update: true, change: `{spec: {snapshot: shop-2}}`, want: "release resources spec cannot be updated"},
	"a Release given data later":             {kind: "Release", update: true, change: `{spec: {data: {a: b}}}`, want: "release resources spec cannot be updated"},
	"a Release annotated":                    {kind: "Release", update: true, change: `{metadata: {annotations: {a: b}}}`},
	"a Release without plan":                 {kind: "Release", change: `{spec: {releasePlan: null}}`, want: "spec.releasePlan: Required value"},
	"a Release whose name is no label value": {kind: "Release", change: `{metadata: {name: ` + long + `}}`, want: "must be no more than 63 characters"},

	"a policy whose exception is for two images":               {kind: "EnterpriseContractPolicy", change: `{spec: {sources: [{policy: [a], volatileConfig: {exclude: [{value: r, imageUrl: registry.example.com/a, imageDigest: "sha256:` + strings.Repeat("0", 64) + `"}]}}]}}`, want: "set at most one of imageRef, imageDigest, imageUrl and componentNames"},
	"a policy whose exception is for an image and a component": {kind: "EnterpriseContractPolicy", change: `{spec: {sources: [{policy: [a], volatileConfig: {exclude: [{value: r, imageUrl: registry.example.com/a/b, componentNames: [web]}]}}]}}`, want: "set at most one of imageRef, imageDigest, imageUrl and componentNames"},
	"a policy whose exception is for a component":              {kind: "EnterpriseContractPolicy", change: `{spec: {sources: [{policy: [a], volatileConfig: {exclude: [{value: r, componentNames: [web, chart]}]}}]}}`},
	"a policy without sources":                                 {kind: "EnterpriseContractPolicy", change: `{spec: {sources: []}}`, want: "should have at least 1 items"},
}

func TestRules(t *testing.T) {
	c := newClient(t)
	ns, valid := namespace(t, c), objects(t, "testdata/valid.yaml")
	for kind, o := range valid {
		made := o.DeepCopy()
		made.SetNamespace(ns)
		if err := c.Create(t.Context(), made); err != nil {
			t.Fatalf("the valid %s is refused: %v", kind, err)
		}
	}
	for name, tc := range rules {
		t.Run(name, func(t *testing.T) {
			o := valid[tc.kind].DeepCopy()
			o.SetNamespace(ns)
			var change map[string]any
			if err := yaml.Unmarshal([]byte(tc.change), &change); err != nil {
				t.Fatal(err)
			}
			patch, err := json.Marshal(change)
			if err != nil {
				t.Fatal(err)
			}
			if !tc.update {
				o.SetName("other")
				merge(o.Object, change)
				if err := refusal(c.Create(t.Context(), o, client.DryRunAll), tc.want); err != nil {
					t.Error(err)
				}
				o = valid[tc.kind].DeepCopy()
				o.SetNamespace(ns)
			}
			// What nobody may make nobody may make of something else.
			if tc.update || tc.want != "" && change["metadata"] == nil && !immutable[tc.kind] {
				err := c.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, patch), client.DryRunAll)
				if err := refusal(err, tc.want); err != nil {
					t.Errorf("as an update: %v", err)
				}
			}
		})
	}
}

// immutable kinds refuse every update, with a message of their own.
var immutable = map[string]bool{"Snapshot": true, "Release": true}

// TestEveryRuleIsTried fails on a rule in a CRD that no case above is refused
// by, and on a kind without a valid object.
func TestEveryRuleIsTried(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "bundles/install/crds/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	valid := objects(t, "testdata/valid.yaml")
	for _, file := range files {
		for _, crd := range documents(t, file) {
			kind, _, err := unstructured.NestedString(crd.Object, "spec", "names", "kind")
			if err != nil {
				t.Fatal(err)
			}
			group, _, err := unstructured.NestedString(crd.Object, "spec", "group")
			if err != nil {
				t.Fatal(err)
			}
			kind = kindOf(group, kind)
			if valid[kind] == nil {
				t.Errorf("testdata/valid.yaml has no %s", kind)
			}
			for _, message := range rulesOf(crd.Object, "message") {
				if !tried(kind, message) {
					t.Errorf("no case is refused by this rule of %s: %s", kind, message)
				}
			}
		}
	}
}

// TestNamesAreJudgedOnce holds rules of names, which nobody can change, to
// judging new objects alone: see TestStoredStaysWritable.
func TestNamesAreJudgedOnce(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "bundles/install/crds/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, file := range files {
		for _, crd := range documents(t, file) {
			for _, rule := range rulesOf(crd.Object, "rule") {
				if !strings.Contains(rule, "self.metadata.name.") && !strings.HasPrefix(rule, "self.metadata.name") {
					continue
				}
				judged++
				if !strings.HasPrefix(rule, "oldSelf.hasValue() || ") {
					t.Errorf("%s judges the name of what is stored: %s", crd.GetName(), rule)
				}
			}
		}
	}
	if judged < 10 {
		t.Errorf("%d rules of names, want one of each kind", judged)
	}
}

func tried(kind, message string) bool {
	for _, tc := range rules {
		if tc.kind == kind && tc.want != "" && strings.Contains(message, tc.want) {
			return true
		}
	}
	return false
}

// rulesOf is one field of every CEL rule in a schema.
func rulesOf(node any, field string) []string {
	var found []string
	switch node := node.(type) {
	case map[string]any:
		for key, value := range node {
			if list, ok := value.([]any); ok && key == "x-kubernetes-validations" {
				for _, r := range list {
					text, _ := r.(map[string]any)[field].(string)
					found = append(found, text)
				}
				continue
			}
			found = append(found, rulesOf(value, field)...)
		}
	case []any:
		for _, value := range node {
			found = append(found, rulesOf(value, field)...)
		}
	}
	return found
}

// kindOf is how a case names a kind: with its group, where that is not ours.
func kindOf(group, kind string) string {
	if group == ours {
		return kind
	}
	return kind + "." + group
}

// objects reads the objects of a YAML file, by kind.
func objects(t *testing.T, file string) map[string]*unstructured.Unstructured {
	t.Helper()
	found := map[string]*unstructured.Unstructured{}
	for _, o := range documents(t, file) {
		found[kindOf(o.GroupVersionKind().Group, o.GetKind())] = o
	}
	return found
}

// merge applies a merge patch.
func merge(to, change map[string]any) {
	for key, value := range change {
		inner, isMap := value.(map[string]any)
		into, wasMap := to[key].(map[string]any)
		switch {
		case value == nil:
			delete(to, key)
		case isMap && wasMap:
			merge(into, inner)
		default:
			to[key] = value
		}
	}
}
