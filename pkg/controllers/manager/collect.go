package manager

import (
	"context"
	"time"

	"golang.org/x/sync/singleflight"
	"sigs.k8s.io/controller-runtime/pkg/client"

	domain "github.com/headrace-ci/headrace/pkg/snapshot"
	"github.com/headrace-ci/headrace/pkg/snapshotgc"
)

// collector makes room in a namespace that may hold no more Snapshots: once
// for all builds that find it full at the same time. reader is no cache.
func collector(c client.Client, reader client.Reader) func(context.Context, string) error {
	gc := &snapshotgc.Collector{Client: c, Reader: reader, Limits: domain.ShippedLimits, Now: time.Now}
	var asked singleflight.Group
	return func(ctx context.Context, namespace string) error {
		_, err, _ := asked.Do(namespace, func() (any, error) { return gc.Namespace(ctx, namespace) })
		return err
	}
}
