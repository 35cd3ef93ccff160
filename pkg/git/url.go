package git

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// scpForm is ssh's short form, user@host:path.
var scpForm = regexp.MustCompile(`^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:].*$`)

// CheckURL reports what keeps a URL from being cloned. Only http, https and
// ssh are: other forms of git's run programs or read this machine's files.
func CheckURL(raw string) error {
	switch {
	case raw == "":
		return errors.New("is empty")
	case strings.ContainsAny(raw, " \t\r\n\x00"):
		return errors.New("holds white space")
	case strings.HasPrefix(raw, "-"):
		return errors.New("begins with '-'")
	case strings.Contains(raw, "::"):
		return errors.New("names a remote helper")
	case scpForm.MatchString(raw) && !strings.Contains(raw, "://"):
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		// url.Error quotes its input, which may hold a password.
		return errors.New("is not a URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ssh" {
		return errors.New("is not of the form http://, https://, ssh:// or user@host:path")
	}
	if u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.Trim(u.Path, "/") == "" {
		return errors.New("names no repository on a host")
	}
	return nil
}

// Redact is the URL without a login in it.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil || u.Scheme == "ssh" {
		return raw
	}
	u.User = nil
	return u.String()
}

// CheckRevision reports what keeps a revision from being looked up.
func CheckRevision(rev string) error {
	if strings.HasPrefix(rev, "-") {
		return errors.New("begins with '-'")
	}
	if strings.ContainsAny(rev, " \t\r\n\x00~^:?*[\\") || strings.Contains(rev, "..") {
		return errors.New("is not a branch, tag, commit or ref")
	}
	return nil
}

// CheckRefspec reports what keeps a refspec from being fetched.
func CheckRefspec(spec string) error {
	source, local, both := strings.Cut(strings.TrimPrefix(spec, "+"), ":")
	for _, side := range []string{source, local} {
		if strings.HasPrefix(side, "-") || strings.ContainsAny(side, " \t\r\n\x00~^:?[\\") || strings.Contains(side, "..") || strings.Count(side, "*") > 1 {
			return errors.New("is not of the form <ref>:<ref>")
		}
	}
	if source == "" || both && !strings.HasPrefix(local, "refs/") {
		return errors.New("is not of the form <ref>:refs/<name>")
	}
	return nil
}
