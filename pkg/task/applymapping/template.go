package applymapping

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/releasedata"
)

var (
	variable = regexp.MustCompile(`\{\{\s*([^{}\s]+)\s*\}\}`)
	tagForm  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

const (
	incrementer  = "incrementer"
	versionKey   = "org.opencontainers.image.version"
	buildDate    = "build-date"
	shortSHA     = 7
	maxTemplates = 8 // rounds of replacing what a value itself mentions
)

// TagError says why a tag cannot be made.
type TagError struct{ Template, Problem string }

func (e *TagError) Error() string { return fmt.Sprintf("tag %q: %s", e.Template, e.Problem) }

// Hint lists what a tag may mention.
func (e *TagError) Hint() string {
	return "a tag may mention timestamp, release_timestamp, git_sha, git_short_sha, digest_sha, incrementer, oci_version and labels.<name>, as in {{ git_short_sha }}"
}

// templates gives the variables of one image their values.
type templates struct {
	image     name.Digest
	component *releasedata.Component
	format    string // of timestamps, as date(1) has it; "" for seconds since 1970

	config      *v1.ConfigFile // nil until it is needed
	annotations map[string]string
}

// expandAll gives every variable its value. The result has no duplicates.
func (t *templates) expandAll(ctx context.Context, repo name.Repository, wanted []string) ([]string, error) {
	tags := []string{}
	for _, template := range wanted {
		tag, err := t.expand(ctx, repo, template)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

func (t *templates) expand(ctx context.Context, repo name.Repository, template string) (string, error) {
	tag := template
	for range maxTemplates {
		var failed error
		next := variable.ReplaceAllStringFunc(tag, func(match string) string {
			key := variable.FindStringSubmatch(match)[1]
			if key == incrementer {
				return match // last, since it counts what has the rest of the tag
			}
			value, err := t.value(ctx, key)
			if err == nil && value == "" {
				err = fmt.Errorf("%q has no value for this image", key)
			}
			failed = errors.Join(failed, err)
			return value
		})
		if failed != nil {
			return "", &TagError{Template: template, Problem: failed.Error()}
		}
		if next == tag {
			break
		}
		tag = next
	}
	if loc := variable.FindStringIndex(tag); loc != nil && strings.Count(tag, "{{") == 1 {
		number, err := next(ctx, repo, tag[:loc[0]], tag[loc[1]:])
		if err != nil {
			return "", err
		}
		tag = tag[:loc[0]] + number + tag[loc[1]:]
	}
	if !tagForm.MatchString(tag) {
		return "", &TagError{Template: template, Problem: fmt.Sprintf("%q is no tag", tag)}
	}
	return tag, nil
}

func (t *templates) value(ctx context.Context, key string) (string, error) {
	switch key {
	case "git_sha":
		return t.component.Source.Git.Revision, nil
	case "git_short_sha":
		sha := t.component.Source.Git.Revision
		return sha[:min(shortSHA, len(sha))], nil
	case "digest_sha":
		return strings.TrimPrefix(t.image.DigestStr(), "sha256:"), nil
	case "release_timestamp":
		return t.timestamp(time.Now())
	}
	label, isLabel := strings.CutPrefix(key, "labels.")
	if !isLabel && key != "timestamp" && key != "oci_version" {
		return "", fmt.Errorf("there is no %q", key)
	}
	if err := t.load(ctx); err != nil {
		return "", err
	}
	switch {
	case isLabel:
		return t.config.Config.Labels[label], nil
	case key == "oci_version":
		version := t.annotations[versionKey]
		if version == "" {
			version = t.config.Config.Labels[versionKey]
		}
		return strings.ReplaceAll(version, "+", "_"), nil
	}
	if text := t.config.Config.Labels[buildDate]; text != "" {
		built, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return "", fmt.Errorf("label %s is %q, which is no time", buildDate, text)
		}
		return t.timestamp(built)
	}
	return t.timestamp(t.config.Created.Time)
}

// load reads the image's config; for an index, that of its first image.
func (t *templates) load(ctx context.Context) error {
	if t.config != nil {
		return nil
	}
	desc, err := remote.Get(t.image, oci.Options(ctx)...)
	if err != nil {
		return fmt.Errorf("fetching %q: %w", t.image, oci.Explain(err))
	}
	var image v1.Image
	if desc.MediaType.IsIndex() {
		image, err = first(desc)
	} else {
		image, err = desc.Image()
	}
	if err != nil {
		return fmt.Errorf("fetching %q: %w", t.image, err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("fetching %q: %w", t.image, err)
	}
	t.annotations = manifest.Annotations
	if t.config, err = image.ConfigFile(); err != nil {
		return fmt.Errorf("fetching the config of %q: %w", t.image, err)
	}
	return nil
}

func first(desc *remote.Descriptor) (v1.Image, error) {
	index, err := desc.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, child := range manifest.Manifests {
		if child.MediaType.IsImage() {
			return index.Image(child.Digest)
		}
	}
	return nil, errors.New("the index has no image")
}

// timestamp writes a time in the parts of date(1)'s format that are numbers.
func (t *templates) timestamp(at time.Time) (string, error) {
	at = at.UTC()
	format := t.format
	if format == "" {
		format = "%s"
	}
	values := strings.NewReplacer("%s", strconv.FormatInt(at.Unix(), 10), "%Y", at.Format("2006"), "%m", at.Format("01"),
		"%d", at.Format("02"), "%H", at.Format("15"), "%M", at.Format("04"), "%S", at.Format("05"),
		"%y", at.Format("06"), "%j", at.Format("002"), "%%", "%")
	text := values.Replace(format)
	if strings.Contains(text, "%") {
		return "", fmt.Errorf("timestampFormat %q is not supported: %%s, %%Y, %%y, %%m, %%d, %%j, %%H, %%M and %%S are", format)
	}
	return text, nil
}

// next is one more than the highest number between prefix and suffix among the
// repository's tags.
func next(ctx context.Context, repo name.Repository, prefix, suffix string) (string, error) {
	tags, err := remote.List(repo, oci.Options(ctx)...)
	if err != nil && !oci.NotFound(err) {
		return "", fmt.Errorf("listing the tags of %q: %w", repo, oci.Explain(err))
	}
	highest := 0
	for _, tag := range tags {
		middle, ok := strings.CutPrefix(tag, prefix)
		if !ok {
			continue
		}
		if middle, ok = strings.CutSuffix(middle, suffix); !ok {
			continue
		}
		if number, err := strconv.Atoi(middle); err == nil {
			highest = max(highest, number)
		}
	}
	return strconv.Itoa(highest + 1), nil
}
