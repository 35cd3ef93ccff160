// Package coverityavailabilitycheck is the task coverity-availability-check: it
// says whether the user has what Coverity needs, a licence that has not expired
// and a login for the image that has the program.
package coverityavailabilitycheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// What STATUS says. A pipeline runs Coverity when it is available.
const (
	available   = "success"
	unavailable = "failed"
)

// Options are the task's params. The names of the Secrets are for notes: their
// content is in the files.
type Options struct {
	CovLicense             string
	AuthTokenCoverityImage string
	LicenseFile            string
	AuthFile               string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "coverity-availability-check", Short: "Say whether Coverity can be used", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verdict := testoutput.Judge(cmd.Context(), func(ctx context.Context) (testoutput.Output, error) {
				return opts.check(ctx, time.Now())
			})
			status := unavailable
			if verdict.Result == testoutput.Success {
				status = available
			}
			return results.Write(map[string]string{testoutput.Name: verdict.String(), "STATUS": status})
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.CovLicense, "cov-license", "cov-license", "Secret with the licence")
	f.StringVar(&opts.AuthTokenCoverityImage, "auth-token-coverity-image", "auth-token-coverity-image", "Secret with the login for the image")
	f.StringVar(&opts.LicenseFile, "license-file", "/etc/secrets/cov/cov-license", "File with the licence")
	f.StringVar(&opts.AuthFile, "auth-file", "/etc/secrets/auth/.dockerconfigjson", "File with the login")
	results.AddFlag(f)
	return cmd
}

// soon is how long before its end a licence is warned of.
const soon = 14 * 24 * time.Hour

func (o Options) check(ctx context.Context, now time.Time) (testoutput.Output, error) {
	license, err := read(o.LicenseFile)
	if err != nil {
		return testoutput.Output{}, fmt.Errorf("reading the licence: %w", err)
	}
	if len(license) == 0 {
		return refuse(now, "No license file for Coverity was detected. Please, create a secret called '%s' with a key called 'cov-license' and the value containing the Coverity license", o.CovLicense), nil
	}
	end, ok := expiry(license)
	if !ok {
		slog.WarnContext(ctx, "the licence does not say when it ends, or in no form that is known")
	}
	if ok && now.After(end) {
		return refuse(now, "Coverity license expired on %s", end.Format(time.RFC3339)), nil
	}
	if ok && end.Sub(now) < soon {
		slog.WarnContext(ctx, "the licence ends soon", "on", end)
	}
	auth, err := read(o.AuthFile)
	if err != nil {
		return testoutput.Output{}, fmt.Errorf("reading the login: %w", err)
	}
	if len(auth) == 0 {
		return refuse(now, "No authentication token for downloading Coverity image detected. Please, create an imagePullSecret named '%s' with the authentication token for pulling the Coverity image", o.AuthTokenCoverityImage), nil
	}
	out := testoutput.New(testoutput.Success, now, "Task coverity-availability-check completed: Coverity availability checks finished successfully.")
	out.Successes = 1
	return out, nil
}

func refuse(now time.Time, format string, args ...any) testoutput.Output {
	out := testoutput.New(testoutput.Failure, now, "Task coverity-availability-check failed: "+fmt.Sprintf(format, args...))
	out.Failures = 1
	return out
}

// read is a file's content; a file that is not there has none.
func read(file string) ([]byte, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return bytes.TrimSpace(raw), err
}

var validUntil = regexp.MustCompile(`<valid-until>\s*([^<]*?)\s*</valid-until>`)

// expiry is the end of a licence, if it says one in the vendor's form.
func expiry(license []byte) (time.Time, bool) {
	m := validUntil.FindSubmatch(license)
	if m == nil {
		return time.Time{}, false
	}
	for _, form := range []string{"2006-Jan-02 15:04:05 MST", "2006-Jan-02 15:04:05", "2006-Jan-02"} {
		if end, err := time.Parse(form, string(m[1])); err == nil {
			return end, true
		}
	}
	return time.Time{}, false
}
