package initialize_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headrace-ci/headrace/pkg/task/initialize"
)

func TestRun(t *testing.T) {
	proxy := map[string]string{"allow-cache-proxy": "true", "http-proxy": "squid.caching.svc:3128\n", "no-proxy": "example.com"}
	none := map[string]string{"http-proxy": "", "no-proxy": ""}
	cases := map[string]struct {
		enable bool
		config map[string]string
		want   map[string]string
	}{
		"not asked for":               {false, proxy, none},
		"asked for and offered":       {true, proxy, map[string]string{"http-proxy": "squid.caching.svc:3128", "no-proxy": "example.com"}},
		"asked for and not offered":   {true, nil, none},
		"asked for and not permitted": {true, map[string]string{"allow-cache-proxy": "false", "http-proxy": "x"}, none},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for key, value := range tc.config {
				if err := os.WriteFile(filepath.Join(dir, key), []byte(value), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := initialize.Run(initialize.Options{EnableCacheProxy: tc.enable, ConfigDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
