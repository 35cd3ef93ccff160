package snapshot_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestCreationFailed(t *testing.T) {
	runs := schema.GroupResource{Group: "tekton.dev", Resource: "pipelineruns"}
	cases := map[string]struct {
		err     error
		refused bool
		wait    time.Duration
		says    string
	}{
		"not valid":              {apierrors.NewInvalid(schema.GroupKind{Kind: "PipelineRun"}, "r", nil), true, 0, "the test run was refused: "},
		"denied by a webhook":    {apierrors.NewBadRequest(`admission webhook "v" denied the request: spec.tasks`), true, 0, "spec.tasks"},
		"denied by a policy":     {apierrors.NewForbidden(runs, "r", errors.New("policy")), true, 0, "policy"},
		"a full quota":           {apierrors.NewForbidden(runs, "r", errors.New("exceeded quota: q")), false, time.Minute, "waiting for room in the namespace"},
		"a quota that changed":   {apierrors.NewConflict(schema.GroupResource{Resource: "resourcequotas"}, "q", errors.New("modified")), false, 0, ""},
		"a quota that is slow":   {apierrors.NewInternalError(errors.New("resource quota evaluation timed out")), false, 0, ""},
		"a webhook that is away": {apierrors.NewInternalError(errors.New("failed calling webhook")), false, 0, ""},
		"a webhook that is slow": {apierrors.NewForbidden(runs, "r", errors.New("failed calling webhook")), false, 0, ""},
		"an overloaded server":   {apierrors.NewTooManyRequestsError("slow"), false, 0, ""},
		"a server that is away":  {apierrors.NewServiceUnavailable("away"), false, 0, ""},
		"a timeout":              {apierrors.NewTimeoutError("late", 1), false, 0, ""},
		"no connection":          {errors.New("dial tcp: connection refused"), false, 0, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := snapshot.CreationFailed(tc.err)
			if got.Refused != tc.refused || got.Wait != tc.wait || !strings.Contains(got.Message, tc.says) || (got.Message == "") != (tc.says == "") {
				t.Errorf("got %+v", got)
			}
		})
	}
}
