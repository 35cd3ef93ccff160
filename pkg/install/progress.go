package install

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"time"
)

// heartbeat is how often a long step says that it is still at work.
const heartbeat = 30 * time.Second

// progress tells how far the installation is, each line with the seconds since
// the start.
type progress struct {
	out   io.Writer
	start time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, start: time.Now()} }

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(p.out, "%4.0fs  %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}

// during runs a long step and says every now and then that it goes on.
func (p *progress) during(ctx context.Context, what string, do func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			p.say("still %s", what)
		}
	}
}

// koLog passes on which images are built and pushed, and none of the rest.
type koLog struct {
	progress *progress
	line     []byte
}

var koLine = regexp.MustCompile(` (Building|Published) (\S+)`)

func (l *koLog) Write(p []byte) (int, error) {
	l.line = append(l.line, p...)
	for {
		line, rest, ok := bytes.Cut(l.line, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if m := koLine.FindSubmatch(line); m != nil {
			l.progress.say("  %s %s", bytes.ToLower(m[1]), m[2])
		}
		l.line = rest
	}
}
