package signimage

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// What a Secret with a key holds, as `cosign generate-key-pair k8s://` makes
// it.
const (
	keyFile      = "cosign.key"
	passwordFile = "cosign.password"
)

// KeyError says that the key cannot be used. It never quotes the key.
type KeyError struct{ Secret, Problem string }

func (e *KeyError) Error() string {
	return fmt.Sprintf("signing key in Secret %q: %s", e.Secret, e.Problem)
}

// Hint says how to make one.
func (e *KeyError) Hint() string {
	return "make one with `cosign generate-key-pair k8s://<managed namespace>/" + e.Secret + "`, and name it in data.sign.cosignSecretName of the ReleasePlanAdmission"
}

// key signs as cosign does with a key of one's own.
type key struct{ private *ecdsa.PrivateKey }

func readKey(dir, secret string) (*key, error) {
	fail := func(problem string) (*key, error) { return nil, &KeyError{Secret: secret, Problem: problem} }
	if _, err := os.Stat(filepath.Join(dir, "SIGN_KEY")); err == nil {
		return fail("keys in a key management service are not supported yet")
	}
	raw, err := os.ReadFile(filepath.Join(dir, keyFile))
	if errors.Is(err, os.ErrNotExist) {
		return fail("there is no " + keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	password, err := os.ReadFile(filepath.Join(dir, passwordFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the signing key's password: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "ENCRYPTED SIGSTORE PRIVATE KEY" && block.Type != "ENCRYPTED COSIGN PRIVATE KEY" {
		return fail(keyFile + " is not a key that cosign made")
	}
	der, err := encrypted.Decrypt(block.Bytes, password)
	if err != nil {
		return fail(passwordFile + " does not open " + keyFile)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return fail(keyFile + " holds no private key")
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return fail(fmt.Sprintf("keys of type %T are not supported, ECDSA keys are", parsed))
	}
	return &key{private: private}, nil
}

// payload is what is signed: that a digest goes by a name.
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// sign signs a manifest by the name it is released under, once.
func (k *key) sign(ctx context.Context, manifest name.Digest, identity string) error {
	var p payload
	p.Critical.Identity.Reference, p.Critical.Image.Digest = identity, manifest.DigestStr()
	p.Critical.Type = "cosign container image signature"
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	signed, err := k.signed(ctx, manifest, text)
	if err != nil {
		return fmt.Errorf("reading the signatures of %q: %w", manifest, oci.Explain(err))
	}
	if signed {
		slog.InfoContext(ctx, "is signed already", "image", manifest, "as", identity)
		return nil
	}
	sum := sha256.Sum256(text)
	signature, err := k.private.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return fmt.Errorf("signing %q: %w", manifest, err)
	}
	err = oci.AppendSignature(ctx, manifest, mutate.Addendum{
		Layer:       static.NewLayer(text, oci.SignatureType),
		MediaType:   oci.SignatureType,
		Annotations: map[string]string{oci.SignatureKey: base64.StdEncoding.EncodeToString(signature)},
	})
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "signed", "image", manifest, "as", identity)
	return nil
}

// signed reports whether this key signed text before.
func (k *key) signed(ctx context.Context, manifest name.Digest, text []byte) (bool, error) {
	list, err := remote.Image(oci.EvidenceTag(manifest, ".sig"), oci.Options(ctx)...)
	if oci.NotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	content, err := list.Manifest()
	if err != nil {
		return false, err
	}
	for _, layer := range content.Layers {
		signature, err := base64.StdEncoding.DecodeString(layer.Annotations[oci.SignatureKey])
		if err != nil || layer.Size != int64(len(text)) {
			continue // somebody else's
		}
		if same, err := holds(list, layer.Digest, text); err != nil || !same {
			if err != nil {
				return false, err
			}
			continue
		}
		sum := sha256.Sum256(text)
		if ecdsa.VerifyASN1(&k.private.PublicKey, sum[:], signature) {
			return true, nil
		}
	}
	return false, nil
}

func holds(list v1.Image, digest v1.Hash, text []byte) (bool, error) {
	layer, err := list.LayerByDigest(digest)
	if err != nil {
		return false, err
	}
	content, err := layer.Compressed()
	if err != nil {
		return false, err
	}
	defer content.Close()
	raw, err := io.ReadAll(content)
	return bytes.Equal(raw, text), err
}
