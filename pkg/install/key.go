package install

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The Secrets of the signing key in Chains' namespace: the whole pair, which
// only Chains mounts, and the public half, which everybody may read.
const (
	signingSecret   = "signing-secrets"
	publicKeySecret = "public-key"

	privateKey   = "cosign.key"
	password     = "cosign.password"
	publicKey    = "cosign.pub"
	fieldManager = "headrace"
)

// ensureSigningKey makes the key that Chains signs with where there is none,
// and publishes its public half. It reports whether it made one. A key that is
// there is never replaced: everything signed so far depends on it.
func ensureSigningKey(ctx context.Context, c client.Client) (made bool, err error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: chainsNamespace, Name: signingSecret}}
	err = c.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("looking for the signing key: %w", err)
	}
	exists := err == nil
	if len(secret.Data[privateKey]) == 0 {
		if secret.Data, err = newKeyPair(); err != nil {
			return false, fmt.Errorf("making the signing key: %w", err)
		}
		immutable := true
		secret.Immutable = &immutable
		store := func() error { return c.Create(ctx, secret, client.FieldOwner(fieldManager)) }
		if exists {
			store = func() error { return c.Update(ctx, secret, client.FieldOwner(fieldManager)) }
		}
		// Of two installations at once, one is told that it comes too late.
		if err := store(); err != nil {
			return false, fmt.Errorf("storing the signing key: %w", err)
		}
		made = true
	}
	public, err := publicHalf(secret.Data)
	if err != nil {
		return made, err
	}
	return made, publish(ctx, c, public)
}

func newKeyPair() (map[string][]byte, error) {
	secret := []byte(rand.Text())
	pair, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return secret, nil })
	if err != nil {
		return nil, err
	}
	return map[string][]byte{privateKey: pair.PrivateBytes, publicKey: pair.PublicBytes, password: secret}, nil
}

// publicHalf derives the public key from the private one, whatever else the
// Secret says.
func publicHalf(data map[string][]byte) ([]byte, error) {
	signer, err := cosign.LoadPrivateKey(data[privateKey], data[password], nil)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key of Secret %s/%s: %w", chainsNamespace, signingSecret, err)
	}
	key, err := signer.PublicKey()
	if err != nil {
		return nil, err
	}
	return cryptoutils.MarshalPublicKeyToPEM(key)
}

func publish(ctx context.Context, c client.Client, public []byte) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: chainsNamespace, Name: publicKeySecret}}
	err := c.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	switch {
	case apierrors.IsNotFound(err):
		secret.Data = map[string][]byte{publicKey: public}
		err = c.Create(ctx, secret, client.FieldOwner(fieldManager))
	case err == nil && !bytes.Equal(secret.Data[publicKey], public):
		secret.Data = map[string][]byte{publicKey: public}
		err = c.Update(ctx, secret, client.FieldOwner(fieldManager))
	}
	if err != nil {
		return fmt.Errorf("publishing the public key: %w", err)
	}
	return nil
}

// publicKeyAccess lets everybody who is somebody on the cluster read the
// public key.
func publicKeyAccess() []*unstructured.Unstructured {
	metadata := func() map[string]any {
		return map[string]any{"namespace": chainsNamespace, "name": "public-key-reader"}
	}
	return []*unstructured.Unstructured{
		{Object: map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(),
			"rules": []any{map[string]any{
				"apiGroups": []any{""}, "resources": []any{"secrets"},
				"resourceNames": []any{publicKeySecret}, "verbs": []any{"get"},
			}},
		}},
		{Object: map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata(),
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "public-key-reader"},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}},
		}},
	}
}
