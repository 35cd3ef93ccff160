// Package explain tells why something is not released.
//
// Between a commit and its release lie half a dozen objects of several
// controllers, each with a condition or an annotation of its own. [Explain]
// reads them with the rights of who asks, and returns the chain: every link
// with how far it is, why, and what would mend it. [Links] is the part of it
// that needs no cluster.
//
// Errors: a [*NotFoundError] when what is asked about is not there. What the
// asker may not read, such as the namespace of those who release, is told from
// what may be read instead.
package explain

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// State is how far a link is.
type State string

// States of a link.
const (
	Done    State = "done"
	Waiting State = "waiting" // goes on by itself
	Stopped State = "stopped" // does not go on until somebody does something
	Skipped State = "skipped" // is not needed
	Ahead   State = "ahead"   // is not reached yet
)

// Stages of the chain, in order.
const (
	Build     = "build"
	Signature = "signature"
	Snapshot  = "snapshot"
	Test      = "test"
	Promotion = "promotion"
	Release   = "release"
	Admission = "admission"
	Pipeline  = "pipeline"
)

// Link is one step towards a release.
type Link struct {
	Stage  string `json:"stage"`
	Object string `json:"object"` // Kind/name, or Kind/namespace/name elsewhere
	State  State  `json:"state"`
	// Reason is one word, as conditions have it; empty when all is well.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Fix says what to do. Only links that are stopped have one.
	Fix string `json:"fix,omitempty"`
}

// Chain is what lies between a subject and its release.
type Chain struct {
	Subject   string `json:"subject"` // kind/name
	Namespace string `json:"namespace"`
	Links     []Link `json:"links"`
}

// Cause is the link that keeps the subject from being released: the first that
// is stopped, or else the first that is not done. There is none when all is
// done.
func (c Chain) Cause() (Link, bool) {
	for _, states := range [][]State{{Stopped}, {Waiting, Ahead}} {
		for _, link := range c.Links {
			for _, state := range states {
				if link.State == state {
					return link, true
				}
			}
		}
	}
	return Link{}, false
}

// Subject is what is asked about.
type Subject struct {
	Kind      string // snapshot, pipelinerun, component or release
	Namespace string
	Name      string
}

// ParseSubject reads KIND/NAME, with the kinds' short names.
func ParseSubject(text string) (Subject, error) {
	kind, name, ok := strings.Cut(text, "/")
	full, known := kinds[strings.ToLower(kind)]
	if !ok || name == "" || !known || strings.Contains(name, "/") {
		return Subject{}, fmt.Errorf("%q is not snapshot/NAME, pipelinerun/NAME, component/NAME or release/NAME", text)
	}
	return Subject{Kind: full, Name: name}, nil
}

var kinds = map[string]string{
	"snapshot": "snapshot", "snapshots": "snapshot", "as": "snapshot",
	"pipelinerun": "pipelinerun", "pipelineruns": "pipelinerun", "pr": "pipelinerun", "build": "pipelinerun",
	"component": "component", "components": "component", "cmp": "component",
	"release": "release", "releases": "release", "rel": "release",
}

// NotFoundError says that what is asked about is not there.
type NotFoundError struct{ Subject Subject }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no %s %q in namespace %q", e.Subject.Kind, e.Subject.Name, e.Subject.Namespace)
}

// Hint says how to find what is.
func (e *NotFoundError) Hint() string {
	return fmt.Sprintf("kubectl -n %s get %ss lists what is there", e.Subject.Namespace, e.Subject.Kind)
}

// Explain returns the chain of a subject.
func Explain(ctx context.Context, c client.Reader, subject Subject) (Chain, error) {
	facts, err := read(ctx, c, subject)
	if err != nil {
		return Chain{}, err
	}
	return Chain{Subject: subject.Kind + "/" + subject.Name, Namespace: subject.Namespace, Links: Links(facts)}, nil
}
