package install

import (
	"context"
	"fmt"
	"io"
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
