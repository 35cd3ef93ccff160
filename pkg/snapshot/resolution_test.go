package snapshot_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	resolutionv1 "github.com/tektoncd/pipeline/pkg/apis/resolution/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/headrace-ci/headrace/pkg/snapshot"
)

func TestWeigh(t *testing.T) {
	made, answered := time.Unix(1000, 0), time.Unix(1010, 0)
	request := func(status corev1.ConditionStatus, reason, message, data string) *resolutionv1.ResolutionRequest {
		r := &resolutionv1.ResolutionRequest{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(made)}}
		if status != "" {
			r.Status.Conditions = []apis.Condition{{
				Type: apis.ConditionSucceeded, Status: status, Reason: reason, Message: message,
				LastTransitionTime: apis.VolatileTime{Inner: metav1.NewTime(answered)},
			}}
		}
		r.Status.Data = data
		return r
	}
	open := request("", "", "", "")
	found := request(corev1.ConditionTrue, "", "", base64.StdEncoding.EncodeToString([]byte("kind: Pipeline")))
	away := request(corev1.ConditionFalse, "ResolutionTimedOut", "resolution took longer than global timeout of 1m0s", "")
	missing := request(corev1.ConditionFalse, "ResolutionFailed", "file does not exist", "")
	question := snapshot.Question{Owner: "1", About: "smoke", Ref: snapshot.Resolver(reference("git", "", "url", "https://git.test/x"))}
	first, second := question.Names()[0], question.Names()[1]
	list := func(r ...*resolutionv1.ResolutionRequest) []*resolutionv1.ResolutionRequest { return r }
	cases := map[string]struct {
		made []*resolutionv1.ResolutionRequest
		now  int64
		want snapshot.Answer
	}{
		"nothing was asked":              {nil, 1000, snapshot.Answer{Ask: first}},
		"no answer yet":                  {list(open), 1060, snapshot.Answer{Wait: time.Minute, Waiting: "resolver git is looking for it"}},
		"in progress":                    {list(request(corev1.ConditionUnknown, "", "", "")), 1060, snapshot.Answer{Wait: time.Minute, Waiting: "resolver git is looking"}},
		"an answer":                      {list(found), 1011, snapshot.Answer{Document: []byte("kind: Pipeline")}},
		"an answer that is no base64":    {list(request(corev1.ConditionTrue, "", "", "?")), 1011, snapshot.Answer{Failure: "resolver git answered what is not base64"}},
		"it is missing":                  {list(missing), 1011, snapshot.Answer{Failure: "file does not exist"}},
		"a resolver is away":             {list(away), 1015, snapshot.Answer{Wait: 25 * time.Second, Waiting: "asking once more in 30s: resolution took longer"}},
		"a resolver was away":            {list(away), 1040, snapshot.Answer{Ask: second}},
		"asked again":                    {list(away, open), 1060, snapshot.Answer{Wait: time.Minute, Waiting: "looking"}},
		"found then":                     {list(away, found), 1060, snapshot.Answer{Document: []byte("kind: Pipeline")}},
		"away again":                     {list(away, away), 1060, snapshot.Answer{Failure: "global timeout of 1m0s (asked 2 times)", Passing: true}},
		"missing then":                   {list(away, missing), 1060, snapshot.Answer{Failure: "file does not exist"}},
		"nobody answers":                 {list(open), 1120, snapshot.Answer{Wait: 30 * time.Second, Waiting: "did not answer within 2m0s"}},
		"nobody answered for long":       {list(open), 1150, snapshot.Answer{Ask: second}},
		"nobody answered either of them": {list(open, open), 1150, snapshot.Answer{Failure: "did not answer within 2m0s (asked 2 times)", Passing: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := question.Weigh(tc.made, time.Unix(tc.now, 0))
			if got.Ask != tc.want.Ask || got.Wait != tc.want.Wait || string(got.Document) != string(tc.want.Document) || got.Passing != tc.want.Passing ||
				!strings.Contains(got.Failure, tc.want.Failure) || (got.Failure == "") != (tc.want.Failure == "") || !strings.Contains(got.Waiting, tc.want.Waiting) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	question := snapshot.Question{Owner: "1", About: "smoke", Ref: snapshot.Resolver(reference("git", "", "url", "https://git.test/x"))}
	got := question.Request("dev", question.Names()[0], map[string]string{"a": "b"}, metav1.OwnerReference{Name: "shop-1"})
	if got.Labels["resolution.tekton.dev/type"] != "git" || got.Labels["konflux-ci.dev/created-by"] != "integration-service" || got.Labels["a"] != "b" {
		t.Errorf("labels %v", got.Labels)
	}
	if got.Namespace != "dev" || got.OwnerReferences[0].Name != "shop-1" || len(got.Spec.Params) != 1 || got.Spec.Params[0].Value.StringVal != "https://git.test/x" {
		t.Errorf("request %+v", got)
	}
	names := map[string]bool{}
	for _, other := range []snapshot.Question{
		question, {Owner: "2", About: "smoke", Ref: question.Ref}, {Owner: "1", About: "soak", Ref: question.Ref},
		{Owner: "1", About: "smoke", Ref: snapshot.Resolver(reference("git", "", "url", "https://git.test/y"))},
	} {
		for _, name := range other.Names() {
			names[name] = true
		}
	}
	if len(names) != 8 {
		t.Errorf("%d names of 8 requests", len(names))
	}
}
