// Package snapshotparam reads what a test is given in param SNAPSHOT: the spec
// of a Snapshot as JSON or, where that is too large for a param or the scenario
// says so, the Snapshot's name. A name is read from the cluster that the
// program's pod runs in, with the pod's own account and without a Kubernetes
// client, which would be most of a task's program.
package snapshotparam

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// mount is where Kubernetes puts a pod's account.
	mount = "/var/run/secrets/kubernetes.io/serviceaccount"
	// maxSnapshot is more than the API server stores, in bytes.
	maxSnapshot = 8 << 20
	attempts    = 5
)

var isName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// Cluster is where Snapshots are read.
type Cluster struct {
	URL   string        // of the API server
	Dir   string        // with token, ca.crt and namespace
	Pause time.Duration // between attempts
}

// Here is the cluster that this program's pod runs in.
func Here() Cluster {
	return Cluster{
		URL:   "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")),
		Dir:   mount,
		Pause: 2 * time.Second,
	}
}

// Error says that a Snapshot could not be read.
type Error struct {
	Problem, Fix string
	passing      bool
}

func (e *Error) Error() string { return e.Problem }

// Hint is what to do about it.
func (e *Error) Hint() string { return e.Fix }

// Spec is the spec that a param is, or is the name of, as JSON.
func (c Cluster) Spec(ctx context.Context, param string) ([]byte, error) {
	text := bytes.TrimSpace([]byte(param))
	if bytes.HasPrefix(text, []byte("{")) {
		if !json.Valid(text) {
			return nil, &Error{Problem: "param SNAPSHOT is no valid JSON", Fix: "give it the spec of a Snapshot as JSON, or a Snapshot's name"}
		}
		return text, nil
	}
	if !isName.Match(text) {
		return nil, &Error{
			Problem: fmt.Sprintf("param SNAPSHOT is neither a Snapshot's spec as JSON nor a Snapshot's name: %.64q", text),
			Fix:     "pass on param SNAPSHOT of the pipeline as it is",
		}
	}
	for attempt := 1; ; attempt++ {
		spec, err := c.read(ctx, string(text))
		var failure *Error
		if err == nil || attempt == attempts || !errors.As(err, &failure) || !failure.passing {
			return spec, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(c.Pause):
		}
	}
}

// read asks for a Snapshot once.
func (c Cluster) read(ctx context.Context, name string) ([]byte, error) {
	client, namespace, token, err := c.account()
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("%s/apis/appstudio.redhat.com/v1alpha1/namespaces/%s/snapshots/%s", c.URL, namespace, name)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, &Error{Problem: fmt.Sprintf("reading Snapshot %s: %v", name, err), Fix: "see whether the pod may reach the API server", passing: ctx.Err() == nil}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxSnapshot))
	if err != nil {
		return nil, &Error{Problem: fmt.Sprintf("reading Snapshot %s: %v", name, err), passing: true}
	}
	switch code := response.StatusCode; {
	case code == http.StatusNotFound:
		return nil, &Error{Problem: fmt.Sprintf("there is no Snapshot %q in namespace %s", name, namespace), Fix: "pass on param SNAPSHOT of the pipeline as it is"}
	case code == http.StatusForbidden || code == http.StatusUnauthorized:
		return nil, &Error{
			Problem: fmt.Sprintf("the account of this pod may not read Snapshot %s in namespace %s", name, namespace),
			Fix:     "run as service account konflux-integration-runner, or bind ClusterRole konflux-integration-runner to the account of the run",
		}
	case code != http.StatusOK:
		return nil, &Error{Problem: fmt.Sprintf("reading Snapshot %s: the API server says %s", name, response.Status), passing: code >= 500 || code == http.StatusTooManyRequests}
	}
	var snapshot struct {
		Spec json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(body, &snapshot); err != nil || len(snapshot.Spec) == 0 {
		return nil, &Error{Problem: fmt.Sprintf("reading Snapshot %s: the API server's answer has no spec", name)}
	}
	return snapshot.Spec, nil
}

// account is who the pod is, and how it talks to the API server.
func (c Cluster) account() (client *http.Client, namespace, token string, err error) {
	files := map[string]string{}
	for _, name := range []string{"namespace", "token", "ca.crt"} {
		content, err := os.ReadFile(filepath.Join(c.Dir, name))
		if err != nil {
			return nil, "", "", &Error{
				Problem: "param SNAPSHOT is a Snapshot's name, and this pod has no account to read it with: " + err.Error(),
				Fix:     "give the pod's service account a token (automountServiceAccountToken), or param SNAPSHOT the Snapshot's spec as JSON",
			}
		}
		files[name] = strings.TrimSpace(string(content))
	}
	if !isName.MatchString(files["namespace"]) {
		return nil, "", "", &Error{Problem: fmt.Sprintf("the pod's namespace is %.64q", files["namespace"])}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(files["ca.crt"])) {
		return nil, "", "", &Error{Problem: "the API server's certificate in " + filepath.Join(c.Dir, "ca.crt") + " is no PEM"}
	}
	client = &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
		// The token is for the API server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client, files["namespace"], files["token"], nil
}
