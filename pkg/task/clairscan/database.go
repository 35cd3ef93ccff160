package clairscan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/vuln"
)

// noDatabaseError says that there is nothing to look packages up in.
type noDatabaseError struct{ dir string }

func (e *noDatabaseError) Error() string {
	return fmt.Sprintf("there is no database of vulnerabilities: param vulnerability-database is empty, and the image of the step has no records in %s", e.dir)
}

func (e *noDatabaseError) Hint() string {
	return "push the archives that OSV publishes as an artifact (oras push REPOSITORY:TAG all.zip) and name it in param vulnerability-database"
}

// database reads the database through.
func (o Options) database(ctx context.Context, known *vuln.Scan) error {
	if o.VulnerabilityDatabase != "" {
		if err := o.pulled(ctx, known); err != nil {
			return err
		}
	} else {
		files, err := vuln.Files(o.DatabaseDir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
			return &noDatabaseError{o.DatabaseDir}
		}
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := read(ctx, file, known); err != nil {
				return err
			}
		}
	}
	if known.Records == 0 {
		return errors.New("the database of vulnerabilities holds no record")
	}
	slog.InfoContext(ctx, "read the database", "records", known.Records, "newest", known.Newest)
	return nil
}

func read(ctx context.Context, file string, known *vuln.Scan) error {
	return vuln.Read(file, func(r *vuln.Record) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		known.Add(r)
		return nil
	})
}

// pulled reads the layers of an artifact, one after the other: an archive has
// to be a file, and they are large.
func (o Options) pulled(ctx context.Context, known *vuln.Scan) error {
	ref, err := oci.Reference(o.VulnerabilityDatabase)
	if err != nil {
		return err
	}
	artifact, err := remote.Image(ref, oci.Options(ctx)...)
	if err != nil {
		return fmt.Errorf("fetching the database %q: %w", ref, oci.Explain(err))
	}
	digest, err := artifact.Digest()
	if err != nil {
		return fmt.Errorf("fetching the database %q: %w", ref, err)
	}
	layers, err := artifact.Layers()
	if err != nil {
		return fmt.Errorf("fetching the database %q: %w", ref, err)
	}
	slog.InfoContext(ctx, "fetching the database", "artifact", ref.Context().Digest(digest.String()))
	for _, layer := range layers {
		file, err := copied(layer, o.WorkDir)
		if err != nil {
			return fmt.Errorf("fetching the database %q: %w", ref, oci.Explain(err))
		}
		err = errors.Join(read(ctx, file, known), os.Remove(file))
		if err != nil {
			return err
		}
	}
	return nil
}

// copied copies a layer to a file, and checks its digest.
func copied(layer v1.Layer, dir string) (file string, err error) {
	content, err := layer.Compressed()
	if err != nil {
		return "", err
	}
	defer content.Close()
	out, err := os.CreateTemp(dir, "osv-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, content)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), nil
}
