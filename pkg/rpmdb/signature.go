package rpmdb

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// OpenPGP, RFC 9580: what of a signature packet names its key.
const (
	packetSignature      = 2
	subpacketIssuer      = 16
	subpacketFingerprint = 33
	keyIDSize            = 8
)

var errCut = errors.New("it is cut short")

// issuer is the ID of the key that made a signature, in hex.
func issuer(packet []byte) (string, error) {
	body, err := packetBody(packet)
	if err != nil {
		return "", err
	}
	if len(body) == 0 {
		return "", errCut
	}
	switch version := body[0]; version {
	case 3: // version, length, type, time, key ID
		if len(body) < 7+keyIDSize {
			return "", errCut
		}
		return hex.EncodeToString(body[7:][:keyIDSize]), nil
	case 4, 6:
		return subpacketIssuerID(body, version)
	default:
		return "", fmt.Errorf("it has version %d", version)
	}
}

// packetBody takes off the packet's header.
func packetBody(packet []byte) ([]byte, error) {
	if len(packet) < 2 || packet[0]&0x80 == 0 {
		return nil, errors.New("it is not an OpenPGP packet")
	}
	tag, rest := packet[0]&0x3f, packet[1:]
	if packet[0]&0x40 == 0 { // the old format: the size's size is in the tag
		sizeSize := 1 << (tag & 3)
		if tag>>2 != packetSignature {
			return nil, errors.New("it is not a signature packet")
		}
		if sizeSize == 8 {
			return rest, nil // up to the end
		}
		if len(rest) < sizeSize {
			return nil, errCut
		}
		size := uint64(0)
		for _, b := range rest[:sizeSize] {
			size = size<<8 | uint64(b)
		}
		return take(rest[sizeSize:], size)
	}
	if tag != packetSignature {
		return nil, errors.New("it is not a signature packet")
	}
	body, _, err := sized(rest)
	return body, err
}

// sized reads a size in the new format, and that many bytes.
func sized(raw []byte) (value, rest []byte, err error) {
	if len(raw) == 0 {
		return nil, nil, errCut
	}
	size, used := uint64(raw[0]), 1
	switch {
	case raw[0] < 192:
	case raw[0] < 255: // two bytes; sizes in parts are for data, not for this
		if len(raw) < 2 {
			return nil, nil, errCut
		}
		size, used = uint64(raw[0]-192)<<8+uint64(raw[1])+192, 2
	default:
		if len(raw) < 5 {
			return nil, nil, errCut
		}
		size, used = uint64(binary.BigEndian.Uint32(raw[1:])), 5
	}
	value, err = take(raw[used:], size)
	if err != nil {
		return nil, nil, err
	}
	return value, raw[used+len(value):], nil
}

func take(raw []byte, size uint64) ([]byte, error) {
	if size > uint64(len(raw)) {
		return nil, errCut
	}
	return raw[:size], nil
}

// subpacketIssuerID looks through both areas of subpackets, the signed first.
func subpacketIssuerID(body []byte, version byte) (string, error) {
	sizeSize := 2
	if version == 6 {
		sizeSize = 4
	}
	rest := body[min(4, len(body)):] // version, type, two algorithms
	for range 2 {
		if len(rest) < sizeSize {
			return "", errCut
		}
		size := uint64(binary.BigEndian.Uint16(rest))
		if sizeSize == 4 {
			size = uint64(binary.BigEndian.Uint32(rest))
		}
		area, err := take(rest[sizeSize:], size)
		if err != nil {
			return "", err
		}
		rest = rest[sizeSize+len(area):]
		for len(area) > 0 {
			var sub []byte
			if sub, area, err = sized(area); err != nil {
				return "", err
			}
			if id := keyID(sub); id != nil {
				return hex.EncodeToString(id), nil
			}
		}
	}
	return "", errors.New("it does not name its key")
}

// keyID is the key that a subpacket names, or nil.
func keyID(sub []byte) []byte {
	if len(sub) == 0 {
		return nil
	}
	value := sub[1:]
	switch sub[0] & 0x7f {
	case subpacketIssuer:
		if len(value) == keyIDSize {
			return value
		}
	case subpacketFingerprint: // the key's version, then its fingerprint
		switch {
		case len(value) == 1+20 && value[0] == 4:
			return value[len(value)-keyIDSize:]
		case len(value) == 1+32:
			return value[1:][:keyIDSize]
		}
	}
	return nil
}
