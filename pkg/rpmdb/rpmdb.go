// Package rpmdb reads which packages an RPM database holds and whose key
// signed each. It knows the three formats there are: SQLite, NDB and Berkeley
// DB.
//
// A database comes from an image and is not to be trusted: whatever does not
// add up is an error, so a count is never of half a database.
package rpmdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/knqyf263/go-rpmdb/pkg/bdb"
	dbi "github.com/knqyf263/go-rpmdb/pkg/db"
	"github.com/knqyf263/go-rpmdb/pkg/ndb"
)

// Paths are where images keep a database, without the leading slash.
var Paths = []string{
	"usr/lib/sysimage/rpm/Packages",
	"usr/lib/sysimage/rpm/Packages.db",
	"usr/lib/sysimage/rpm/rpmdb.sqlite",
	"usr/share/rpm/rpmdb.sqlite",
	"var/lib/rpm/Packages",
	"var/lib/rpm/Packages.db",
	"var/lib/rpm/rpmdb.sqlite",
}

// JournalSuffix is what the name of a SQLite database's journal ends with. A
// journal that is not empty has changes the database itself lacks.
const JournalSuffix = "-wal"

// Package is an installed package.
type Package struct {
	Name, Version, Release string
	Epoch                  uint32
	Arch                   string // "" for a package of keys or of another such kind
	Key                    string // ID of the key that signed it, 16 hex digits; "" when unsigned
}

// keyring is the name under which rpm records the keys it trusts: it is no
// package.
const keyring = "gpg-pubkey"

// Read reads the packages of a database.
func Read(file string) ([]Package, error) {
	headers, err := readHeaders(file)
	if err != nil {
		return nil, fmt.Errorf("reading RPM database: %w", err)
	}
	var packages []Package
	for i, raw := range headers {
		pkg, err := parseHeader(raw)
		if err != nil {
			return nil, fmt.Errorf("reading RPM database: package %d: %w", i+1, err)
		}
		if pkg.Name != keyring {
			packages = append(packages, pkg)
		}
	}
	return packages, nil
}

func readHeaders(file string) ([][]byte, error) {
	db, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	start := make([]byte, len(sqliteMagic))
	if _, err := io.ReadFull(db, start); err != nil {
		return nil, fmt.Errorf("reading its start: %w", err)
	}
	if bytes.Equal(start, []byte(sqliteMagic)) {
		info, err := db.Stat()
		if err != nil {
			return nil, err
		}
		return readSQLite(db, info.Size())
	}
	if journal, err := ndb.Open(file); err == nil && journal != nil {
		return drain(journal)
	} else if err != nil && !errors.Is(err, ndb.ErrorInvalidNDB) {
		return nil, err
	}
	hash, err := bdb.Open(file)
	if err != nil {
		return nil, err
	}
	return drain(hash)
}

// drain reads to the end even after an error, since what writes would wait
// forever.
func drain(db dbi.RpmDBInterface) ([][]byte, error) {
	var headers [][]byte
	var first error
	for entry := range db.Read() {
		if entry.Err != nil && first == nil {
			first = entry.Err
		}
		headers = append(headers, entry.Value)
	}
	return headers, errors.Join(first, db.Close())
}
