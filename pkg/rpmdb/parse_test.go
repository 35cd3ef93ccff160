package rpmdb

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// header makes a package's header: tag, type and value, the name first.
func header(values ...any) []byte {
	var index, data []byte
	for i := 0; i < len(values); i += 3 {
		tag, kind, value := values[i].(int), values[i+1].(int), values[i+2].(string)
		index = binary.BigEndian.AppendUint32(index, uint32(tag))
		index = binary.BigEndian.AppendUint32(index, uint32(kind))
		index = binary.BigEndian.AppendUint32(index, uint32(len(data)))
		index = binary.BigEndian.AppendUint32(index, uint32(len(value)))
		data = append(append(data, value...), 0)
	}
	raw := binary.BigEndian.AppendUint32(nil, uint32(len(index)/entrySize))
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(data)))
	return append(append(raw, index...), data...)
}

func unhex(t testing.TB, text string) string {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestParseHeader(t *testing.T) {
	const (
		v3 = "8815 0305 00 00000000 0123456789abcdef 01 08 0000 0000 0000"
		// A signature with an empty signed area and the issuer in the other.
		v4 = "c212 04 00 01 08 0000 000a 09 10 0123456789abcdef"
		// Two bytes of size, and the fingerprint of a key of version 4.
		fingerprint = "8900 1f 04 00 01 08 0017 16 21 04 ffffffffffffffffffffffff 0123456789abcdef 0000"
	)
	v6 := "c230 06 00 01 08 00000023 22 21 06 0123456789abcdef" + strings.Repeat("ff", 24) + "00000000" + "00"
	cases := map[string]struct {
		raw  []byte
		want Package
		text string // in the error
	}{
		"unsigned":                      {raw: header(tagName, typeString, "a"), want: Package{Name: "a"}},
		"a signature of version 3":      {raw: header(tagName, typeString, "a", tagSigPGP, typeBinary, unhex(t, v3)), want: Package{Name: "a", Key: "0123456789abcdef"}},
		"a signature of version 4":      {raw: header(tagName, typeString, "a", tagRSAHeader, typeBinary, unhex(t, v4)), want: Package{Name: "a", Key: "0123456789abcdef"}},
		"a key by its fingerprint":      {raw: header(tagName, typeString, "a", tagRSAHeader, typeBinary, unhex(t, fingerprint)), want: Package{Name: "a", Key: "0123456789abcdef"}},
		"a signature of version 6":      {raw: header(tagName, typeString, "a", tagOpenPGP, typeStringArray, base64.StdEncoding.EncodeToString([]byte(unhex(t, v6)))), want: Package{Name: "a", Key: "0123456789abcdef"}},
		"no name":                       {raw: header(tagSigPGP, typeBinary, "x"), text: "no name"},
		"a signature that is none":      {raw: header(tagName, typeString, "a", tagSigPGP, typeBinary, "xx"), text: "not an OpenPGP packet"},
		"a signature that is cut":       {raw: header(tagName, typeString, "a", tagSigPGP, typeBinary, unhex(t, v4)[:9]), text: "cut short"},
		"a signature that names no key": {raw: header(tagName, typeString, "a", tagSigPGP, typeBinary, unhex(t, "c208 04 00 01 08 0000 0000")), text: "does not name its key"},
		"a header that is cut":          {raw: header(tagName, typeString, "a")[:20], text: "cut short"},
		"nothing":                       {text: "cut short"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseHeader(tc.raw)
			if tc.text != "" {
				if err == nil || !strings.Contains(err.Error(), tc.text) {
					t.Fatalf("parseHeader() = %v, want an error with %q", err, tc.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("parseHeader() = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(header(tagName, typeString, "a", tagSigPGP, typeBinary, "\x88\x15\x03"))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, _ = parseHeader(raw) // must not panic
	})
}

// FuzzReadSQLite also holds that a database of any content ends.
func FuzzReadSQLite(f *testing.F) {
	intro := append([]byte(sqliteMagic), make([]byte, 1024-len(sqliteMagic))...)
	binary.BigEndian.PutUint16(intro[16:], 512)
	intro[100] = pageLeaf
	f.Add(intro)
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, _ = readSQLite(bytes.NewReader(raw), int64(len(raw)))
	})
}
