package attest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/headrace-ci/headrace/test/fixture"
	"github.com/headrace-ci/headrace/test/fixture/chains"
)

func TestProve(t *testing.T) {
	host := fixture.Registry(t)
	ours, theirs := chains.NewSigner(t), chains.NewSigner(t)
	for sentence, tc := range map[string]struct {
		sign func(image name.Digest)
		want string // part of the error; empty when the image is proven
	}{
		"signed and attested by the key": {sign: func(i name.Digest) { ours.Sign(t, i); ours.Attest(t, i, i) }},
		"signed by others too":           {sign: func(i name.Digest) { theirs.Sign(t, i); ours.Sign(t, i); ours.Attest(t, i, i) }},
		"not signed":                     {sign: func(name.Digest) {}, want: "the signature"},
		"signed only":                    {sign: func(i name.Digest) { ours.Sign(t, i) }, want: "the attestation"},
		"attested only":                  {sign: func(i name.Digest) { ours.Attest(t, i, i) }, want: "the signature"},
		"signed by another key":          {sign: func(i name.Digest) { theirs.Sign(t, i); ours.Attest(t, i, i) }, want: "the signature"},
		"attested by another key":        {sign: func(i name.Digest) { ours.Sign(t, i); theirs.Attest(t, i, i) }, want: "the attestation"},
		"attested as another image": {sign: func(i name.Digest) {
			ours.Sign(t, i)
			ours.Attest(t, i, chains.Image(t, host+"/other"))
		}, want: "the attestation"},
	} {
		t.Run(sentence, func(t *testing.T) {
			image := chains.Image(t, host+"/shop/web")
			tc.sign(image)
			err := Prover{PublicKey: ours.PublicKey}.Prove(t.Context(), image.String())
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var missing *MissingError
			if !errors.As(err, &missing) {
				t.Fatalf("got %v, want a MissingError", err)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), image.DigestStr()) || missing.Hint() == "" {
				t.Errorf("got %q, want it to name %s and %q, and a hint", err, image.DigestStr(), tc.want)
			}
		})
	}
}

// An image that is not there may come; one that is no digest never will.
func TestProveNamesWhatIsWrong(t *testing.T) {
	host := fixture.Registry(t)
	key := chains.NewSigner(t).PublicKey
	var missing *MissingError
	for sentence, tc := range map[string]struct {
		key   []byte
		image string
		want  string
	}{
		"a tag":             {key: key, image: host + "/shop/web:1", want: "image "},
		"no such image":     {key: key, image: host + "/shop/web@sha256:" + strings.Repeat("0", 64), want: "looking for "},
		"a key that is not": {key: []byte("key"), image: host + "/shop/web@sha256:" + strings.Repeat("0", 64), want: "reading the public key"},
	} {
		t.Run(sentence, func(t *testing.T) {
			err := Prover{PublicKey: tc.key}.Prove(t.Context(), tc.image)
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.As(err, &missing) {
				t.Errorf("got %v, want it to say %q and not to be a MissingError", err, tc.want)
			}
		})
	}
}
