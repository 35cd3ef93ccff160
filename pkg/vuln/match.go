package vuln

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"
)

// Match is a vulnerability of a package.
type Match struct {
	Package  string // URL
	ID       string // of the record
	Name     string // the CVE, if it is one; else the record's ID
	Severity Severity
	Fixed    string // version from which on it is fixed; "" for none
	Summary  string
	Issued   time.Time
	Links    []string

	covers []string // IDs of which this tells
}

// Scan is a search for what is known of packages.
type Scan struct {
	wanted  map[string][]found // by name
	unknown int                // packages that OSV has no records of
	eco     map[string]bool    // ecosystems of packages, and whether the database has them

	matches map[string][]Match // by package URL

	// What the database was.
	Records int
	Newest  time.Time // when the youngest record was changed

	// Problems are versions that could not be compared, a few of them.
	Problems []string
}

type found struct {
	purl string
	subject
}

// NewScan prepares a search for packages.
func NewScan(packages []Package) *Scan {
	s := &Scan{wanted: map[string][]found{}, eco: map[string]bool{}, matches: map[string][]Match{}}
	seen := map[string]bool{}
	for _, p := range packages {
		if seen[p.PURL] {
			continue
		}
		seen[p.PURL] = true
		if purl, err := packageurl.FromString(p.PURL); err == nil && purl.Version == "" {
			continue // what is being built has no version yet
		}
		subject, ok := p.subject()
		if !ok {
			s.unknown++
			continue
		}
		s.eco[subject.ecosystem] = false
		s.wanted[subject.name] = append(s.wanted[subject.name], found{p.PURL, subject})
	}
	return s
}

// Add looks at one record.
func (s *Scan) Add(r *Record) {
	s.Records++
	if r.Modified.After(s.Newest) {
		s.Newest = r.Modified
	}
	for _, a := range r.Affected {
		s.have(a.Package.Ecosystem)
		if r.Withdrawn != nil {
			continue
		}
		for _, want := range s.wanted[a.Package.Name] {
			if !want.known(a.Package.Ecosystem) {
				continue
			}
			in, fix, err := a.affects(want.version, want.compare)
			if err != nil {
				s.problem(fmt.Sprintf("%s: %s: %v", r.ID, want.purl, err))
				continue
			}
			if in {
				s.matches[want.purl] = append(s.matches[want.purl], newMatch(want.purl, r, a, fix))
			}
		}
	}
}

// have notes that the database has records of an ecosystem.
func (s *Scan) have(ecosystem string) {
	if have, ok := s.eco[ecosystem]; ok && !have {
		s.eco[ecosystem] = true
	}
	for i := range len(ecosystem) {
		if ecosystem[i] != ':' {
			continue
		}
		if have, ok := s.eco[ecosystem[:i]]; ok && !have {
			s.eco[ecosystem[:i]] = true
		}
	}
}

func (s *Scan) problem(text string) {
	const most = 100
	if len(s.Problems) < most {
		s.Problems = append(s.Problems, text)
	}
}

// Missing are the ecosystems of packages that the database has no record of,
// in order; and how many packages no database has records of.
func (s *Scan) Missing() (ecosystems []string, packages int) {
	for name, have := range s.eco {
		if !have {
			ecosystems = append(ecosystems, name)
		}
	}
	slices.Sort(ecosystems)
	return ecosystems, s.unknown
}

// Of lists what is known of a package, each vulnerability once: databases tell
// of one under several names.
func (s *Scan) Of(purl string) []Match {
	all := slices.Clone(s.matches[purl])
	slices.SortFunc(all, func(a, b Match) int {
		return cmp.Or(
			cmp.Compare(len(a.covers), len(b.covers)), // what tells of many comes last
			cmp.Compare(b2i(a.Severity == Unknown), b2i(b.Severity == Unknown)),
			cmp.Compare(b2i(a.Fixed == ""), b2i(b.Fixed == "")),
			cmp.Compare(a.ID, b.ID),
		)
	})
	covered := map[string]bool{}
	var once []Match
	for _, m := range all {
		if !slices.ContainsFunc(m.covers, func(id string) bool { return !covered[id] }) {
			continue
		}
		for _, id := range m.covers {
			covered[id] = true
		}
		once = append(once, m)
	}
	slices.SortFunc(once, func(a, b Match) int { return cmp.Compare(a.ID, b.ID) })
	return once
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func newMatch(purl string, r *Record, a Affected, fix string) Match {
	m := Match{Package: purl, ID: r.ID, Name: r.ID, Severity: severity(r, a), Fixed: fix, Summary: r.Summary, Issued: r.Published}
	if m.Issued.IsZero() {
		m.Issued = r.Modified
	}
	if m.Summary == "" {
		m.Summary, _, _ = strings.Cut(r.Details, "\n")
	}
	for _, ref := range r.References {
		m.Links = append(m.Links, ref.URL)
	}
	for _, id := range slices.Concat([]string{r.ID}, r.Aliases, r.Upstream) {
		if strings.HasPrefix(id, "CVE-") && !slices.Contains(m.covers, id) {
			m.covers = append(m.covers, id)
		}
	}
	switch len(m.covers) {
	case 0:
		m.covers = []string{r.ID}
	case 1:
		m.Name = m.covers[0]
	}
	return m
}
