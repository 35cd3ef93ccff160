// Package clamd talks to ClamAV's daemon: it sends it content, and is told
// whether that is malware.
//
// The protocol is that of clamd(8), commands ended by a zero byte: content goes
// as chunks, each after its length in four bytes, the last of length 0. A
// [Conn] is one session, for one goroutine.
package clamd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// chunk is how much content goes at once, in bytes.
const chunk = 64 << 10

// idle is how long clamd may take for an answer: it unpacks archives.
const idle = 10 * time.Minute

// ErrTooLarge says that content is larger than clamd accepts (StreamMaxLength
// in its configuration). The session is over.
var ErrTooLarge = errors.New("larger than clamd accepts")

// sizeExceeded is in clamd's answer to such content.
const sizeExceeded = "size limit exceeded"

// Address splits an address: host:port, tcp://host:port or unix:///path.
func Address(s string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok && strings.HasPrefix(path, "/") {
		return "unix", path, nil
	}
	address = strings.TrimPrefix(s, "tcp://")
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" || strings.Contains(address, "/") {
		return "", "", fmt.Errorf("%q is no address of clamd: want host:port or unix:///path", s)
	}
	return "tcp", address, nil
}

// Conn is a session with clamd.
type Conn struct {
	conn net.Conn
	r    *bufio.Reader
	stop func() bool
}

// Dial opens a session. Cancelling ctx ends it.
func Dial(ctx context.Context, address string) (*Conn, error) {
	network, address, err := Address(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connecting to clamd: %w", err)
	}
	c := &Conn{conn: conn, r: bufio.NewReader(conn)}
	c.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // whatever is under way fails
	if err := c.send("zIDSESSION\x00"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close ends the session.
func (c *Conn) Close() error {
	c.stop()
	return c.conn.Close()
}

func (c *Conn) send(command string) error {
	if err := c.conn.SetDeadline(time.Now().Add(idle)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.conn, command); err != nil {
		return fmt.Errorf("talking to clamd: %w", err)
	}
	return nil
}

// maxAnswer is more than any answer has, in bytes.
const maxAnswer = 4 << 10

// answer is the text of an answer, without the number of its command.
func (c *Conn) answer() (string, error) {
	var text []byte
	for len(text) < maxAnswer {
		b, err := c.r.ReadByte()
		if err != nil {
			return "", fmt.Errorf("waiting for clamd's answer: %w", err)
		}
		if b == 0 {
			_, after, ok := strings.Cut(string(text), ": ")
			if !ok {
				return "", fmt.Errorf("clamd answers %q", text)
			}
			return after, nil
		}
		text = append(text, b)
	}
	return "", errors.New("clamd's answer has no end")
}

// Version is the program's version and its database's, as clamd says it.
func (c *Conn) Version() (string, error) {
	if err := c.send("zVERSION\x00"); err != nil {
		return "", err
	}
	return c.answer()
}

// Scan sends content, and returns the malware's name, "" for none.
func (c *Conn) Scan(content io.Reader) (malware string, err error) {
	if err := c.send("zINSTREAM\x00"); err != nil {
		return "", err
	}
	if err := c.stream(content); err != nil {
		return "", err
	}
	answer, err := c.answer()
	if err != nil {
		return "", err
	}
	answer = strings.TrimPrefix(answer, "stream: ")
	name, isFound := strings.CutSuffix(answer, " FOUND")
	switch {
	case isFound:
		return name, nil
	case answer == "OK":
		return "", nil
	case strings.Contains(answer, sizeExceeded):
		return "", ErrTooLarge
	}
	return "", fmt.Errorf("clamd answers %q", answer)
}

// stream sends content in chunks. Where clamd refuses, what it says explains
// more than the broken connection.
func (c *Conn) stream(content io.Reader) error {
	buffer := make([]byte, 4+chunk)
	for {
		n, err := io.ReadFull(content, buffer[4:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if n > 0 {
			if err := c.write(buffer[:4+n]); err != nil {
				return err
			}
		}
		if err != nil {
			return c.write(buffer[:4])
		}
	}
}

func (c *Conn) write(block []byte) error {
	binary.BigEndian.PutUint32(block, uint32(len(block)-4))
	if err := c.conn.SetDeadline(time.Now().Add(idle)); err != nil {
		return err
	}
	if _, err := c.conn.Write(block); err != nil {
		if text, aerr := c.answer(); aerr == nil && strings.Contains(text, sizeExceeded) {
			return ErrTooLarge
		}
		return fmt.Errorf("sending content to clamd: %w", err)
	}
	return nil
}
