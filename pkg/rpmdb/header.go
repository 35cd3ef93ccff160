package rpmdb

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// What a header is made of, in bytes.
const (
	introSize = 8  // number of entries, size of the data
	entrySize = 16 // tag, type, offset, count
)

// The tags that are read.
const (
	tagSigPGP    = 259
	tagSigGPG    = 262
	tagDSAHeader = 267
	tagRSAHeader = 268
	tagOpenPGP   = 278
	tagName      = 1000
	tagVersion   = 1001
	tagRelease   = 1002
	tagEpoch     = 1003
	tagArch      = 1022
)

// Types of a tag's value.
const (
	typeInt32       = 4
	typeString      = 6
	typeBinary      = 7
	typeStringArray = 8
)

// signatureTags are in the order rpm looks for a signature.
var signatureTags = []uint32{tagDSAHeader, tagRSAHeader, tagSigGPG, tagSigPGP, tagOpenPGP}

type entry struct {
	kind  uint32
	count uint32
	data  []byte // from the value's start to the header's end
}

// parseHeader reads name, version and signature of a package.
func parseHeader(raw []byte) (Package, error) {
	entries, err := readEntries(raw)
	if err != nil {
		return Package{}, err
	}
	var pkg Package
	for tag, field := range map[uint32]*string{tagName: &pkg.Name, tagVersion: &pkg.Version, tagRelease: &pkg.Release, tagArch: &pkg.Arch} {
		if *field, err = entries[tag].text(); err != nil {
			return Package{}, fmt.Errorf("tag %d: %w", tag, err)
		}
	}
	if pkg.Name == "" {
		return Package{}, errors.New("header has no name")
	}
	if epoch := entries[tagEpoch]; epoch.kind == typeInt32 && len(epoch.data) >= 4 {
		pkg.Epoch = binary.BigEndian.Uint32(epoch.data)
	}
	for _, tag := range signatureTags {
		signature, ok := entries[tag]
		if !ok {
			continue
		}
		packet, err := signature.packet()
		if err != nil {
			return Package{}, fmt.Errorf("signature of %q: %w", pkg.Name, err)
		}
		if pkg.Key, err = issuer(packet); err != nil {
			return Package{}, fmt.Errorf("signature of %q: %w", pkg.Name, err)
		}
		return pkg, nil
	}
	return pkg, nil
}

func readEntries(raw []byte) (map[uint32]entry, error) {
	if len(raw) < introSize {
		return nil, errors.New("header is cut short")
	}
	number, size := uint64(binary.BigEndian.Uint32(raw)), uint64(binary.BigEndian.Uint32(raw[4:]))
	if introSize+number*entrySize+size > uint64(len(raw)) {
		return nil, fmt.Errorf("header of %d entries and %d bytes is cut short", number, size)
	}
	index, data := raw[introSize:introSize+number*entrySize], raw[introSize+number*entrySize:][:size]
	entries := map[uint32]entry{}
	for ; len(index) > 0; index = index[entrySize:] {
		tag, offset := binary.BigEndian.Uint32(index), binary.BigEndian.Uint32(index[8:])
		if uint64(offset) > size {
			// A region's own entry points back in front of the data.
			continue
		}
		if _, ok := entries[tag]; !ok {
			entries[tag] = entry{kind: binary.BigEndian.Uint32(index[4:]), count: binary.BigEndian.Uint32(index[12:]), data: data[offset:]}
		}
	}
	return entries, nil
}

// text is a string; empty when there is none.
func (e entry) text() (string, error) {
	if e.kind != typeString {
		return "", nil
	}
	end := bytes.IndexByte(e.data, 0)
	if end < 0 {
		return "", errors.New("it has no end")
	}
	return string(e.data[:end]), nil
}

// packet is the OpenPGP packet of a signature, of which the newest kind of
// header has several, as text.
func (e entry) packet() ([]byte, error) {
	switch e.kind {
	case typeBinary:
		if uint64(e.count) > uint64(len(e.data)) {
			return nil, errors.New("it is cut short")
		}
		return e.data[:e.count], nil
	case typeStringArray:
		text, _, ok := bytes.Cut(e.data, []byte{0})
		if !ok {
			return nil, errors.New("it has no end")
		}
		packet, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil {
			return nil, errors.New("it is not base64")
		}
		return packet, nil
	default:
		return nil, fmt.Errorf("it has type %d", e.kind)
	}
}
