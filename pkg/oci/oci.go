// Package oci is the one place that talks to a registry: how to trust it, how
// to log in, what to try again.
//
// Trust: the system's roots, plus the bundle that a Task mounts from ConfigMap
// trusted-ca (see CAFile). Login: the docker config in $DOCKER_CONFIG or
// $HOME/.docker, of whose entries the one with the longest matching path wins
// (see Keychain).
package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// CAFile is where a Task mounts the certificates its cluster trusts besides
// the system's. It may be absent.
const CAFile = "/mnt/trusted-ca/ca-bundle.crt"

// userAgent is how registries see us in their logs.
const userAgent = "headrace"

var roundTripper = sync.OnceValues(func() (http.RoundTripper, error) {
	pool, err := Roots(CAFile)
	if err != nil {
		return nil, err
	}
	t := remote.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
})

// Roots is the system's certificates and those of file, if it is there.
func Roots(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's certificates: %w", err)
	}
	extra, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return pool, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading trusted certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(extra) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// Transport is the HTTP transport to everything a Task talks to.
func Transport() (http.RoundTripper, error) { return roundTripper() }

// Options are what every call to a registry is made with.
func Options(ctx context.Context) []remote.Option {
	t, err := roundTripper()
	if err != nil {
		t = failing{err}
	}
	return []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(t), remote.WithAuthFromKeychain(Keychain()),
		remote.WithUserAgent(userAgent),
	}
}

// failing answers every request with the reason why none can be made.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// Reference reads an image reference: repository with tag, digest or both.
// One without either is refused, since "latest" is nobody's intention.
func Reference(s string) (name.Reference, error) {
	ref, err := name.ParseReference(s, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("image reference %q: %w", s, err)
	}
	return ref, nil
}

// WithDigest is the image that a Task's params name: a reference with a tag,
// and a digest that is the truth of it.
func WithDigest(url, digest string) (name.Digest, error) {
	ref, err := Reference(url)
	if err != nil {
		return name.Digest{}, err
	}
	image, err := name.NewDigest(ref.Context().Name()+"@"+digest, name.StrictValidation)
	if err != nil {
		return name.Digest{}, fmt.Errorf("image digest %q: %w", digest, err)
	}
	return image, nil
}

// Digest asks the registry which digest a reference names now.
func Digest(ctx context.Context, s string) (name.Digest, error) {
	ref, err := Reference(s)
	if err != nil {
		return name.Digest{}, err
	}
	desc, err := remote.Head(ref, Options(ctx)...)
	if err != nil {
		return name.Digest{}, fmt.Errorf("resolving %q: %w", s, Explain(err))
	}
	return ref.Context().Digest(desc.Digest.String()), nil
}

// RefusedError says that a registry did not let us do what was asked.
type RefusedError struct {
	Status int // HTTP status
	err    error
}

func (e *RefusedError) Error() string { return e.err.Error() }
func (e *RefusedError) Unwrap() error { return e.err }

// Hint says where a Task's login comes from.
func (e *RefusedError) Hint() string {
	return "put a login for this repository into a Secret of type kubernetes.io/dockerconfigjson and list it under secrets of the run's ServiceAccount"
}

// Explain turns a registry's refusal into a *RefusedError, and leaves other
// errors as they are.
func Explain(err error) error {
	if terr, ok := asTransport(err); ok && (terr.StatusCode == http.StatusUnauthorized || terr.StatusCode == http.StatusForbidden) {
		return &RefusedError{Status: terr.StatusCode, err: err}
	}
	return err
}

// NotFound reports whether the registry answered that there is no such thing.
func NotFound(err error) bool {
	terr, ok := asTransport(err)
	return ok && terr.StatusCode == http.StatusNotFound
}

func asTransport(err error) (*transport.Error, bool) {
	var t *transport.Error
	ok := errors.As(err, &t)
	return t, ok
}
