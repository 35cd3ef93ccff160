package ko

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrograms(t *testing.T) {
	a := []byte("image: ko://example.com/cmd/push\nimage: ko://example.com/cmd/push-all\n")
	b := []byte(`image: "ko://example.com/cmd/push", other: example.com/cmd/pull`)
	if diff := cmp.Diff([]string{"example.com/cmd/push", "example.com/cmd/push-all"}, Programs(a, b)); diff != "" {
		t.Errorf("programs (-want +got):\n%s", diff)
	}
	got := string(Fill(a, map[string]string{"example.com/cmd/push": "registry/push@sha256:1"}))
	if diff := cmp.Diff("image: registry/push@sha256:1\nimage: ko://example.com/cmd/push-all\n", got); diff != "" {
		t.Errorf("filled (-want +got):\n%s", diff)
	}
}
