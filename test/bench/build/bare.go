//go:build linux

package build

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// bare runs the steps of pods on this machine.
type bare struct {
	client client.Reader
	dir    string    // where images and volumes go, on a disk that an overlay may lie on
	log    io.Writer // what the steps print
	// inside is how arguments and variables name the git server, and here how
	// it is reached from this machine.
	inside, here string
}

// task runs the steps of a TaskRun again, in folders of their own.
func (b bare) task(ctx context.Context, run *tektonv1.TaskRun, pod *corev1.Pod) ([]timing, error) {
	found, err := steps(pod)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, pod.Name)
	volumes, err := b.volumes(ctx, dir, pod)
	if err != nil {
		return nil, err
	}
	var launches []launch
	for _, s := range found {
		l, err := b.prepare(ctx, filepath.Join(dir, "root-"+s.Name), pod.Namespace, s, volumes)
		if err != nil {
			return nil, fmt.Errorf("preparing step %q of %q: %w", s.Name, run.Name, err)
		}
		launches = append(launches, l)
	}
	var timings []timing
	for i, l := range launches {
		took, err := l.run(ctx, b.log)
		if err != nil {
			return nil, fmt.Errorf("step %q of %q: %w", found[i].Name, run.Name, err)
		}
		timings = append(timings, timing{found[i].Name, took})
	}
	return timings, checkResults(run, found, volumes)
}

// checkResults fails when the programs reported less here than in the pod:
// they would have done less too.
func checkResults(run *tektonv1.TaskRun, found []step, volumes map[string]string) error {
	volume, rest, ok := within(found[0].Mounts, "/tekton/results")
	if !ok {
		return fmt.Errorf("task run %q has no place for results", run.Name)
	}
	for _, result := range run.Status.Results {
		if _, err := os.Stat(filepath.Join(volumes[volume], rest, result.Name)); err != nil {
			return fmt.Errorf("task run %q run bare has no result %q: %w", run.Name, result.Name, err)
		}
	}
	return nil
}

// volumes makes a folder for every volume of the pod that steps read or write,
// and fills it as the kubelet would.
func (b bare) volumes(ctx context.Context, dir string, pod *corev1.Pod) (map[string]string, error) {
	made := map[string]string{}
	for _, v := range pod.Spec.Volumes {
		if v.Projected != nil || v.DownwardAPI != nil {
			continue // the API server's token and Tekton's start signal: no step's own
		}
		files, err := b.content(ctx, pod.Namespace, v)
		if err != nil {
			return nil, fmt.Errorf("volume %q of pod %q: %w", v.Name, pod.Name, err)
		}
		folder := filepath.Join(dir, "volume-"+v.Name)
		if err := makeDir(folder, 0o777); err != nil {
			return nil, err
		}
		if err := fill(folder, files); err != nil {
			return nil, fmt.Errorf("volume %q of pod %q: %w", v.Name, pod.Name, err)
		}
		made[v.Name] = folder
	}
	return made, nil
}

// fill writes files into a folder, by their paths below it.
func fill(folder string, files map[string][]byte) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, content := range files {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// content is what a volume holds when the pod starts.
func (b bare) content(ctx context.Context, namespace string, v corev1.Volume) (map[string][]byte, error) {
	var data map[string][]byte
	var items []corev1.KeyToPath
	var optional *bool
	var err error
	switch {
	case v.EmptyDir != nil:
		return nil, nil
	case v.ConfigMap != nil:
		items, optional = v.ConfigMap.Items, v.ConfigMap.Optional
		data, err = b.configMap(ctx, namespace, v.ConfigMap.Name)
	case v.Secret != nil:
		items, optional = v.Secret.Items, v.Secret.Optional
		data, err = b.secret(ctx, namespace, v.Secret.SecretName)
	default:
		return nil, fmt.Errorf("it is of a kind that cannot be made here")
	}
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	if err != nil || len(items) == 0 {
		return data, err
	}
	picked := map[string][]byte{}
	for _, item := range items {
		content, ok := data[item.Key]
		if ok {
			picked[item.Path] = content
		} else if optional == nil || !*optional {
			return nil, fmt.Errorf("there is no key %q", item.Key)
		}
	}
	return picked, nil
}

func (b bare) configMap(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	var object corev1.ConfigMap
	if err := b.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &object); err != nil {
		return nil, err
	}
	data := maps.Clone(object.BinaryData)
	if data == nil {
		data = map[string][]byte{}
	}
	for key, value := range object.Data {
		data[key] = []byte(value)
	}
	return data, nil
}

func (b bare) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	var object corev1.Secret
	err := b.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &object)
	return object.Data, err
}

// prepare makes everything that a step needs to start, which a warm node has.
func (b bare) prepare(ctx context.Context, root, namespace string, s step, volumes map[string]string) (launch, error) {
	l := launch{Root: root, Dir: s.Dir, UID: s.UID, GID: s.GID, Keep: s.Keep, Locked: s.Locked}
	for _, arg := range s.Argv {
		l.Argv = append(l.Argv, strings.ReplaceAll(arg, b.inside, b.here))
	}
	config, err := unpack(ctx, s.Image, root)
	if err != nil {
		return l, err
	}
	if l.Dir == "" {
		l.Dir = config.WorkingDir
	}
	if l.Dir == "" {
		l.Dir = "/"
	}
	for _, mount := range s.Mounts {
		if volume, ok := volumes[mount.Name]; ok {
			l.Binds = append(l.Binds, bind{filepath.Join(volume, mount.SubPath), mount.MountPath})
		}
	}
	if err := furnish(root, l.Binds); err != nil {
		return l, err
	}
	set, err := b.environment(ctx, namespace, config, s)
	if err != nil {
		return l, err
	}
	for name, value := range set {
		l.Env = append(l.Env, name+"="+strings.ReplaceAll(value, b.inside, b.here))
	}
	return l, b.logIn(ctx, namespace, s, set["HOME"], volumes)
}

// furnish puts into the root what the container runtime and the kubelet put
// into every container. An image's links do not lead it outside.
func furnish(dir string, binds []bind) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, target := range append([]bind{{To: "/proc"}, {To: "/sys"}, {To: "/dev"}, {To: "/etc"}}, binds...) {
		if err := root.MkdirAll(strings.Trim(target.To, "/"), 0o755); err != nil {
			return fmt.Errorf("making %s in the image: %w", target.To, err)
		}
	}
	for _, file := range []string{"etc/resolv.conf", "etc/hosts"} {
		content, err := os.ReadFile("/" + file)
		if err != nil {
			return err
		}
		if err := root.WriteFile(file, content, 0o644); err != nil {
			return fmt.Errorf("writing /%s in the image: %w", file, err)
		}
	}
	return nil
}

// environment is what the container runtime would have set.
func (b bare) environment(ctx context.Context, namespace string, config v1.Config, s step) (map[string]string, error) {
	set := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
	for _, v := range config.Env {
		name, value, _ := strings.Cut(v, "=")
		set[name] = value
	}
	for _, v := range s.Env {
		value := v.Value
		if from := v.ValueFrom; from != nil {
			var data map[string][]byte
			var key string
			var optional *bool
			var err error
			switch {
			case from.ConfigMapKeyRef != nil:
				key, optional = from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional
				data, err = b.configMap(ctx, namespace, from.ConfigMapKeyRef.Name)
			case from.SecretKeyRef != nil:
				key, optional = from.SecretKeyRef.Key, from.SecretKeyRef.Optional
				data, err = b.secret(ctx, namespace, from.SecretKeyRef.Name)
			default:
				return nil, fmt.Errorf("variable %s comes from what is not known here", v.Name)
			}
			_, found := data[key]
			if !found && (err == nil || apierrors.IsNotFound(err)) && optional != nil && *optional {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("variable %s: %w", v.Name, err)
			}
			if !found {
				return nil, fmt.Errorf("variable %s: there is no key %q", v.Name, key)
			}
			value = string(data[key])
		}
		set[v.Name] = value
	}
	return set, nil
}

// logIn writes the step's registry logins where Tekton's entrypoint would.
func (b bare) logIn(ctx context.Context, namespace string, s step, home string, volumes map[string]string) error {
	volume, rest, ok := within(s.Mounts, home)
	if len(s.Logins) == 0 || !ok {
		return nil // a home in the image, which nobody may write to: the pod had no login either
	}
	logins := struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}{map[string]json.RawMessage{}}
	for _, name := range s.Logins {
		data, err := b.secret(ctx, namespace, name)
		if err != nil {
			return fmt.Errorf("reading the login %q: %w", name, err)
		}
		// What is there already stays: Decode adds to the map.
		if err := json.Unmarshal(data[corev1.DockerConfigJsonKey], &logins); err != nil {
			return fmt.Errorf("the login %q is not a docker config", name)
		}
	}
	content, err := json.Marshal(logins)
	if err != nil {
		return err
	}
	folder := volumes[volume]
	for part := range strings.SplitSeq(filepath.Join(rest, ".docker"), "/") {
		folder = filepath.Join(folder, part)
		if err := makeDir(folder, 0o755); err != nil {
			return err
		}
		if err := os.Chown(folder, int(s.UID), int(s.GID)); err != nil {
			return err
		}
	}
	file := filepath.Join(folder, "config.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	return os.Chown(file, int(s.UID), int(s.GID))
}

// makeDir makes a folder of exactly this mode, whatever the umask.
func makeDir(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// sequence runs the tasks of a build bare, one after the other.
func (b bare) sequence(ctx context.Context, runs []tektonv1.TaskRun, pods map[string]*corev1.Pod) ([]task, error) {
	var tasks []task
	for i := range runs {
		run := &runs[i]
		pod, ok := pods[run.Status.PodName]
		if !ok || run.Status.CompletionTime == nil {
			return nil, fmt.Errorf("task run %q has no pod that ended", run.Name)
		}
		timings, err := b.task(ctx, run, pod)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, task{
			Name: run.Labels["tekton.dev/pipelineTask"], Steps: timings,
			Took: run.Status.CompletionTime.Sub(run.CreationTimestamp.Time).Round(time.Second),
		})
	}
	return tasks, nil
}
