package manager

import (
	"context"
	"fmt"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// uncached are kinds that are read or made now and then: watching all of them
// in the cluster would cost memory and rights for nothing.
var uncached = []client.Object{
	&corev1.Secret{}, &corev1.ServiceAccount{}, &rbacv1.RoleBinding{}, &tektonv1.TaskRun{},
}

func readKey(ctx context.Context, c client.Reader, key client.ObjectKey) ([]byte, error) {
	var secret corev1.Secret
	if err := c.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("reading the public key of Chains: %w", err)
	}
	public := secret.Data["cosign.pub"]
	if len(public) == 0 {
		return nil, fmt.Errorf("secret %s has no key cosign.pub: install makes it", key)
	}
	return public, nil
}
