package fetch

import (
	"crypto/sha1" // old lockfiles have nothing better
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// Checksum is what a file must have: the name of an algorithm, and a digest in
// lower-case hex.
type Checksum struct{ Algorithm, Hex string }

func (c Checksum) String() string { return c.Algorithm + ":" + c.Hex }

// algorithms by name, the strongest last. MD5 is none of them: anybody can make
// two files that have the same.
var algorithms = []struct {
	name string
	size int
	new  func() hash.Hash
}{
	{"sha1", sha1.Size, sha1.New},
	{"sha224", sha256.Size224, sha256.New224},
	{"sha256", sha256.Size, sha256.New},
	{"sha384", sha512.Size384, sha512.New384},
	{"sha512", sha512.Size, sha512.New},
}

func strength(algorithm string) int {
	for i, a := range algorithms {
		if a.name == algorithm {
			return i
		}
	}
	return -1
}

func newHash(algorithm string) hash.Hash { return algorithms[strength(algorithm)].new() }

// ParseChecksum reads algorithm, colon and hex, such as sha256:9f86….
func ParseChecksum(text string) (Checksum, error) {
	algorithm, digest, ok := strings.Cut(text, ":")
	if !ok {
		return Checksum{}, fmt.Errorf("checksum %q is not an algorithm, a colon and hex", text)
	}
	raw, err := hex.DecodeString(digest)
	if err != nil {
		return Checksum{}, fmt.Errorf("checksum %q is not in hex", text)
	}
	return checked(strings.ToLower(algorithm), raw, text)
}

// ParseIntegrity reads what npm and yarn write: an algorithm, a dash and
// base64, and several of them with spaces between, as Subresource Integrity
// has it. Algorithms that are not known are left out, as that standard says;
// none that is known is an error.
func ParseIntegrity(text string) ([]Checksum, error) {
	var sums []Checksum
	for _, field := range strings.Fields(text) {
		algorithm, digest, ok := strings.Cut(field, "-")
		if !ok {
			return nil, fmt.Errorf("integrity %q is not an algorithm, a dash and base64", field)
		}
		if strength(algorithm) < 0 {
			continue
		}
		digest, _, _ = strings.Cut(digest, "?") // options, which mean nothing so far
		raw, err := base64.StdEncoding.DecodeString(digest)
		if err != nil {
			return nil, fmt.Errorf("integrity %q is not in base64", field)
		}
		sum, err := checked(algorithm, raw, field)
		if err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}
	if len(sums) == 0 && strings.TrimSpace(text) != "" {
		return nil, fmt.Errorf("integrity %q has no algorithm from sha1 to sha512", text)
	}
	return sums, nil
}

func checked(algorithm string, raw []byte, text string) (Checksum, error) {
	at := strength(algorithm)
	if at < 0 {
		return Checksum{}, fmt.Errorf("checksum %q: algorithm %q is none of sha1, sha224, sha256, sha384 and sha512", text, algorithm)
	}
	if len(raw) != algorithms[at].size {
		return Checksum{}, fmt.Errorf("checksum %q has %d bytes, and %s has %d", text, len(raw), algorithm, algorithms[at].size)
	}
	return Checksum{Algorithm: algorithm, Hex: hex.EncodeToString(raw)}, nil
}

// Strongest are the checksums of the strongest algorithm among sums. A file
// must have one of them; the weaker ones are not asked.
func Strongest(sums []Checksum) []Checksum {
	var best []Checksum
	for _, sum := range sums {
		switch {
		case len(best) == 0 || strength(sum.Algorithm) > strength(best[0].Algorithm):
			best = []Checksum{sum}
		case sum.Algorithm == best[0].Algorithm:
			best = append(best, sum)
		}
	}
	return best
}
