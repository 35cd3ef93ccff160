package snapshot_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestNewParentSnapshot(t *testing.T) {
	image := "quay.test/x@" + digest
	all := []v1beta2.ComponentGroup{
		promoted(group("product", "docs/main", "base"), "docs/main", image, 1),
		promoted(promoted(group("base", "web/main", "api/main"), "web/main", image, 1), "api/main", image, 1),
		group("both", "web/main", "base"),
	}
	whole := func(name string) snapshot.Whole {
		w, err := snapshot.OfGroup(name, all)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	run := prBuild("web", "1", 60)
	run.Annotations[snapshot.VersionKey] = "main"
	_, child := ends(run, corev1.ConditionTrue, whole("base"))
	child.Annotations[snapshot.StatusAnnotation] = "[]"

	got, omitted := snapshot.NewParentSnapshot(child, whole("product"))
	var names []string
	for _, c := range got.Spec.Components {
		names = append(names, c.Name+"="+c.ContainerImage)
	}
	want := []string{"api=" + image, "docs=" + image, "web=quay.test/web-1-0100@" + digest}
	if diff := cmp.Diff(want, names); diff != "" || len(omitted) > 0 {
		t.Errorf("it holds (-want +got):\n%s, without %v", diff, omitted)
	}
	if got.Labels[snapshot.ComponentGroupLabel] != "product" || got.Labels[pacPR] != "1" || got.Labels[snapshot.ComponentLabel] != "web" ||
		got.Annotations[snapshot.ChildAnnotation] != child.Name || got.Annotations[snapshot.OriginAnnotation] != child.Name || got.Annotations[snapshot.StatusAnnotation] != "" {
		t.Errorf("it says %v, %v", got.Labels, got.Annotations)
	}
	got.Name = "product-1"
	if next, _ := snapshot.NewParentSnapshot(got, whole("both")); next.Annotations[snapshot.OriginAnnotation] != child.Name || next.Annotations[snapshot.ChildAnnotation] != "product-1" {
		t.Errorf("the next one follows from %v", next.Annotations)
	}
	for name, want := range map[string]bool{"product": true, "both": false} {
		var g *v1beta2.ComponentGroup
		for i := range all {
			if all[i].Name == name {
				g = &all[i]
			}
		}
		if snapshot.Follows(child, snapshot.Alone(g)) != want {
			t.Errorf("Follows() in %s is %t", name, !want)
		}
	}
	if !snapshot.SameParent(got, child, "product") || snapshot.SameParent(got, child, "both") {
		t.Error("SameParent() takes it for another")
	}
	for _, name := range snapshot.ParentNames(child, "product") {
		if !strings.HasPrefix(name, "product-20250304-050100-000") || len(name) > 63 {
			t.Errorf("its name would be %s", name)
		}
	}
}

func TestFollowed(t *testing.T) {
	for name, tc := range map[string]struct {
		group  string
		labels map[string]string
		want   bool
	}{
		"of a group":        {group: "g", want: true},
		"of an application": {},
		"of a PR group":     {group: "g", labels: map[string]string{snapshot.TypeLabel: "group"}},
		"out of a backup":   {group: "g", labels: map[string]string{"velero.io/restore-name": "r"}},
	} {
		s := labelled(tc.labels, nil)
		s.Spec.ComponentGroup = tc.group
		if snapshot.Followed(s) != tc.want {
			t.Errorf("%s: %t", name, !tc.want)
		}
	}
}

func TestNewRemovalSnapshot(t *testing.T) {
	c := &v1alpha1.Component{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "gone", UID: "7"}}
	if s, _ := snapshot.NewRemovalSnapshot(c, snapshot.Whole{Application: "shop", Parts: []snapshot.Part{{Name: "new"}}}); s != nil {
		t.Errorf("of nothing it makes %+v", s.Spec)
	}
	s, _ := snapshot.NewRemovalSnapshot(c, shop("api", "web"))
	if len(s.Spec.Components) != 2 || s.Labels[snapshot.AutoReleaseKey] != "false" || s.Labels[snapshot.ApplicationLabel] != "shop" || s.Labels[snapshot.TypeLabel] != "" {
		t.Errorf("it makes %+v, %v", s.Spec, s.Labels)
	}
}

func TestDecideRemoval(t *testing.T) {
	cases := map[string]struct {
		err   error
		age   time.Duration
		again time.Duration
		wait  bool
	}{
		"an error that may pass":    {err: errors.New("timeout"), wait: true},
		"no room":                   {err: &snapshot.Refusal{Reason: snapshot.QuotaExceeded}, again: time.Minute, wait: true},
		"a namespace that is going": {err: &snapshot.Refusal{Reason: snapshot.NamespaceGone}, again: time.Minute},
		"what will never be":        {err: &snapshot.Refusal{Reason: snapshot.Refused}, again: time.Minute},
		"no room for too long":      {err: &snapshot.Refusal{Reason: snapshot.QuotaExceeded}, age: 11 * time.Minute},
		"an error that does not":    {err: errors.New("timeout"), age: 11 * time.Minute},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			at := metav1.Unix(1000, 0)
			c := &v1alpha1.Component{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &at}}
			if again, wait := snapshot.DecideRemoval(c, tc.err, at.Add(tc.age)); again != tc.again && wait || wait != tc.wait {
				t.Errorf("DecideRemoval() = %v, %t", again, wait)
			}
		})
	}
}
