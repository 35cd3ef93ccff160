package build

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func number[T any](n T) *T { return &n }

// container is a step as Tekton makes it, changed by edit.
func container(edit func(*corev1.Container)) corev1.Container {
	c := corev1.Container{
		Name: "step-build", Image: "registry.test/buildah@sha256:1", WorkingDir: "/work",
		Args: []string{
			"-wait_file", "/tekton/run/0/out", "-docker-config=push", "-results", "IMAGE_URL",
			"-entrypoint", "/ko-app/buildah", "--", "--image=a", "--", "-entrypoint",
		},
		SecurityContext: &corev1.SecurityContext{
			RunAsUser: number(int64(7)), AllowPrivilegeEscalation: number(false),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"SETUID"}},
		},
	}
	edit(&c)
	return c
}

func TestSteps(t *testing.T) {
	same := func(*corev1.Container) {}
	cases := map[string]struct {
		pod  *corev1.PodSecurityContext
		edit func(*corev1.Container)
		want step
		err  string // a part of it
	}{
		"the step's own command line, without Tekton's": {
			edit: same,
			want: step{
				Name: "build", Image: "registry.test/buildah@sha256:1", Dir: "/work",
				Argv: []string{"/ko-app/buildah", "--image=a", "--", "-entrypoint"},
				UID:  7, Keep: []string{"SETUID"}, Logins: []string{"push"}, Locked: true,
			},
		},
		"user and group of the pod": {
			pod: &corev1.PodSecurityContext{RunAsUser: number(int64(8)), RunAsGroup: number(int64(9))},
			edit: func(c *corev1.Container) {
				c.SecurityContext.RunAsUser = nil
				c.Args = []string{"-entrypoint", "/ko-app/init", "--"}
			},
			want: step{
				Name: "build", Image: "registry.test/buildah@sha256:1", Dir: "/work",
				Argv: []string{"/ko-app/init"}, UID: 8, GID: 9, Keep: []string{"SETUID"}, Locked: true,
			},
		},
		"a sidecar":           {edit: func(c *corev1.Container) { c.Name = "sidecar-registry" }, err: `"sidecar-registry" is not a step`},
		"a script":            {edit: func(c *corev1.Container) { c.Args = []string{"-entrypoint", "/tekton/scripts/script-0", "--"} }, err: "it is a script"},
		"not Tekton's at all": {edit: func(c *corev1.Container) { c.Args = []string{"serve"} }, err: "no -entrypoint PROGRAM --"},
		"no user":             {edit: func(c *corev1.Container) { c.SecurityContext.RunAsUser = nil }, err: "which user it was"},
		"the runtime's capabilities": {
			edit: func(c *corev1.Container) { c.SecurityContext.Capabilities.Drop = nil }, err: "only a step that drops ALL",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "build-pod"},
				Spec:       corev1.PodSpec{SecurityContext: tc.pod, Containers: []corev1.Container{container(tc.edit)}},
			}
			got, err := steps(pod)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.Contains(err.Error(), "build-pod") {
					t.Errorf("error = %v, want one of build-pod with %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]step{tc.want}, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := steps(&corev1.Pod{}); err == nil {
		t.Error("a pod without steps is no error")
	}
}

func TestWithinTakesTheInnermostMount(t *testing.T) {
	mounts := []corev1.VolumeMount{
		{Name: "home", MountPath: "/tekton/home"}, {Name: "build", MountPath: "/tekton/home/build/", SubPath: "sub"},
		{Name: "other", MountPath: "/tekton/ho"},
	}
	cases := map[string]struct {
		file, volume, rest string
		ok                 bool
	}{
		"below one mount":      {file: "/tekton/home/x", volume: "home", rest: "x", ok: true},
		"below two":            {file: "/tekton/home/build/x", volume: "build", rest: "sub/x", ok: true},
		"a mount itself":       {file: "/tekton/home", volume: "home", ok: true},
		"a longer name":        {file: "/tekton/homes"},
		"in no mount":          {file: "/var/tmp"},
		"the machine's own, /": {file: "/"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			volume, rest, ok := within(mounts, tc.file)
			if volume != tc.volume || rest != tc.rest || ok != tc.ok {
				t.Errorf("within = %q, %q, %v; want %q, %q, %v", volume, rest, ok, tc.volume, tc.rest, tc.ok)
			}
		})
	}
}
