package fetch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseNetrc(t *testing.T) {
	text := "machine a login u password p\n\nmachine b\n\tlogin v\n\taccount x\n\tpassword q\ndefault login anonymous password me\n"
	want := []login{{"a", "u", "p"}, {"b", "v", "q"}, {"", "anonymous", "me"}}
	if diff := cmp.Diff(want, parseNetrc(text), cmp.AllowUnexported(login{})); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
}

func FuzzParseNetrc(f *testing.F) {
	f.Add("machine a login u password p default login x")
	f.Add("macdef init\n\nmachine")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = findLogin(parseNetrc(text), "a") // must not panic
	})
}
