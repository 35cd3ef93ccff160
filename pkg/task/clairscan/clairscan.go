// Package clairscan is the task clair-scan: it looks up the packages of an
// image in a database of vulnerabilities, and attaches a report in Clair's form
// to each image.
//
// What is bad is for a policy to say, by the report; the task only looks.
package clairscan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/sbom"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
	"github.com/headrace-ci/headrace/pkg/vuln"
)

// Options are the task's params.
type Options struct {
	ImageURL, ImageDigest string
	ImagePlatform         string
	DockerAuth            string // ignored
	SkipOCIAttachReport   bool
	VulnerabilityDatabase string // reference of an artifact; "" for DatabaseDir
	DatabaseDir           string
	WorkDir               string
}

// Command returns the task's command.
func Command() *cobra.Command {
	var opts Options
	var results result.Writer
	cmd := &cobra.Command{
		Use: "clair-scan", Short: "List the known vulnerabilities of an image's packages", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done := scan{pullspec: opts.ImageURL}
			crashed := testoutput.New(testoutput.Error, time.Now(), "The scan did not come to its end")
			if err := results.Write(done.values(crashed)); err != nil {
				return err
			}
			image, usage := opts.image()
			verdict := testoutput.Judge(cmd.Context(), func(ctx context.Context) (testoutput.Output, error) {
				if usage != nil {
					return testoutput.Output{}, usage
				}
				finished, err := opts.run(ctx, image)
				if err != nil {
					return testoutput.Output{}, err
				}
				done = finished
				return done.verdict(time.Now()), nil
			})
			if err := results.Write(done.values(verdict)); err != nil {
				return err
			}
			return usage
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.ImageURL, "image-url", "", "Image to scan, with its tag")
	f.StringVar(&opts.ImageDigest, "image-digest", "", "Digest of that image")
	f.StringVar(&opts.ImagePlatform, "image-platform", "", "Platform of an index to scan, as in linux/arm64; empty for all")
	f.StringVar(&opts.DockerAuth, "docker-auth", "", "Ignored: logins are those of the ServiceAccount")
	f.BoolVar(&opts.SkipOCIAttachReport, "skip-oci-attach-report", false, "Attach no report to the image; policies then find none")
	f.StringVar(&opts.VulnerabilityDatabase, "vulnerability-database", "", "Artifact whose layers are archives of OSV records; empty for those in the step's image")
	f.StringVar(&opts.DatabaseDir, "database-dir", "/usr/share/osv", "Folder with archives of OSV records, when no artifact is named")
	f.StringVar(&opts.WorkDir, "workdir", "/tmp", "Folder for temporary files")
	results.AddFlag(f)
	return cmd
}

func (o Options) image() (name.Digest, error) {
	image, err := oci.WithDigest(o.ImageURL, o.ImageDigest)
	if err != nil {
		return image, &taskcli.UsageError{Flag: "image-url", Problem: err.Error(), Fix: "set params image-url and image-digest to the results of the build"}
	}
	if o.VulnerabilityDatabase != "" {
		if _, err := oci.Reference(o.VulnerabilityDatabase); err != nil {
			return image, &taskcli.UsageError{Flag: "vulnerability-database", Problem: err.Error(), Fix: "name an artifact with tag or digest"}
		}
	}
	if info, err := os.Stat(o.WorkDir); err != nil || !info.IsDir() {
		return image, &taskcli.UsageError{Flag: "workdir", Problem: fmt.Sprintf("%q is not a folder", o.WorkDir), Fix: "leave it at /tmp"}
	}
	return image, nil
}

// scan is what was seen.
type scan struct {
	pullspec string
	digests  []string          // of the images, and of their index
	images   int               // scanned
	reports  map[string]string // digest of the report by that of its image
	counts   *counts           // nil until all is scanned
	packages int
	missing  []string // ecosystems that the database has no record of
	unknown  int      // packages that no database has records of
	newest   time.Time
	problems int
}

func (o Options) run(ctx context.Context, ref name.Digest) (scan, error) {
	s := scan{pullspec: o.ImageURL, reports: map[string]string{}, counts: newCounts()}
	images, digests, err := oci.Images(ctx, ref, oci.Architecture(o.ImagePlatform))
	if err != nil {
		return s, err
	}
	found := make([][]sbom.Package, len(images))
	var wanted []vuln.Package
	for i, image := range images {
		if found[i], err = packages(ctx, image); err != nil {
			return s, fmt.Errorf("scanning %q: %w", image.Ref, err)
		}
		s.packages += len(found[i])
		for _, p := range found[i] {
			wanted = append(wanted, vuln.Package{PURL: p.PURL, Source: p.Source, SourceVersion: p.SourceVersion})
		}
		slog.InfoContext(ctx, "scanned", "image", image.Ref, "packages", len(found[i]))
	}
	known := vuln.NewScan(wanted)
	if err := o.database(ctx, known); err != nil {
		return s, err
	}
	for _, problem := range known.Problems {
		slog.WarnContext(ctx, "not compared", "problem", problem)
	}
	for i, image := range images {
		report := newReport(image.Ref.DigestStr(), found[i], known)
		s.counts.add(report)
		if o.SkipOCIAttachReport {
			continue
		}
		raw, err := json.Marshal(report)
		if err != nil {
			return s, err
		}
		attached, err := oci.Attach(ctx, image.Ref, reportType, "clair-report.json", raw)
		if err != nil {
			return s, err
		}
		s.reports[image.Ref.DigestStr()] = attached.DigestStr()
		slog.InfoContext(ctx, "attached the report", "image", image.Ref, "report", attached, "vulnerabilities", len(report.Vulnerabilities))
	}
	s.missing, s.unknown = known.Missing()
	s.digests, s.images, s.newest, s.problems = digests, len(images), known.Newest, len(known.Problems)
	return s, nil
}

// listedTypes are the packages that are taken from the SBOM attached to an
// image: those of languages, which the image's own files need not tell of.
var listedTypes = []string{"pkg:npm/", "pkg:pypi/", "pkg:golang/", "pkg:cargo/", "pkg:gem/", "pkg:maven/", "pkg:nuget/"}

// packages are those found in the image, and those that its SBOM lists besides.
func packages(ctx context.Context, image oci.Image) ([]sbom.Package, error) {
	all, err := sbom.Scan(image)
	if err != nil {
		return nil, err
	}
	listed, err := sbom.Attached(ctx, image.Ref)
	if errors.Is(err, sbom.ErrNone) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, p := range all {
		known[p.PURL] = true
	}
	for _, l := range listed {
		isOf := func(prefix string) bool { return strings.HasPrefix(l.PURL, prefix) }
		if !known[l.PURL] && slices.ContainsFunc(listedTypes, isOf) {
			known[l.PURL] = true
			all = append(all, sbom.Package{Name: nameOf(l.PURL), Version: versionOf(l.PURL), PURL: l.PURL})
		}
	}
	return all, nil
}

func (s scan) verdict(now time.Time) testoutput.Output {
	out := testoutput.New(testoutput.Success, now, fmt.Sprintf("%d vulnerabilities in %d packages of %d images, by a database of %s; see SCAN_OUTPUT",
		s.counts.total(), s.packages, s.images, s.newest.UTC().Format(time.DateOnly)))
	out.Successes = s.images
	var gaps []string
	if len(s.missing) > 0 {
		gaps = append(gaps, "the database has no record of "+strings.Join(s.missing, ", "))
	}
	if s.unknown > 0 {
		gaps = append(gaps, fmt.Sprintf("%d packages are of kinds that no OSV database has", s.unknown))
	}
	if s.problems > 0 {
		gaps = append(gaps, fmt.Sprintf("%d versions could not be compared", s.problems))
	}
	if len(gaps) > 0 {
		out.Result, out.Warnings = testoutput.Warning, len(gaps)
		out.Note += ". Not everything was looked up: " + strings.Join(gaps, "; ")
	}
	return out
}

// values are the task's results.
func (s scan) values(verdict testoutput.Output) map[string]string {
	return map[string]string{
		testoutput.Name:          verdict.String(),
		testoutput.ProcessedName: testoutput.Processed(s.pullspec, s.digests),
		"SCAN_OUTPUT":            s.counts.String(),
		"REPORTS":                reports(s.reports),
	}
}

func reports(digests map[string]string) string {
	if digests == nil {
		digests = map[string]string{}
	}
	return compact(digests)
}

func compact(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings and integers always marshal
	}
	return string(text)
}
