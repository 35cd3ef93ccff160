package deprecatedimagecheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// errUnknown says that a catalogue has no such repository.
var errUnknown = errors.New("not in the catalogue")

// aliases are registries that the catalogue knows under another name.
var aliases = map[string]string{"registry.redhat.io": "registry.access.redhat.com"}

// catalogue answers for repositories, over the API of Red Hat's.
type catalogue struct {
	url    string
	client http.Client
}

func newCatalogue(url string) (*catalogue, error) {
	transport, err := oci.Transport()
	if err != nil {
		return nil, err
	}
	return &catalogue{strings.TrimSuffix(url, "/"), http.Client{Transport: transport, Timeout: time.Minute}}, nil
}

// maxAnswer is more than any answer has, in bytes.
const maxAnswer = 8 << 20

// deprecated asks whether a repository is.
func (c *catalogue) deprecated(ctx context.Context, repository string) (bool, error) {
	registry, path, _ := strings.Cut(repository, "/")
	if alias, ok := aliases[registry]; ok {
		registry = alias
	}
	address := c.url + "/api/containers/v1/repositories/registry/" + url.PathEscape(registry) + "/repository/" + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusNotFound:
		return false, errUnknown
	case http.StatusOK:
	default:
		return false, fmt.Errorf("the catalogue answers %s", response.Status)
	}
	var answer struct {
		ReleaseCategories []string `json:"release_categories"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&answer); err != nil {
		return false, fmt.Errorf("reading the catalogue's answer: %w", err)
	}
	return slices.Contains(answer.ReleaseCategories, "Deprecated"), nil
}
