package scenario

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// runner is who test runs run as, and the role it has.
	runner = "konflux-integration-runner"
	// pullSecret is what the runner pulls images with. It is made empty: who
	// makes the image repositories fills it.
	pullSecret = "components-namespace-pull"
)

// prepare makes what test runs need in a namespace, once. What is there stays
// as it is.
func (r *Reconciler) prepare(ctx context.Context, namespace string) error {
	// The binding is made last: where it is, everything was.
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: runner}, &rbacv1.RoleBinding{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	for _, object := range objects(namespace) {
		if err := r.Client.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

func objects(namespace string) []client.Object {
	where := metav1.ObjectMeta{Namespace: namespace, Name: runner}
	return []client.Object{
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pullSecret}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{}}`)},
		},
		&corev1.ServiceAccount{ObjectMeta: where, ImagePullSecrets: []corev1.LocalObjectReference{{Name: pullSecret}}},
		&rbacv1.RoleBinding{
			ObjectMeta: where,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: runner},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: runner}},
		},
	}
}
