package command

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestWhichClusterIsMeant(t *testing.T) {
	t.Setenv("HEADRACE_STATE", "/state")
	cases := map[string]struct {
		kubeconfig, registry string
		foreign              bool
		want                 string // a part of the error
	}{
		"none is named":                         {registry: "registry.test:5000"},
		"the embedded one, by its own file":     {kubeconfig: "/state/kubeconfig", registry: "registry.test:5000"},
		"another, with a registry":              {kubeconfig: "/home/me/.kube/config", registry: "registry.example.com/me", foreign: true},
		"another, without a registry":           {kubeconfig: "/home/me/.kube/config", foreign: true, want: "set REGISTRY=host/prefix"},
		"another, with the embedded's registry": {kubeconfig: "/home/me/.kube/config", registry: "registry.test:5000", foreign: true, want: "REGISTRY names no registry"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tc.kubeconfig)
			t.Setenv("REGISTRY", tc.registry)
			foreign, err := foreign()
			if os.Geteuid() != 0 && !tc.foreign {
				if !errors.Is(err, errNeither) {
					t.Errorf("got error %v, want both ways out of not being root", err)
				}
				return
			}
			if foreign != tc.foreign || (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("foreign() = %v, %v; want %v and an error with %q", foreign, err, tc.foreign, tc.want)
			}
		})
	}
}
