package demo

import (
	"fmt"

	"github.com/headrace-ci/headrace/pkg/tekton/catalog"
)

// publicKey is where Chains's public key is, for ec and cosign.
const publicKey = "k8s://tekton-chains/public-key"

// lock is what the registry holds of the catalog.
type lock struct{ *catalog.Lock }

func readLock(file string) (lock, error) {
	l, err := catalog.ReadLock(file)
	if err != nil {
		return lock{}, fmt.Errorf("the catalog is not published (make catalog): %w", err)
	}
	return lock{l}, nil
}

func (l lock) pipeline(name string) string { return l.Pipelines[name] }

// policy is the policy that the release is gated by.
func (l lock) policy() map[string]any {
	return map[string]any{
		"name": "release", "publicKey": publicKey,
		"sources": []any{map[string]any{
			"name": "release", "policy": []string{"oci::" + l.Policy}, "data": []string{"oci::" + l.Data},
		}},
	}
}
