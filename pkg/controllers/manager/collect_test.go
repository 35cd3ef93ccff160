package manager

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// TestCollector makes room once for two builds that find none at once.
func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists, proceed := 0, make(chan struct{})
		c := fake.NewClientBuilder().WithScheme(Scheme()).WithInterceptorFuncs(interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if _, ok := list.(*v1alpha1.SnapshotList); ok {
					lists++
					<-proceed
				}
				return c.List(ctx, list, opts...)
			},
		}).Build()
		for i := range 80 {
			s := &v1alpha1.Snapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: fmt.Sprintf("s-%02d", i), Labels: map[string]string{
				"pac.test.appstudio.openshift.io/event-type": "pull_request", "pac.test.appstudio.openshift.io/pull-request": "1",
			}}}
			if err := c.Create(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		collect, ended := collector(c, c), make(chan error, 2)
		for range 2 {
			go func() { ended <- collect(t.Context(), "dev") }()
		}
		synctest.Wait() // one lists, the other waits for it
		close(proceed)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if lists != 1 {
			t.Errorf("Snapshots were listed %d times", lists)
		}
		var left v1alpha1.SnapshotList
		if err := c.List(t.Context(), &left); err != nil || len(left.Items) != 70 {
			t.Errorf("%d Snapshots are left, %v, want as many as is shipped", len(left.Items), err)
		}
	})
}
