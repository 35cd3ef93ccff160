package scm

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// maxBody is how many characters a comment may have: GitHub's limit, the least
// of the three.
const maxBody = 65536

// posted is a comment as a host shows it. GitHub and Forgejo call the author
// user.
type posted struct {
	ID     int64  `json:"id"`
	Body   string `json:"body"`
	User   person `json:"user"`
	Author person `json:"author"`
}

type person struct {
	ID int64 `json:"id"`
}

var markPattern = regexp.MustCompile(`<!-- integration-report key="([^"]*)" order="([0-9]+)" -->`)

// text is what is sent: the body, and the mark it is found by.
func (c Comment) text() string {
	mark := fmt.Sprintf("\n\n<!-- integration-report key=%q order=\"%d\" -->", c.Key, c.Order)
	return clip(c.Body, maxBody-len(mark)) + mark
}

// of reports whether a comment is this one, perhaps of another order.
func (c Comment) of(p posted) (order int64, ok bool) {
	all := markPattern.FindAllStringSubmatch(p.Body, -1)
	if len(all) == 0 {
		return 0, false
	}
	m := all[len(all)-1] // the text before it may hold anything
	if m[1] != c.Key {
		return 0, false
	}
	order, err := strconv.ParseInt(m[2], 10, 64)
	return order, err == nil
}

// thread is where a host keeps a pull request's comments.
type thread struct {
	list   string                // path of all
	one    func(id int64) string // path of one
	method string                // by which one is changed
}

// setComment edits the comment where there is one, and else makes it.
func (a *api) setComment(ctx context.Context, at thread, c Comment) error {
	return a.try(ctx, func() error {
		all, err := list[posted](ctx, a, at.list)
		if err != nil {
			return err
		}
		me, err := a.me(ctx)
		if err != nil {
			return err
		}
		for _, p := range all {
			order, ok := c.of(p)
			if !ok || me != 0 && p.User.ID != me && p.Author.ID != me {
				continue
			}
			if order > c.Order || same(p.Body, c.text()) {
				return nil
			}
			_, err := a.do(ctx, at.method, at.one(p.ID), map[string]string{"body": c.text()}, nil)
			if code(err, http.StatusForbidden, http.StatusNotFound) {
				continue // somebody else's copy of it, or just deleted
			}
			return err
		}
		_, err = a.do(ctx, http.MethodPost, at.list[:pathEnd(at.list)], map[string]string{"body": c.text()}, nil)
		return err
	})
}

// me is who the token is of, 0 where it may not know: then the mark alone
// tells whose comment it is.
func (a *api) me(ctx context.Context) (int64, error) {
	var who person
	_, err := a.do(ctx, http.MethodGet, "/user", nil, &who)
	if code(err, http.StatusForbidden, http.StatusNotFound) {
		return 0, nil
	}
	return who.ID, err
}

// same compares without the line ends that hosts change.
func same(a, b string) bool {
	plain := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return plain(a) == plain(b)
}

// pathEnd is where a path's query begins.
func pathEnd(path string) int {
	if i := strings.IndexByte(path, '?'); i >= 0 {
		return i
	}
	return len(path)
}
