package integration

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// operation is what a request to the API server does. Names of objects are no
// part of it.
type operation struct {
	Verb, Resource string // the resource with its subresource, as in "pods/status"
	Refused        int    // HTTP status of an error, 0 for none
}

func (o operation) String() string {
	if o.Refused == 0 {
		return o.Verb + " " + o.Resource
	}
	return fmt.Sprintf("%s %s (%d)", o.Verb, o.Resource, o.Refused)
}

func (o operation) write() bool { return o.Verb != "get" && o.Verb != "list" && o.Verb != "watch" }

// requests counts operations.
type requests map[operation]int

// sorted are the operations that write, or those that read, most first.
func (r requests) sorted(write bool) []operation {
	var all []operation
	for op := range maps.Keys(r) {
		if op.write() == write {
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b operation) int {
		return cmp.Or(cmp.Compare(r[b], r[a]), strings.Compare(a.String(), b.String()))
	})
	return all
}

// writes is how many requests write.
func (r requests) writes() int {
	n := 0
	for _, op := range r.sorted(true) {
		n += r[op]
	}
	return n
}

// event is what is read of an event of the API server's audit log, see
// https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/.
type event struct {
	Stage string `json:"stage"`
	Verb  string `json:"verb"`
	URI   string `json:"requestURI"`
	User  struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// readAudit counts the requests of a user in an audit log, a JSON object a
// line. Leader election is none of the work; watches have no end to count.
func readAudit(log io.Reader, user string) (requests, error) {
	counts, reader := requests{}, bufio.NewReader(log)
	for n := 1; ; n++ {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return counts, nil // a line that is not ended is not written yet
		}
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d of the audit log: %w", n, err)
		}
		if e.Stage != "ResponseComplete" || e.User.Username != user || e.Verb == "watch" || e.Object.Resource == "leases" {
			continue
		}
		op := operation{Verb: e.Verb, Resource: e.Object.Resource}
		if op.Resource == "" {
			op.Resource, _, _ = strings.Cut(e.URI, "?") // what the server can do
		}
		if e.Object.Subresource != "" {
			op.Resource += "/" + e.Object.Subresource
		}
		if e.Response.Code >= 400 {
			op.Refused = e.Response.Code
		}
		counts[op]++
	}
}

// minus are the requests since earlier.
func (r requests) minus(earlier requests) requests {
	since := requests{}
	for op, n := range r {
		if n > earlier[op] {
			since[op] = n - earlier[op]
		}
	}
	return since
}
