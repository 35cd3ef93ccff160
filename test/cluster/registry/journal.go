package registry

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

var digests = regexp.MustCompile("sha256:[0-9a-f]{64}")

// entry is one accepted change of a manifest. Body is empty for a deletion.
type entry struct {
	Path string `json:"path"` // URL path, /v2/<repository>/manifests/<tag or digest>
	Type string `json:"type,omitempty"`
	Body []byte `json:"body,omitempty"`
}

// journal keeps manifests on disk: the library below holds them in memory
// only. It is a file of entries in the order they were accepted, which is
// also an order they are accepted in again, children before their index.
type journal struct {
	// mu is held from the acceptance of a change until it is written down, or
	// the file could have another order.
	mu   sync.Mutex
	file *os.File
}

// openJournal replays the journal in dir against handler, writes it anew
// without what was overwritten since, and opens it for more.
func openJournal(dir string, handler http.Handler) (*journal, error) {
	name := filepath.Join(dir, "manifests.jsonl")
	entries, err := readJournal(name)
	if err != nil {
		return nil, err
	}
	entries = compact(entries)
	for _, e := range entries {
		if err := e.replay(handler); err != nil {
			return nil, err
		}
	}
	if err := writeJournal(name, entries); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{file: file}, nil
}

func readJournal(name string) ([]entry, error) {
	file, err := os.Open(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var entries []entry
	reader := bufio.NewReader(file)
	for {
		line, err := reader.ReadBytes('\n')
		if err == io.EOF {
			// A line without an end was being written when the power went;
			// its client never got an answer.
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", name, len(entries)+1, err)
		}
		entries = append(entries, e)
	}
}

// compact is the shortest journal that leads to what entries lead to. Each
// manifest keeps the place where it was first accepted, so that what an index
// names stays before the index, however often it was pushed again since. A
// manifest whose tag has moved or gone stays under its digest, as it does in a
// running registry: somebody may hold the digest.
func compact(entries []entry) []entry {
	live := map[string]int{}  // the last entry of each path that is there
	first := map[string]int{} // the first entry with the content of each digest's path
	for i, e := range entries {
		if len(e.Body) == 0 {
			delete(live, e.Path)
			continue
		}
		byDigest := e.digestPath()
		live[e.Path], live[byDigest] = i, i
		if _, known := first[byDigest]; !known {
			first[byDigest] = i
		}
	}
	tags := map[string][]string{}
	needed := map[string]bool{}
	for p, i := range live {
		byDigest := entries[i].digestPath()
		needed[byDigest] = true
		if p != byDigest {
			tags[byDigest] = append(tags[byDigest], p)
		}
	}
	// Backwards, so that an index says what it needs before that is looked at.
	var kept, deleted []entry
	for i, e := range slices.Backward(entries) {
		byDigest := e.digestPath()
		if len(e.Body) == 0 || first[byDigest] != i || !needed[byDigest] {
			continue
		}
		for _, digest := range digests.FindAllString(string(e.Body), -1) {
			needed[e.folder()+digest] = true
		}
		paths := slices.Sorted(slices.Values(tags[byDigest]))
		if len(paths) == 0 {
			paths = []string{byDigest}
		}
		for _, p := range paths {
			if last, there := live[p]; there {
				e.Type = entries[last].Type
			}
			kept = append(kept, entry{Path: p, Type: e.Type, Body: e.Body})
		}
		// Accepting a tag makes its digest known too, which was deleted.
		if _, there := live[byDigest]; !there {
			deleted = append(deleted, entry{Path: byDigest})
		}
	}
	slices.Reverse(kept)
	return append(kept, deleted...)
}

// digestPath is where the entry's manifest is by its digest.
func (e entry) digestPath() string {
	return fmt.Sprintf("%ssha256:%x", e.folder(), sha256.Sum256(e.Body))
}

// folder is the path without the tag or digest.
func (e entry) folder() string { return e.Path[:strings.LastIndex(e.Path, "/")+1] }

// replay has the handler accept the entry again.
func (e entry) replay(handler http.Handler) error {
	method, want := http.MethodPut, http.StatusCreated
	if len(e.Body) == 0 {
		method, want = http.MethodDelete, http.StatusAccepted
	}
	request := httptest.NewRequest(method, "/", bytes.NewReader(e.Body))
	request.URL = &url.URL{Path: e.Path} // as it is: a client may have sent any characters
	request.Header.Set("Content-Type", e.Type)
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	if response.Code != want {
		return fmt.Errorf("restoring %s: %d %s", e.Path, response.Code, response.Body)
	}
	return nil
}

func writeJournal(name string, entries []entry) error {
	var buf bytes.Buffer
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		buf.Write(append(line, '\n'))
	}
	partial := name + ".partial"
	if err := os.WriteFile(partial, buf.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(partial, name)
}

// add writes an entry down. The caller holds mu.
func (j *journal) add(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(line, '\n'))
	return err
}
