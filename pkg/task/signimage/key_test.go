package signimage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/cosign/v2/pkg/cosign"
)

func TestReadKey(t *testing.T) {
	pair, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte("hidden"), nil })
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		files map[string]string
		text  string // in the error; "" for none
	}{
		"a key and its password":       {files: map[string]string{keyFile: string(pair.PrivateBytes), passwordFile: "hidden"}},
		"no key":                       {text: "there is no cosign.key"},
		"another password":             {files: map[string]string{keyFile: string(pair.PrivateBytes), passwordFile: "guessed"}, text: "does not open"},
		"no password":                  {files: map[string]string{keyFile: string(pair.PrivateBytes)}, text: "does not open"},
		"a public key":                 {files: map[string]string{keyFile: string(pair.PublicBytes)}, text: "is not a key that cosign made"},
		"a key that is kept elsewhere": {files: map[string]string{"SIGN_KEY": "awskms:///x"}, text: "not supported yet"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range tc.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := readKey(dir, "release-key")
			if tc.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var keyErr *KeyError
			if !errors.As(err, &keyErr) || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), "release-key") {
				t.Errorf("readKey() = %v, want a *KeyError with %q", err, tc.text)
			}
			if err != nil && strings.Contains(err.Error()+keyErr.Hint(), "hidden") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}
