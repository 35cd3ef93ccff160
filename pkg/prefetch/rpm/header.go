package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Tags of a header. https://rpm-software-management.github.io/rpm/manual/tags.html
const (
	tagPayloadSize     = 1007 // of the signature
	tagName            = 1000
	tagVersion         = 1001
	tagRelease         = 1002
	tagEpoch           = 1003
	tagSummary         = 1004
	tagDescription     = 1005
	tagBuildTime       = 1006
	tagBuildHost       = 1007
	tagSize            = 1009
	tagVendor          = 1011
	tagLicense         = 1014
	tagPackager        = 1015
	tagGroup           = 1016
	tagURL             = 1020
	tagArch            = 1022
	tagFileModes       = 1030
	tagFileFlags       = 1037
	tagSourceRPM       = 1044
	tagDirIndexes      = 1116
	tagBaseNames       = 1117
	tagDirNames        = 1118
	tagLongSize        = 5009
	tagModularityLabel = 5096
)

// What bounds a header, as rpm has it.
const (
	maxEntries = 1 << 16
	maxStore   = 256 << 20
)

var (
	leadMagic   = []byte{0xed, 0xab, 0xee, 0xdb}
	headerMagic = []byte{0x8e, 0xad, 0xe8, 0x01}
)

// header is one of a package: its entries point into the store.
type header struct {
	entries map[uint32]tag
	store   []byte
}

type tag struct{ kind, offset, count uint32 }

// file is what is read of a package's file.
type file struct {
	header
	payload    uint64 // bytes, unpacked
	start, end int64  // of the header in the file
}

var errNotRPM = errors.New("it is not an RPM")

// readFile reads the headers of a package.
// Format: https://rpm-software-management.github.io/rpm/manual/format_v4.html
func readFile(r io.Reader) (*file, error) {
	lead := make([]byte, 96)
	if _, err := io.ReadFull(r, lead); err != nil || !bytes.HasPrefix(lead, leadMagic) {
		return nil, errNotRPM
	}
	signature, size, err := readHeader(r)
	if err != nil {
		return nil, fmt.Errorf("reading its signature: %w", err)
	}
	padding := (8 - size%8) % 8
	if _, err := io.CopyN(io.Discard, r, padding); err != nil {
		return nil, errNotRPM
	}
	f := &file{start: 96 + size + padding}
	if f.header, size, err = readHeader(r); err != nil {
		return nil, fmt.Errorf("reading its header: %w", err)
	}
	f.end = f.start + size
	f.payload = signature.number(tagPayloadSize)
	if f.text(tagName) == "" || f.text(tagVersion) == "" || f.text(tagRelease) == "" || f.text(tagArch) == "" {
		return nil, fmt.Errorf("its header lacks name, version, release or architecture")
	}
	return f, nil
}

func readHeader(r io.Reader) (h header, size int64, err error) {
	var intro [16]byte
	if _, err := io.ReadFull(r, intro[:]); err != nil || !bytes.HasPrefix(intro[:], headerMagic) {
		return h, 0, errNotRPM
	}
	entries, store := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if entries > maxEntries || store > maxStore {
		return h, 0, fmt.Errorf("it is larger than rpm allows")
	}
	index, err := readAll(r, int64(entries)*16)
	if err != nil {
		return h, 0, err
	}
	if h.store, err = readAll(r, int64(store)); err != nil {
		return h, 0, err
	}
	h.entries = map[uint32]tag{}
	for ; len(index) > 0; index = index[16:] {
		word := func(i int) uint32 { return binary.BigEndian.Uint32(index[4*i:]) }
		h.entries[word(0)] = tag{kind: word(1), offset: word(2), count: word(3)}
	}
	return h, 16 + int64(entries)*16 + int64(store), nil
}

// readAll reads n bytes, and takes memory only as they come.
func readAll(r io.Reader, n int64) ([]byte, error) {
	var out bytes.Buffer
	if _, err := io.CopyN(&out, r, n); err != nil {
		return nil, errNotRPM
	}
	return out.Bytes(), nil
}

// Kinds of values.
const (
	kindInt16  = 3
	kindInt32  = 4
	kindInt64  = 5
	kindString = 6
	kindArray  = 8
	kindLocal  = 9 // text in several languages
)

// data is the store from where the tag's values begin.
func (h header) data(id uint32) (tag, []byte) {
	t, ok := h.entries[id]
	if !ok || int64(t.offset) > int64(len(h.store)) {
		return tag{}, nil
	}
	return t, h.store[t.offset:]
}

// list is the texts of a tag.
func (h header) list(id uint32) []string {
	t, data := h.data(id)
	if t.kind != kindString && t.kind != kindArray && t.kind != kindLocal {
		return nil
	}
	var values []string
	for range t.count {
		end := bytes.IndexByte(data, 0)
		if end < 0 {
			return values
		}
		values, data = append(values, string(data[:end])), data[end+1:]
	}
	return values
}

// text is the first text of a tag.
func (h header) text(id uint32) string {
	if values := h.list(id); len(values) > 0 {
		return values[0]
	}
	return ""
}

// numbers are the numbers of a tag.
func (h header) numbers(id uint32) []uint64 {
	t, data := h.data(id)
	width := map[uint32]int{kindInt16: 2, kindInt32: 4, kindInt64: 8}[t.kind]
	if width == 0 {
		return nil
	}
	var values []uint64
	for range t.count {
		if len(data) < width {
			return values
		}
		switch width {
		case 2:
			values = append(values, uint64(binary.BigEndian.Uint16(data)))
		case 4:
			values = append(values, uint64(binary.BigEndian.Uint32(data)))
		case 8:
			values = append(values, binary.BigEndian.Uint64(data))
		}
		data = data[width:]
	}
	return values
}

func (h header) number(id uint32) uint64 {
	if values := h.numbers(id); len(values) > 0 {
		return values[0]
	}
	return 0
}

// arch is the package's, or src for one of source.
func (f *file) arch() string {
	if f.text(tagSourceRPM) == "" {
		return "src"
	}
	return f.text(tagArch)
}

// owned is one of the package's files.
type owned struct {
	Name       string
	Dir, Ghost bool
}

func (f *file) paths() []owned {
	dirs, indexes := f.list(tagDirNames), f.numbers(tagDirIndexes)
	modes, flags := f.numbers(tagFileModes), f.numbers(tagFileFlags)
	var paths []owned
	for i, base := range f.list(tagBaseNames) {
		if i >= len(indexes) || indexes[i] >= uint64(len(dirs)) {
			return paths
		}
		p := owned{Name: dirs[indexes[i]] + base}
		p.Dir = i < len(modes) && modes[i]&0o170000 == 0o040000
		p.Ghost = i < len(flags) && flags[i]&(1<<6) != 0
		paths = append(paths, p)
	}
	return paths
}

// isPrimary tells whether packages are found by the path without the list of
// all files.
func isPrimary(name string) bool {
	return strings.HasPrefix(name, "/etc/") || strings.Contains(name, "bin/") || name == "/usr/lib/sendmail"
}

// relation is one of what a package provides, requires and so on.
type relation struct {
	Name, Version string
	Flags         uint64
}

func (f *file) relations(name, version, flags uint32) []relation {
	versions, bits := f.list(version), f.numbers(flags)
	var all []relation
	for i, n := range f.list(name) {
		r := relation{Name: n}
		if i < len(versions) {
			r.Version = versions[i]
		}
		if i < len(bits) {
			r.Flags = bits[i]
		}
		all = append(all, r)
	}
	return all
}
