// Package vuln finds known vulnerabilities of packages, in a database of
// records in OSV form (https://ossf.github.io/osv-schema).
//
// A database is files: archives as OSV publishes them, one an ecosystem with a
// file a record, or single records. It is read through once and never held in
// memory: only what is known of the packages asked for is kept. Versions are
// compared by the rules of the system that the package is of.
package vuln

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxRecord is more than any record has, in bytes.
const maxRecord = 32 << 20

// Record is what a database knows of one vulnerability, as far as it is used
// here.
type Record struct {
	ID               string     `json:"id"`
	Modified         time.Time  `json:"modified"`
	Published        time.Time  `json:"published"`
	Withdrawn        *time.Time `json:"withdrawn"`
	Aliases          []string   `json:"aliases"`
	Upstream         []string   `json:"upstream"`
	Summary          string     `json:"summary"`
	Details          string     `json:"details"`
	Severity         []Score    `json:"severity"`
	Affected         []Affected `json:"affected"`
	References       []struct{ URL string }
	DatabaseSpecific struct {
		Severity any `json:"severity"`
	} `json:"database_specific"`
}

// Score is a severity in a notation: a CVSS vector, or a distribution's word.
type Score struct{ Type, Score string }

// Affected says which versions of a package have the vulnerability.
type Affected struct {
	Package           struct{ Ecosystem, Name string }
	Severity          []Score
	Ranges            []Range
	Versions          []string
	EcosystemSpecific struct {
		Severity any `json:"severity"`
		Urgency  any `json:"urgency"`
	} `json:"ecosystem_specific"`
	DatabaseSpecific struct {
		Severity any `json:"severity"`
	} `json:"database_specific"`
}

// Range is versions between events; of type GIT they are commits, which no
// package has.
type Range struct {
	Type   string
	Events []Event
}

// Event is where in the order of versions a vulnerability begins or ends.
type Event struct {
	Introduced   string
	Fixed        string
	LastAffected string `json:"last_affected"`
	Limit        string
}

// Read calls visit with every record of a file: an archive with records, or
// one record.
func Read(file string, visit func(*Record) error) error {
	archive, err := zip.OpenReader(file)
	if errors.Is(err, zip.ErrFormat) {
		raw, err := open(file)
		if err != nil {
			return err
		}
		return decode(raw, filepath.Base(file), visit)
	}
	if err != nil {
		return fmt.Errorf("reading the database: %w", err)
	}
	defer archive.Close()
	for _, f := range archive.File {
		if f.FileInfo().IsDir() || !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		content, err := f.Open()
		if err != nil {
			return fmt.Errorf("reading %q of the database: %w", f.Name, err)
		}
		if err := decode(content, f.Name, visit); err != nil {
			return err
		}
	}
	return nil
}

func open(file string) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the database: %w", err)
	}
	return f, nil
}

func decode(content io.ReadCloser, name string, visit func(*Record) error) error {
	defer content.Close()
	limited := &io.LimitedReader{R: content, N: maxRecord}
	var record Record
	if err := json.NewDecoder(limited).Decode(&record); err != nil {
		if limited.N == 0 {
			err = fmt.Errorf("has more than %d bytes", maxRecord)
		}
		return fmt.Errorf("reading record %q of the database: %w", name, err)
	}
	if record.ID == "" {
		return fmt.Errorf("reading record %q of the database: it has no id, so it is no OSV record", name)
	}
	return visit(&record)
}

// Files lists the files of a database below dir.
func Files(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := filepath.Ext(file); entry.Type().IsRegular() && (ext == ".zip" || ext == ".json") {
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for a database: %w", err)
	}
	return files, nil
}
