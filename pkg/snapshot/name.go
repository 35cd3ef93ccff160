package snapshot

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// maxPrefix leaves room for the time in a name of 63 characters.
const maxPrefix = 43

// Name is a Snapshot's: what it is of, and when its build started, in UTC.
func Name(of string, at time.Time) string {
	at = at.UTC()
	return fmt.Sprintf("%s-%s-%03d", cut(of, maxPrefix), at.Format("20060102-150405"), at.Nanosecond()/int(time.Millisecond))
}

// Names are the names to try for a Snapshot, in order: the first is another
// one's where two of an application start in one second. They are the same
// each time for one seed, so that nothing gets two Snapshots.
func Names(of string, at time.Time, seed string) []string {
	const (
		digits   = "0123456789abcdefghijklmnopqrstuvwxyz"
		attempts = 8
	)
	sum := sha256.Sum256([]byte(seed))
	names := []string{Name(of, at)}
	base := Name(cut(of, maxPrefix-3), at)
	for i := range attempts {
		pair := sum[2*i:]
		names = append(names, base+"-"+string([]byte{digits[int(pair[0])%len(digits)], digits[int(pair[1])%len(digits)]}))
	}
	return names
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.TrimRight(s, "-")
}
