package clamavscan

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/headrace-ci/headrace/pkg/clamd"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/tekton/testoutput"
)

// scanner scans layers, each once, since the images of an index share them.
type scanner struct {
	address string
	atOnce  int

	mu   sync.Mutex
	done map[v1.Hash]findings
}

func newScanner(address string, atOnce int) *scanner {
	return &scanner{address: address, atOnce: atOnce, done: map[v1.Hash]findings{}}
}

// findings is what was seen in a layer, or in all of an image.
type findings struct {
	files    int
	bytes    int64
	hits     []hit
	tooLarge []string // files that clamd did not take
}

// hit is a file with malware.
type hit struct{ file, malware string }

// heuristic reports whether it only looks like malware.
func (h hit) heuristic() bool { return strings.HasPrefix(h.malware, "Heuristics.") }

// image scans the layers of an image. After an error nothing counts.
func (s *scanner) image(ctx context.Context, image oci.Image) (findings, error) {
	layers, err := image.Layers()
	if err != nil {
		return findings{}, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return findings{}, err
	}
	scan := s.blob
	if manifest.Config.MediaType.IsConfig() {
		scan = s.files
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.atOnce)
	results := make([]findings, len(layers))
	for i, layer := range layers {
		group.Go(func() error {
			digest, err := layer.Digest()
			if err != nil {
				return err
			}
			if results[i], err = s.once(ctx, digest, layer, scan); err != nil {
				return fmt.Errorf("layer %s: %w", digest, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return findings{}, err
	}
	var all findings
	for _, f := range results {
		all.files, all.bytes = all.files+f.files, all.bytes+f.bytes
		all.hits, all.tooLarge = append(all.hits, f.hits...), append(all.tooLarge, f.tooLarge...)
	}
	return all, nil
}

type scanFunc func(context.Context, *session, v1.Layer) (findings, error)

func (s *scanner) once(ctx context.Context, digest v1.Hash, layer v1.Layer, scan scanFunc) (findings, error) {
	s.mu.Lock()
	found, ok := s.done[digest]
	s.mu.Unlock()
	if ok {
		return found, nil
	}
	session := &session{ctx: ctx, address: s.address}
	found, err := scan(ctx, session, layer)
	if err = errors.Join(err, session.close()); err != nil {
		return findings{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[digest] = found
	return found, nil
}

// session is a connection to clamd, made anew when one is over.
type session struct {
	ctx     context.Context
	address string
	conn    *clamd.Conn
}

func (s *session) close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// scan adds what clamd says of content.
func (s *session) scan(file string, content io.Reader, found *findings) error {
	if s.conn == nil {
		conn, err := clamd.Dial(s.ctx, s.address)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	counted := &counter{r: content}
	malware, err := s.conn.Scan(counted)
	found.files++
	found.bytes += counted.n
	switch {
	case errors.Is(err, clamd.ErrTooLarge):
		found.tooLarge = append(found.tooLarge, file)
		return s.close()
	case err != nil:
		return fmt.Errorf("%q: %w", file, err)
	case malware != "":
		found.hits = append(found.hits, hit{file, malware})
	}
	return nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// files scans the files of a layer.
func (s *scanner) files(_ context.Context, session *session, layer v1.Layer) (findings, error) {
	var found findings
	stream, err := layer.Uncompressed()
	if err != nil {
		return found, err
	}
	defer stream.Close()
	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return found, err
		}
		if header.Typeflag != tar.TypeReg || header.Size == 0 {
			continue
		}
		if err := session.scan(path.Clean("/"+header.Name), archive, &found); err != nil {
			return found, err
		}
	}
	// To the end, since the digest is only checked there.
	_, err = io.Copy(io.Discard, stream)
	return found, err
}

// blob scans a layer of an artifact that is no image as it is; clamd unpacks
// what it knows.
func (s *scanner) blob(_ context.Context, session *session, layer v1.Layer) (findings, error) {
	var found findings
	digest, err := layer.Digest()
	if err != nil {
		return found, err
	}
	stream, err := layer.Compressed()
	if err != nil {
		return found, err
	}
	defer stream.Close()
	if err := session.scan(digest.String(), stream, &found); err != nil {
		return found, err
	}
	_, err = io.Copy(io.Discard, stream)
	return found, err
}

func (f findings) verdict(now time.Time) testoutput.Output {
	sure := slices.DeleteFunc(slices.Clone(f.hits), hit.heuristic)
	out := testoutput.New(testoutput.Success, now, fmt.Sprintf("No malware in %d files", f.files))
	out.Namespace = "required_checks"
	out.Failures, out.Warnings = len(sure), len(f.hits)-len(sure)+len(f.tooLarge)
	switch {
	case len(sure) > 0:
		out.Result, out.Note = testoutput.Failure, fmt.Sprintf("Malware in %d files, the first is %q: %s", len(sure), clip(sure[0].file), sure[0].malware)
	case len(f.hits) > 0:
		out.Result, out.Note = testoutput.Warning, fmt.Sprintf("%d files look like malware, the first is %q: %s", len(f.hits), clip(f.hits[0].file), f.hits[0].malware)
	case len(f.tooLarge) > 0:
		out.Result, out.Note = testoutput.Warning, fmt.Sprintf("%d of %d files are larger than clamd accepts (its StreamMaxLength), the first is %q", len(f.tooLarge), f.files, clip(f.tooLarge[0]))
	default:
		out.Successes = 1
	}
	return out
}

func clip(file string) string {
	const most = 200
	if runes := []rune(file); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return file
}

// suffix tells the files of one image from those of another.
func suffix(image oci.Image) string {
	if config, err := image.ConfigFile(); err == nil && config.Architecture != "" {
		return config.Architecture
	}
	return "oci"
}

// parts are the log of a scan, in clamdscan's form, and its verdict.
func (f findings) parts(suffix, version string, verdict testoutput.Output) []oci.Part {
	var log strings.Builder
	for _, h := range f.hits {
		fmt.Fprintf(&log, "%s: %s FOUND\n", oneWord(h.file), h.malware)
	}
	for _, file := range f.tooLarge {
		fmt.Fprintf(&log, "%s: size limit exceeded ERROR\n", oneWord(file))
	}
	fmt.Fprintf(&log, "\n----------- SCAN SUMMARY -----------\nInfected files: %d\nScanned files: %d\nData scanned: %.2f MB\nExecuted-on: %s\n",
		len(f.hits), f.files-len(f.tooLarge), float64(f.bytes)/(1<<20), version)
	return []oci.Part{
		{Title: "clamscan-result-" + suffix + ".log", MediaType: "text/vnd.clamav", Content: []byte(log.String())},
		{Title: "clamscan-ec-test-" + suffix + ".json", MediaType: "application/vnd.konflux.test_output+json", Content: []byte(verdict.String())},
	}
}

// oneWord keeps a file's name on its line, and from looking like the rest of
// the line.
func oneWord(file string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, file)
}
