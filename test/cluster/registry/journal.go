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
	"os"
	"path"
	"path/filepath"
	"sync"
)

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
		request := httptest.NewRequest(http.MethodPut, e.Path, bytes.NewReader(e.Body))
		request.Header.Set("Content-Type", e.Type)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if response.Code != http.StatusCreated {
			return nil, fmt.Errorf("restoring %s: %d %s", e.Path, response.Code, response.Body)
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

// compact keeps the last entry of each path and drops the deleted. A manifest
// whose tag has moved or gone stays under its digest, as it does in a running
// registry: somebody may hold the digest.
func compact(entries []entry) []entry {
	last := map[string]int{}
	for i, e := range entries {
		last[e.Path] = i
	}
	var kept []entry
	for i, e := range entries {
		if len(e.Body) == 0 {
			continue
		}
		if last[e.Path] != i {
			digest := fmt.Sprintf("sha256:%x", sha256.Sum256(e.Body))
			e.Path = path.Join(path.Dir(e.Path), digest)
			if _, known := last[e.Path]; known {
				continue
			}
			last[e.Path] = i
		}
		kept = append(kept, e)
	}
	return kept
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

func (j *journal) add(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.file.Write(append(line, '\n'))
	return err
}
