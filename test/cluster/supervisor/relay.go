package supervisor

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
)

// relay accepts on a listening socket that was opened in the host's network,
// and so stays there, and dials target from here, where the cluster is.
func relay(ctx context.Context, fd int, target string) error {
	file := os.NewFile(uintptr(fd), "relay")
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	_ = file.Close() // the listener has a copy
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				slog.Warn("relay ended", "target", target, "error", err)
				return
			}
			go join(conn, target)
		}
	}()
	return nil
}

func join(outside net.Conn, target string) {
	defer outside.Close()
	inside, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer inside.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{outside, inside}, {inside, outside}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // either end closes when it likes
			if half, ok := pair[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}
