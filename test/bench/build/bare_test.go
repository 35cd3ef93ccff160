//go:build linux

package build

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func newBare(t *testing.T) bare {
	t.Helper()
	in := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "team", Name: name} }
	docker := func(name, config string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: in(name), Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(config)}}
	}
	return bare{dir: t.TempDir(), log: io.Discard, client: fake.NewClientBuilder().WithObjects(
		&corev1.ConfigMap{ObjectMeta: in("ca"), Data: map[string]string{"ca.crt": "trust", "other": "x"}},
		docker("push", `{"auths":{"registry.test/a":{"auth":"YTpi"}}}`),
		docker("pull", `{"auths":{"registry.test/b":{"auth":"Yzpk"}}}`),
		docker("broken", `no`),
	).Build()}
}

func TestVolumesHoldWhatThePodHad(t *testing.T) {
	yes := true
	configMap := func(name string, optional *bool, items ...corev1.KeyToPath) corev1.VolumeSource {
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: optional, Items: items,
		}}
	}
	cases := map[string]struct {
		source corev1.VolumeSource
		want   map[string]string // files and what they hold
		err    string            // a part of it
	}{
		"an empty one":     {source: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}, want: map[string]string{}},
		"a ConfigMap":      {source: configMap("ca", nil), want: map[string]string{"ca.crt": "trust", "other": "x"}},
		"one key of it":    {source: configMap("ca", nil, corev1.KeyToPath{Key: "ca.crt", Path: "tls/bundle.crt"}), want: map[string]string{"tls/bundle.crt": "trust"}},
		"a key not there":  {source: configMap("ca", nil, corev1.KeyToPath{Key: "no", Path: "x"}), err: `volume "v" of pod "p": there is no key "no"`},
		"one not there":    {source: configMap("no", nil), err: `volume "v" of pod "p": configmaps "no" not found`},
		"one that may not": {source: configMap("no", &yes), want: map[string]string{}},
		"a Secret": {
			source: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "broken"}},
			want:   map[string]string{corev1.DockerConfigJsonKey: "no"},
		},
		"a kind that is not made here": {source: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}, err: `volume "v"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBare(t)
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "p"},
				Spec:       corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: tc.source}}},
			}
			made, err := b.volumes(t.Context(), b.dir, pod)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error = %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			volume := os.DirFS(made["v"])
			err = fs.WalkDir(volume, ".", func(name string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				content, err := fs.ReadFile(volume, name)
				got[name] = string(content)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	yes := true
	from := func(name, key string, optional *bool) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: optional,
		}}
	}
	got, err := newBare(t).environment(t.Context(), "team", v1.Config{Env: []string{"PATH=/ko-app", "A=image", "B=image"}}, step{
		Env: []corev1.EnvVar{
			{Name: "A", Value: "pod"}, {Name: "C", ValueFrom: from("ca", "ca.crt", nil)},
			{Name: "D", ValueFrom: from("ca", "none", &yes)}, {Name: "E", ValueFrom: from("none", "x", &yes)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"PATH": "/ko-app", "HOME": "/", "A": "pod", "B": "image", "C": "trust"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	for _, missing := range []*corev1.EnvVarSource{from("none", "x", nil), from("ca", "none", nil), {}} {
		_, err := newBare(t).environment(t.Context(), "team", v1.Config{}, step{Env: []corev1.EnvVar{{Name: "F", ValueFrom: missing}}})
		if err == nil || !strings.Contains(err.Error(), "variable F") {
			t.Errorf("error = %v, want one of variable F", err)
		}
	}
}

func TestLogIn(t *testing.T) {
	user := os.Getuid()
	s := step{UID: uint32(user), GID: uint32(os.Getgid()), Mounts: []corev1.VolumeMount{{Name: "home", MountPath: "/tekton/home"}}}
	b, home := newBare(t), t.TempDir()
	s.Logins = []string{"push", "pull"}
	if err := b.logIn(t.Context(), "team", s, "/tekton/home/build", map[string]string{"home": home}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "build", ".docker", "config.json")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"auths":{"registry.test/a":{"auth":"YTpi"},"registry.test/b":{"auth":"Yzpk"}}}`
	if string(content) != want {
		t.Errorf("the logins are %s, want those of both", content)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the logins are readable as %v (%v), want by their user alone", info.Mode(), err)
	}
	s.Logins = []string{"broken"}
	err = b.logIn(t.Context(), "team", s, "/tekton/home", map[string]string{"home": home})
	if err == nil || err.Error() != `the login "broken" is not a docker config` {
		t.Errorf("error = %v, want one of the broken login, without what it holds", err)
	}
}

func TestImagesDoNotLeadOut(t *testing.T) {
	outside := t.TempDir()
	for _, link := range []string{"etc", "data"} {
		root := t.TempDir()
		if err := os.Symlink(outside, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
		if err := furnish(root, []bind{{To: "/data/sub"}}); err == nil {
			t.Errorf("a link %s that leads out is no error", link)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside there is %v (%v)", entries, err)
	}
	root := t.TempDir()
	if err := furnish(root, []bind{{To: "/data/sub/"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "data", "sub")); err != nil {
		t.Error(err)
	}
}

func TestSequenceNeedsEveryPod(t *testing.T) {
	runs := []tektonv1.TaskRun{{ObjectMeta: metav1.ObjectMeta{Name: "build-clone"}}}
	_, err := newBare(t).sequence(t.Context(), runs, nil)
	if err == nil || !strings.Contains(err.Error(), `task run "build-clone" has no pod`) {
		t.Errorf("error = %v, want one of the task run", err)
	}
}

func TestResultsMustBeThereAgain(t *testing.T) {
	results := t.TempDir()
	if err := os.WriteFile(filepath.Join(results, "IMAGE_URL"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := &tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{Name: "build"}}
	found := []step{{Mounts: []corev1.VolumeMount{{Name: "results", MountPath: "/tekton/results"}}}}
	for _, result := range []string{"IMAGE_URL", "IMAGE_DIGEST"} {
		run.Status.Results = append(run.Status.Results, tektonv1.TaskRunResult{Name: result})
		err := checkResults(run, found, map[string]string{"results": results})
		if missing := result == "IMAGE_DIGEST"; (err != nil) != missing {
			t.Errorf("with result %s: error = %v", result, err)
		}
	}
}
