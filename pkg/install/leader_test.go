package install

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestALeaseIsHeldByWhatRuns(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	pod := func(started time.Time) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "resolvers-1"}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)},
		}}}
		return p
	}
	lease := func(holder string, renewed time.Time) coordinationv1.Lease {
		seconds := int32(15)
		l := coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "git"}}
		l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds = &holder, &seconds
		l.Spec.RenewTime = &metav1.MicroTime{Time: renewed}
		return l
	}
	for name, tc := range map[string]struct {
		lease coordinationv1.Lease
		pods  []corev1.Pod
		want  string
	}{
		"held":                             {lease("resolvers-1_a", ago(time.Second)), []corev1.Pod{pod(ago(time.Hour))}, ""},
		"by the process before":            {lease("resolvers-1_a", ago(10*time.Second)), []corev1.Pod{pod(ago(5 * time.Second))}, "git"},
		"by a pod that is gone":            {lease("resolvers-0_a", ago(time.Second)), []corev1.Pod{pod(ago(5 * time.Second))}, "git"},
		"run out":                          {lease("resolvers-1_a", ago(20*time.Second)), []corev1.Pod{pod(ago(21 * time.Second))}, "git"},
		"by nobody yet":                    {coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "git"}}, nil, "git"},
		"of a controller that is no more":  {lease("resolvers-0_a", ago(time.Hour)), []corev1.Pod{pod(ago(time.Minute))}, ""},
		"of one that stopped and restarts": {lease("resolvers-1_a", ago(time.Hour)), []corev1.Pod{pod(ago(20 * time.Second))}, "git"},
	} {
		if got := notLed([]coordinationv1.Lease{tc.lease}, tc.pods, now); got != tc.want {
			t.Errorf("%s: waiting for %q, want %q", name, got, tc.want)
		}
	}
}
