package snapshot_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/snapshot"
)

// saturday is when the expressions of the tests are evaluated.
var saturday = time.Date(2025, 3, 8, 23, 30, 0, 0, time.FixedZone("", -8*3600)) // Sunday in UTC

func TestAllowsRelease(t *testing.T) {
	cases := map[string]struct {
		expression string
		want       bool
		err        string
	}{
		"true":                     {expression: "true", want: true},
		"false":                    {expression: "false"},
		"the component":            {expression: `updatedComponentIs("web")`, want: true},
		"another component":        {expression: `updatedComponentIs("api")`},
		"no component":             {expression: `updatedComponentIs("")`},
		"the build's wish":         {expression: `shouldRelease() && updatedComponentIs('web')`, want: true},
		"a label":                  {expression: `snapshot.metadata.labels["test.appstudio.openshift.io/type"] == "component"`, want: true},
		"an image":                 {expression: `snapshot.spec.components.exists(c, c.name == "web" && c.containerImage.startsWith("registry.test"))`, want: true},
		"times are UTC":            {expression: `now.getDayOfWeek() == 0`, want: true},
		"how old it is":            {expression: `now - timestamp(snapshot.metadata.creationTimestamp) < duration("2h")`, want: true},
		"a field that may lack":    {expression: `has(snapshot.spec.displayName)`},
		"a field that lacks":       {expression: `snapshot.spec.displayName == "x"`, err: "it cannot be evaluated: no such key: displayName"},
		"nothing":                  {expression: ``, err: "it cannot be read"},
		"no CEL":                   {expression: `web only`, err: "it cannot be read: line 1, column 5"},
		"a name nobody knows":      {expression: `release == "x"`, err: "undeclared reference to 'release'"},
		"a wrong argument":         {expression: `updatedComponentIs(1)`, err: "no matching overload"},
		"a number":                 {expression: `1 + 1`, err: "it yields a value of type int: it must be true or false"},
		"a text, known late":       {expression: `snapshot.metadata.name`, err: "it yields a value of type string"},
		"a division by zero":       {expression: `1 / (size(snapshot.spec.components) - 1) == 0`, err: "division by zero"},
		"too much work":            {expression: `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a + b + c + d + e + f > 0))))))`, err: "cost"},
		"work nobody counts":       {expression: strings.Repeat(`[1,2,3,4,5,6,7,8,9,10].all(a, `, 6) + `"x".matches("((x{1,30}){1,30}){1,1}")` + strings.Repeat(")", 6), err: "it"},
		"too long":                 {expression: strings.Repeat("true && ", 2000) + "true", err: "it cannot be read"},
		"too deep":                 {expression: strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500), err: "it cannot be read"},
		"the past is not released": {expression: `now < timestamp("2025-01-01T00:00:00Z")`},
	}
	s := pushed("shop-1", "")
	s.CreationTimestamp = metav1.NewTime(saturday.Add(-time.Hour))
	s.Spec.Components = []v1alpha1.SnapshotComponent{{Name: "web", ContainerImage: "registry.test/shop/web@sha256:abc"}}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := snapshot.AllowsRelease(tc.expression, &s, saturday)
			switch {
			case got != tc.want:
				t.Errorf("AllowsRelease() = %t, %v", got, err)
			case tc.err == "" && err != nil, tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("AllowsRelease() = %v, want %q", err, tc.err)
			}
		})
	}
}

// FuzzAllowsRelease holds that what fails allows nothing, and nothing panics.
func FuzzAllowsRelease(f *testing.F) {
	for _, seed := range []string{`updatedComponentIs("web")`, `now - now < duration("1s")`, `snapshot.spec.components.map(c, c.name)`, "(", "\x00", `"é".matches("(a*)*b")`} {
		f.Add(seed)
	}
	s := pushed("shop-1", "1741064767000")
	f.Fuzz(func(t *testing.T, expression string) {
		if allowed, err := snapshot.AllowsRelease(expression, &s, saturday); err != nil && allowed {
			t.Errorf("%q allows a release and fails with %v", expression, err)
		}
	})
}
