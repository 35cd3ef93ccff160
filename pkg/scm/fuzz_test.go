package scm

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzAnswers reads what a host says, whatever it is.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"message": {"state": ["is wrong"]}}`, `<https://git.example.com/a?page=2>; rel="next"`, "17", "1700000000")
	f.Add(`<html>`, `<https://other.example.com/>; rel="next", <x>; rel="last"`, "Tue, 14 Nov 2023 22:13:40 GMT", "x")
	f.Add(`{"error": "a", "errors": [1]}`, `rel="next"`, "-5", "-1")
	f.Fuzz(func(t *testing.T, body, link, after, reset string) {
		a, err := newAPI(Options{URL: "https://git.example.com", Token: "t0ken"}, "", "/api/v1")
		if err != nil {
			t.Fatal(err)
		}
		if text := a.redact(message([]byte(body))); utf8.RuneCountInString(text) > maxMessage || strings.Contains(text, "t0ken") {
			t.Errorf("the message is %q", text)
		}
		if next := nextPage(http.Header{"Link": {link}}); next != "" {
			if to, err := a.same(next); err == nil && !strings.HasPrefix(to, "https://git.example.com/") && to != "https://git.example.com" {
				t.Errorf("the next page is %q", to)
			}
		}
		resp := &http.Response{StatusCode: 429, Header: http.Header{}}
		for k, v := range map[string]string{"Retry-After": after, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset} {
			resp.Header.Set(k, v)
		}
		if wait, limited := limit(resp, body, time.Unix(0, 0)); wait < 0 || !limited {
			t.Errorf("wait %v, limited %t", wait, limited)
		}
		c := Comment{Key: "web", Order: 1, Body: body}
		if order, ok := c.of(posted{Body: c.text()}); !ok || order != 1 {
			t.Errorf("order %d, found %t, of %q", order, ok, body)
		}
	})
}
