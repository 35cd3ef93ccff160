package clamd_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace-ci/headrace/pkg/clamd"
)

func TestAddress(t *testing.T) {
	cases := map[string]struct{ network, address string }{
		"clamd:3310":             {"tcp", "clamd:3310"},
		"tcp://10.0.0.1:3310":    {"tcp", "10.0.0.1:3310"},
		"[::1]:3310":             {"tcp", "[::1]:3310"},
		"unix:///run/clamd.sock": {"unix", "/run/clamd.sock"},
		"clamd":                  {},
		":3310":                  {},
		"unix://x":               {},
		"":                       {},
	}
	for in, want := range cases {
		network, address, err := clamd.Address(in)
		if network != want.network || address != want.address || (err == nil) != (want.network != "") {
			t.Errorf("Address(%q) = %q, %q, %v", in, network, address, err)
		}
	}
}

// answering is a server that is sent empty content, gives one answer and hangs
// up.
func answering(t *testing.T, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for range 2 { // zIDSESSION, and the command
			if _, err := r.ReadString(0); err != nil {
				return
			}
		}
		if _, err := io.CopyN(io.Discard, r, 4); err != nil { // the end of the content
			return
		}
		_, _ = io.WriteString(conn, answer)
	}()
	return "unix://" + path
}

func TestAnswers(t *testing.T) {
	cases := map[string]struct {
		answer  string
		malware string
		wantErr string
	}{
		"clean":                    {answer: "1: stream: OK\x00"},
		"malware":                  {answer: "1: stream: Win.Test FOUND\x00", malware: "Win.Test"},
		"too large":                {answer: "1: INSTREAM size limit exceeded. ERROR\x00", wantErr: clamd.ErrTooLarge.Error()},
		"another error":            {answer: "1: stream: Can't allocate memory ERROR\x00", wantErr: "allocate memory"},
		"no number":                {answer: "UNKNOWN COMMAND\x00", wantErr: "UNKNOWN COMMAND"},
		"it hangs up":              {answer: "1: stre", wantErr: "waiting for clamd's answer"},
		"an answer without end":    {answer: strings.Repeat("x", 1<<16), wantErr: "has no end"},
		"found is not just a word": {answer: "1: stream: not FOUND here\x00", wantErr: "not FOUND here"},
	}
	for title, tc := range cases {
		t.Run(title, func(t *testing.T) {
			conn, err := clamd.Dial(t.Context(), answering(t, tc.answer))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			malware, err := conn.Scan(strings.NewReader(""))
			if malware != tc.malware || (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("Scan() = %q, %v, want %q, %q", malware, err, tc.malware, tc.wantErr)
			}
		})
	}
}

// TestCancel: a scan ends when its context does.
func TestCancel(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := clamd.Dial(ctx, "unix://"+listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Scan(strings.NewReader("x"))
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Scan() = %v, want the connection closed", err)
	}
}
