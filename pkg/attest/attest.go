// Package attest looks in a registry for what Tekton Chains left beside an
// image, and checks it against a public key.
//
// The annotation that Chains puts on a run is no evidence: whoever may edit
// the run may write it. What counts is a signature and an attestation that
// name the image's digest and verify.
package attest

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/signature"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// MissingError says what a registry does not have yet, or has not signed with
// the key. Chains may still be at work, so it is worth asking again.
type MissingError struct {
	Image string
	What  string // signature or attestation
	err   error
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s of %s does not verify with the key of Chains: %v", e.What, e.Image, e.err)
}

func (e *MissingError) Unwrap() error { return e.err }

// Hint says what keeps Chains from signing.
func (e *MissingError) Hint() string {
	return "Chains pushes with the Secrets listed under secrets of the run's ServiceAccount: check that one of them may write to the image's repository"
}

// Prover proves images with one public key.
type Prover struct {
	PublicKey []byte // PEM
}

// Prove returns nil when image, a reference by digest, has a signature and an
// attestation by the key. With a [*MissingError] it has not, or not yet.
func (p Prover) Prove(ctx context.Context, image string) error {
	ref, err := name.NewDigest(image)
	if err != nil {
		return fmt.Errorf("image %q: %w", image, err)
	}
	options, err := p.options(ctx)
	if err != nil {
		return err
	}
	if _, err := remote.Head(ref, oci.Options(ctx)...); err != nil {
		return fmt.Errorf("looking for %s: %w", image, oci.Explain(err))
	}
	if _, _, err := cosign.VerifyImageSignatures(ctx, ref, options); err != nil {
		return missing(ctx, "the signature", image, err)
	}
	options.ClaimVerifier = cosign.IntotoSubjectClaimVerifier
	if _, _, err := cosign.VerifyImageAttestations(ctx, ref, options); err != nil {
		return missing(ctx, "the attestation", image, err)
	}
	return nil
}

func (p Prover) options(ctx context.Context) (*cosign.CheckOpts, error) {
	key, err := signature.LoadPublicKeyRaw(p.PublicKey, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	return &cosign.CheckOpts{
		SigVerifier: key, ClaimVerifier: cosign.SimpleClaimVerifier,
		// The key is our own cluster's; there is no public log to ask.
		IgnoreTlog: true, IgnoreSCT: true, Offline: true,
		RegistryClientOpts: []ociremote.Option{ociremote.WithRemoteOptions(oci.Options(ctx)...)},
	}, nil
}

func missing(ctx context.Context, what, image string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused *oci.RefusedError
	if errors.As(oci.Explain(err), &refused) {
		return refused
	}
	return &MissingError{Image: image, What: what, err: err}
}
