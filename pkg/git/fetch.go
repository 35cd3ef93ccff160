package git

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// maxBackoff is the longest wait between two attempts.
const maxBackoff = 30 * time.Second

// list asks a repository for its refs.
func (c *cloner) list(ctx context.Context, remote *gogit.Remote, auth transport.AuthMethod) (refs []*plumbing.Reference, err error) {
	err = c.retry(ctx, "listing refs", remote.Config().URLs[0], auth != nil, func() error {
		refs, err = remote.ListContext(ctx, &gogit.ListOptions{Auth: auth, CABundle: c.ca, InsecureSkipTLS: c.opts.SkipTLSVerify})
		return err
	})
	return refs, err
}

// fetch brings refs of the repository here.
func (c *cloner) fetch(ctx context.Context, depth int, specs ...config.RefSpec) error {
	return c.fetchFrom(ctx, c.remote, c.auth, depth, specs...)
}

func (c *cloner) fetchFrom(ctx context.Context, remote *gogit.Remote, auth transport.AuthMethod, depth int, specs ...config.RefSpec) error {
	for _, spec := range specs {
		if err := spec.Validate(); err != nil {
			return fmt.Errorf("refspec %q: %w", spec, err)
		}
	}
	tags := gogit.NoTags
	if c.opts.Tags {
		tags = gogit.AllTags
	}
	return c.retry(ctx, "fetching", remote.Config().URLs[0], auth != nil, func() error {
		err := remote.FetchContext(ctx, &gogit.FetchOptions{
			RemoteName: remote.Config().Name, RefSpecs: specs, Depth: depth, Tags: tags, Force: true,
			Auth: auth, CABundle: c.ca, InsecureSkipTLS: c.opts.SkipTLSVerify,
		})
		if errors.Is(err, gogit.NoErrAlreadyUpToDate) {
			return nil
		}
		return err
	})
}

// retry tries again, waiting longer each time, while it is the network that
// fails. What the host answered is final; it answers a login that it does not
// know as if there was none.
func (c *cloner) retry(ctx context.Context, what, repository string, login bool, do func() error) error {
	delay := c.opts.Backoff
	if delay == 0 {
		delay = time.Second
	}
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil {
			return nil
		}
		if final := answered(err, repository, login); final != nil {
			return final
		}
		if ctx.Err() != nil || attempt >= c.opts.Attempts || !passing(err) {
			return fmt.Errorf("%s of %q: %w", what, repository, err)
		}
		slog.WarnContext(ctx, "the network failed; trying again", "what", what, "attempt", attempt, "error", err)
		// Up to a quarter more, so that builds that failed together do not
		// come back together.
		wait := delay + rand.N(delay/4+1)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s of %q: %w", what, repository, ctx.Err())
		case <-time.After(wait):
		}
		delay = min(2*delay, maxBackoff)
	}
}

// answered is the error for what a host said about us; nil for others.
func answered(err error, repository string, login bool) error {
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired) && login:
		return &LoginError{URL: repository}
	case errors.Is(err, transport.ErrRepositoryNotFound), errors.Is(err, transport.ErrAuthenticationRequired):
		return &NotFoundError{URL: repository}
	case errors.Is(err, transport.ErrAuthorizationFailed), strings.Contains(err.Error(), "ssh: unable to authenticate"):
		return &LoginError{URL: repository}
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("cloning %q: the repository has no commit yet", repository)
	}
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	if errors.As(err, &certificate) || errors.As(err, &authority) {
		return &CertificateError{URL: repository, err: err}
	}
	return nil
}

// CertificateError says that a host's certificate is not one to trust.
type CertificateError struct {
	URL string
	err error
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("cloning %q: %v", e.URL, e.err)
}
func (e *CertificateError) Unwrap() error { return e.err }

// Hint says where trust comes from.
func (e *CertificateError) Hint() string {
	return "put the certificate of the host's authority into the ConfigMap that params caTrustConfigMapName and caTrustConfigMapKey name"
}

// passing reports whether time may mend an error: the connection failed, or
// the host says that it is busy.
func passing(err error) bool {
	var status *githttp.Err
	if errors.As(err, &status) || asUnexpected(err, &status) {
		code := status.StatusCode()
		return code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
	}
	for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH} {
		if errors.Is(err, cause) {
			return true
		}
	}
	// Every error of an HTTP client is a net.Error by way of url.Error, also
	// those that stay; what is within says more.
	var request *url.Error
	for errors.As(err, &request) {
		if request.Timeout() {
			return true
		}
		err = request.Err
	}
	var network net.Error
	return errors.As(err, &network) || strings.Contains(err.Error(), "unexpected EOF") || strings.Contains(err.Error(), "connection reset")
}

// asUnexpected looks into go-git's wrapper, which does not unwrap.
func asUnexpected(err error, status **githttp.Err) bool {
	var unexpected *plumbing.UnexpectedError
	return errors.As(err, &unexpected) && errors.As(unexpected.Err, status)
}
