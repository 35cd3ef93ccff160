package scm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	attempts    = 6
	firstWait   = time.Second
	longestWait = time.Minute
	// secondaryWait is what GitHub asks for where a secondary limit names no time.
	secondaryWait = time.Minute
)

// ResponseError is a request that a host did not do.
type ResponseError struct {
	Method, Path, Host string
	Code               int // of the answer; 0 when there was none
	Message            string
	After              time.Duration // before which the host wants no other; 0 where it does not say
	limited            bool          // too many requests, whatever the code
	garbled            bool
}

func (e *ResponseError) Error() string {
	switch {
	case e.Code == 0:
		return fmt.Sprintf("%s %s at %s: %s", e.Method, e.Path, e.Host, e.Message)
	case e.garbled:
		return fmt.Sprintf("%s %s at %s: %s", e.Method, e.Path, e.Host, e.Message)
	}
	return fmt.Sprintf("%s %s at %s: %d %s: %s", e.Method, e.Path, e.Host, e.Code, http.StatusText(e.Code), e.Message)
}

// Hint says what to do about a refusal.
func (e *ResponseError) Hint() string {
	switch {
	case e.limited:
		return "the host has too many requests of this token: it is tried again"
	case e.Code == http.StatusUnauthorized:
		return "the host does not know the token: put a valid one into the Secret that the PaC Repository names"
	case e.Code == http.StatusForbidden:
		return "the token may not do this: let it write commit statuses and comments in the repository"
	case e.Code == http.StatusNotFound:
		return "there is no such repository or commit, or the token may not see it"
	}
	return ""
}

// unrecoverable are the codes after which another attempt ends the same.
var unrecoverable = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity,
}

// Permanent reports whether the host refused for a reason that time does not
// mend. What never reached a host, as a target that is none, is permanent too.
func Permanent(err error) bool {
	var e *ResponseError
	if !errors.As(err, &e) {
		return err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	return e.Code/100 == 3 || !e.limited && slices.Contains(unrecoverable, e.Code)
}

// RetryAfter is how long the host wants to be left alone, 0 where it did not
// say.
func RetryAfter(err error) time.Duration {
	if e := (*ResponseError)(nil); errors.As(err, &e) {
		return e.After
	}
	return 0
}

// code reports whether the host answered with one of the codes.
func code(err error, codes ...int) bool {
	var e *ResponseError
	return errors.As(err, &e) && !e.limited && slices.Contains(codes, e.Code)
}

// limit reads what an answer says about when to come back: Retry-After in
// seconds or as a date, GitHub's X-RateLimit-Reset and the others'
// RateLimit-Reset in seconds since 1970, valid when nothing remains.
func limit(resp *http.Response, text string, now time.Time) (after time.Duration, limited bool) {
	limited = resp.StatusCode == http.StatusTooManyRequests
	refused := limited || resp.StatusCode == http.StatusForbidden
	h := resp.Header
	if v := h.Get("Retry-After"); v != "" {
		limited = refused
		if seconds, err := strconv.Atoi(v); err == nil {
			return max(0, time.Duration(seconds)*time.Second), limited
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(0, at.Sub(now)), limited
		}
	}
	remaining := cmp.Or(h.Get("X-RateLimit-Remaining"), h.Get("RateLimit-Remaining"))
	reset := cmp.Or(h.Get("X-RateLimit-Reset"), h.Get("RateLimit-Reset"))
	if refused && remaining == "0" {
		if at, err := strconv.ParseInt(reset, 10, 64); err == nil {
			return max(0, time.Unix(at, 0).Sub(now)), true
		}
		return secondaryWait, true
	}
	if refused && strings.Contains(strings.ToLower(text), "secondary rate limit") {
		return secondaryWait, true
	}
	return 0, limited
}

// try does something until it works, or waiting is no use. What is tried looks
// up what is there each time: an answer that got lost may have been a success.
func (a *api) try(ctx context.Context, do func() error) error {
	backoff := firstWait
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil || Permanent(err) || ctx.Err() != nil || attempt == attempts {
			return err
		}
		wait := max(backoff, RetryAfter(err))
		if a.waited+wait > a.Patience {
			return err
		}
		a.waited += wait
		if err := a.Sleep(ctx, wait); err != nil {
			return err
		}
		backoff = min(2*backoff, longestWait)
	}
}
