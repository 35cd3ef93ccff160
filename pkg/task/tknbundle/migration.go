package tknbundle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
)

// A migration's tag is migration-<version>-<sha256 of the script>-<seconds since
// 1970>.
func migrationPrefix(version string, script []byte) string {
	return fmt.Sprintf("migration-%s-%x-", version, sha256.Sum256(script))
}

// knownMigration finds the migration of a version that was pushed before, the
// newest if it was pushed more than once.
func knownMigration(ctx context.Context, repo name.Repository, version string, script []byte) (name.Tag, bool, error) {
	tags, err := remote.List(repo, oci.Options(ctx)...)
	if err != nil && !oci.NotFound(err) {
		return name.Tag{}, false, fmt.Errorf("listing the tags of %q: %w", repo, oci.Explain(err))
	}
	ofVersion := regexp.MustCompile("^migration-" + regexp.QuoteMeta(version) + "-[0-9a-f]{64}-[0-9]+$")
	slices.Sort(tags)
	found := ""
	for _, tag := range tags {
		if !ofVersion.MatchString(tag) {
			continue
		}
		if !strings.HasPrefix(tag, migrationPrefix(version, script)) {
			return name.Tag{}, false, &migrationError{version: version, tag: repo.Tag(tag).String()}
		}
		found = tag
	}
	return repo.Tag(found), found != "", nil
}

// migrationError says that a migration was changed after it was published.
type migrationError struct{ version, tag string }

func (e *migrationError) Error() string {
	return fmt.Sprintf("migrations/%s.sh is not the migration that was published for version %s as %s", e.version, e.version, e.tag)
}

// Hint says what to do instead.
func (e *migrationError) Hint() string {
	return "restore the script; raise the version and give the new one a migration of its own"
}
