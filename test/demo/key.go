package demo

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/tekton/bundle"
)

// signingKeySecret is the key that released images are signed with; only the
// managed namespace has it.
const signingKeySecret = "release-signing-key"

// signingKey makes the release team's key, unless it is there.
func (d *Demo) signingKey(ctx context.Context) error {
	password := []byte(rand.Text())
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return password, nil })
	if err != nil {
		return fmt.Errorf("making the release's signing key: %w", err)
	}
	err = d.client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Managed, Name: signingKeySecret},
		Data:       map[string][]byte{"cosign.key": keys.PrivateBytes, "cosign.password": password, "cosign.pub": keys.PublicBytes},
	})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// pushSelfTest packs the team's own test pipeline, and returns its bundle.
func (d *Demo) pushSelfTest(ctx context.Context) (string, error) {
	program := "/none"
	for _, c := range d.Components {
		if c.Program != "" {
			program = c.Program
		}
	}
	objects, err := render("self-test.yaml", values{"TASK_TEST_METADATA": d.lock.Tasks["test-metadata"], "COMPILED_PROGRAM": program})
	if err != nil {
		return "", err
	}
	raw, err := objects[0].MarshalJSON()
	if err != nil {
		return "", err
	}
	img, err := bundle.Image([]bundle.Object{{APIVersion: "tekton.dev/v1", Kind: "Pipeline", Name: objects[0].GetName(), Raw: raw}}, nil)
	if err != nil {
		return "", err
	}
	ref, _, err := bundle.Push(ctx, d.Registry+"/demo/pipeline-self-test", []string{"1.0.0"}, img)
	return ref.String(), err
}
