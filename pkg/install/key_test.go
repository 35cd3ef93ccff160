package install

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func secretOf(t *testing.T, c client.Client, name string) *corev1.Secret {
	t.Helper()
	var s corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: chainsNamespace, Name: name}, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestTheSigningKeyIsMadeOnce(t *testing.T) {
	empty := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: chainsNamespace, Name: signingSecret}}
	for name, before := range map[string][]client.Object{
		"nothing is there":                 nil,
		"upstream's empty Secret is there": {empty},
	} {
		t.Run(name, func(t *testing.T) {
			c := fake.NewClientBuilder().WithObjects(before...).Build()
			made, err := ensureSigningKey(t.Context(), c)
			if err != nil || !made {
				t.Fatalf("first time: made %v, error %v", made, err)
			}
			pair, public := secretOf(t, c, signingSecret), secretOf(t, c, publicKeySecret)
			if diff := cmp.Diff(pair.Data[publicKey], public.Data[publicKey]); diff != "" {
				t.Errorf("the published key is not the signing key's (-want +got):\n%s", diff)
			}
			if len(public.Data) != 1 {
				t.Errorf("the public Secret has %d entries, want the public key alone", len(public.Data))
			}
			made, err = ensureSigningKey(t.Context(), c)
			if err != nil || made {
				t.Fatalf("second time: made %v, error %v", made, err)
			}
			if diff := cmp.Diff(pair, secretOf(t, c, signingSecret)); diff != "" {
				t.Errorf("the second time changed the key (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(public, secretOf(t, c, publicKeySecret)); diff != "" {
				t.Errorf("the second time changed the public key (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAWrongPublicKeyIsCorrected(t *testing.T) {
	c := fake.NewClientBuilder().WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: chainsNamespace, Name: publicKeySecret},
		Data:       map[string][]byte{publicKey: []byte("another")},
	}).Build()
	if _, err := ensureSigningKey(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := secretOf(t, c, signingSecret).Data[publicKey]
	if diff := cmp.Diff(want, secretOf(t, c, publicKeySecret).Data[publicKey]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
