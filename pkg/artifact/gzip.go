package artifact

import (
	"bytes"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// blockSize is how much is compressed at once, in bytes. What is written
// depends on it, and not on how many processors there are.
const blockSize = 1 << 20

// zipper is a gzip writer that compresses blocks at the same time. Each block
// is a gzip member of its own, which every reader takes for one stream.
type zipper struct {
	block []byte
	queue chan chan []byte // of blocks, compressed, in order
	group errgroup.Group
}

func newZipper(w io.Writer) *zipper {
	z := &zipper{block: make([]byte, 0, blockSize), queue: make(chan chan []byte, runtime.GOMAXPROCS(0))}
	z.group.Go(func() error {
		var failed error
		for next := range z.queue {
			if compressed := <-next; failed == nil {
				_, failed = w.Write(compressed)
			}
		}
		return failed
	})
	return z
}

func (z *zipper) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := copy(z.block[len(z.block):cap(z.block)], p)
		z.block, p = z.block[:len(z.block)+n], p[n:]
		if len(z.block) == cap(z.block) {
			z.flush()
		}
	}
	return written, nil
}

// flush begins to compress the block. It waits while as many as there are
// processors are not written yet, so memory does not grow.
func (z *zipper) flush() {
	block, done := z.block, make(chan []byte, 1)
	z.block = make([]byte, 0, blockSize)
	z.queue <- done
	go func() { done <- compress(block) }()
}

func compress(block []byte) []byte {
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	// A buffer takes everything.
	_, _ = w.Write(block)
	_ = w.Close()
	return buf.Bytes()
}

// Close writes what is left, and returns the first error of the writer.
func (z *zipper) Close() error {
	z.flush()
	close(z.queue)
	return z.group.Wait()
}

// readAhead reads in another goroutine, so that files are written while the
// next are decompressed. Stop ends it.
func readAhead(r io.Reader) (ahead io.Reader, stop func()) {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{pw}, struct{ io.Reader }{r}, make([]byte, blockSize))
		pw.CloseWithError(err)
	}()
	return pr, func() { _ = pr.Close() }
}
