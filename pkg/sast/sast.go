// Package sast is what the checks of a source have in common: the params that
// say what to look at, the report of what was found, in SARIF, and the verdict.
//
// A check only finds. This package gets it the source, attaches the report to
// the image that was built from it, and writes the result, whatever happens.
package sast

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"

	"github.com/headrace-ci/headrace/pkg/artifact"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/result"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// siteDefault asks for the known false positives of the site. There are none.
const siteDefault = "SITE_DEFAULT"

// Options are the params that every check of a source takes.
type Options struct {
	SourceArtifact         string // unpacked below WorkDir; "" when the source is there
	KFPGitURL, ProjectName string
	RecordExcluded         bool
	TargetDirs             string // separated by commas
	ImageURL, ImageDigest  string // what to attach the report to; both "" for nothing
	WorkDir                string
}

// AddFlags adds the options' flags.
func (o *Options) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.SourceArtifact, "source-artifact", "", "The source as a trusted artifact; folder source is taken as it is when empty")
	f.StringVar(&o.KFPGitURL, "kfp-git-url", siteDefault, "Repository of known false positives; not supported yet")
	f.StringVar(&o.ProjectName, "project-name", "", "Name of the project among known false positives")
	f.BoolVar(&o.RecordExcluded, "record-excluded", false, "Record findings that known false positives exclude")
	f.StringVar(&o.TargetDirs, "target-dirs", ".", "Folders of the source to look at, separated by commas")
	f.StringVar(&o.ImageURL, "image-url", "", "Image to attach the findings to, with its tag")
	f.StringVar(&o.ImageDigest, "image-digest", "", "Digest of that image")
	f.StringVar(&o.WorkDir, "work-dir", "/var/workdir", "Folder to work in")
}

// Source is the source to look at.
type Source struct {
	Dir  string   // where it is
	Dirs []string // folders of it to look at, with slashes
	root *os.Root
}

// Check looks at a source and reports what it finds.
type Check func(context.Context, Source) (Report, error)

// Run makes a check and writes its verdict. usage is what is wrong with the
// check's own params, if anything is; it is returned, and the source not
// looked at.
func (o Options) Run(ctx context.Context, results result.Writer, usage error, check Check) error {
	write := func(verdict testoutput.Output) error {
		return results.Write(map[string]string{testoutput.Name: verdict.String()})
	}
	// What is never written again if the process is killed.
	if err := write(testoutput.New(testoutput.Error, time.Now(), "The check did not come to its end")); err != nil {
		return err
	}
	p, problem := o.Plan()
	if usage == nil {
		usage = problem
	}
	verdict := testoutput.Judge(ctx, func(ctx context.Context) (testoutput.Output, error) {
		if usage != nil {
			return testoutput.Output{}, usage
		}
		return o.run(ctx, p, check)
	})
	if err := write(verdict); err != nil {
		return err
	}
	return usage
}

// Plan is what the params ask for, understood.
type Plan struct {
	Dirs  []string     // folders of the source to look at, with slashes
	Image *name.Digest // to attach the report to; nil for none
}

// Plan reads the params. Its error says which of them is wrong.
func (o Options) Plan() (Plan, error) {
	var p Plan
	if _, err := os.Stat(filepath.Join(o.WorkDir, "source")); err != nil && o.SourceArtifact == "" {
		return p, &taskcli.UsageError{Flag: "source-artifact", Problem: "is empty", Fix: "set param SOURCE_ARTIFACT to the result of the clone or the prefetch"}
	}
	if o.KFPGitURL != "" && o.KFPGitURL != siteDefault {
		return p, &taskcli.UsageError{Flag: "kfp-git-url", Problem: "known false positives are not supported yet", Fix: "leave param KFP_GIT_URL at " + siteDefault}
	}
	for dir := range strings.SplitSeq(o.TargetDirs, ",") {
		if dir = strings.TrimSpace(dir); dir == "" {
			continue
		}
		if !filepath.IsLocal(dir) {
			return p, &taskcli.UsageError{Flag: "target-dirs", Problem: fmt.Sprintf("%q leaves the source", dir), Fix: "give folders relative to the root of the repository"}
		}
		p.Dirs = append(p.Dirs, path.Clean(filepath.ToSlash(dir)))
	}
	if len(p.Dirs) == 0 {
		return p, &taskcli.UsageError{Flag: "target-dirs", Problem: "names no folder", Fix: "set param TARGET_DIRS to . for the whole source"}
	}
	if o.ImageURL == "" && o.ImageDigest == "" {
		return p, nil
	}
	image, err := oci.WithDigest(o.ImageURL, o.ImageDigest)
	if err != nil {
		return p, &taskcli.UsageError{Flag: "image-url", Problem: err.Error(), Fix: "set params image-url and image-digest to the results of the build"}
	}
	p.Image = &image
	return p, nil
}

func (o Options) run(ctx context.Context, p Plan, check Check) (testoutput.Output, error) {
	dir := filepath.Join(o.WorkDir, "source")
	if o.SourceArtifact != "" {
		if err := artifact.Use(ctx, o.SourceArtifact, dir); err != nil {
			return testoutput.Output{}, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return testoutput.Output{}, fmt.Errorf("opening the source: %w", err)
	}
	defer root.Close()
	for _, d := range p.Dirs {
		if _, err := root.Stat(d); err != nil {
			return testoutput.Output{}, fmt.Errorf("looking at %q: %w", d, err)
		}
	}
	report, err := check(ctx, Source{Dir: dir, Dirs: p.Dirs, root: root})
	if err != nil {
		return testoutput.Output{}, err
	}
	for _, f := range report.Findings {
		slog.WarnContext(ctx, "found", "file", f.File, "line", f.Line, "rule", f.Rule, "what", f.Message)
	}
	if report.Skipped == "" && p.Image != nil {
		if err := report.attach(ctx, *p.Image); err != nil {
			return testoutput.Output{}, err
		}
	}
	return report.verdict(time.Now()), nil
}

func (r Report) attach(ctx context.Context, image name.Digest) error {
	sarif, err := r.SARIF()
	if err != nil {
		return err
	}
	attached, err := oci.Attach(ctx, image, MediaType, r.Tool+".sarif", sarif)
	if err == nil {
		slog.InfoContext(ctx, "attached the findings", "image", image, "report", attached)
	}
	return err
}

// Files calls visit with the name of every file to look at, with slashes and
// relative to the source. Links are not followed: what they lead to is either
// in the source, and visited there, or none of ours.
func (s Source) Files(ctx context.Context, visit func(name string) error) error {
	seen := map[string]bool{} // folders may overlap
	for _, dir := range s.Dirs {
		err := fs.WalkDir(s.root.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case entry.IsDir() && slices.Contains([]string{".git", ".hg"}, entry.Name()):
				return fs.SkipDir
			case !entry.Type().IsRegular() || seen[name]:
				return nil
			}
			seen[name] = true
			return visit(name)
		})
		if err != nil {
			return fmt.Errorf("looking at %q: %w", dir, err)
		}
	}
	return nil
}

// Open opens a file of the source, and nothing outside it.
func (s Source) Open(name string) (*os.File, error) { return s.root.Open(name) }
