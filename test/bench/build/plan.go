// Package build measures what Tekton costs a build, and what the controllers
// cost while it runs.
//
// A real build runs on the cluster first. Then the steps of its pods run once
// more, one after the other, as plain processes of this machine: the same
// programs out of the same images, with the arguments, environment, user and
// capabilities that the pods had, on the same inputs. What is between the two
// times is the price of pods.
//
// The steps are read from the pods and from nowhere else, so that a Task that
// changes is measured as it is. What cannot be read is an error: a step left
// out would be a better number and a wrong one.
package build

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// step is one step of a TaskRun, as its pod ran it.
type step struct {
	Name   string
	Image  string   // by digest
	Argv   []string // the program and its arguments
	Env    []corev1.EnvVar
	Dir    string // working directory; "" for the image's
	Mounts []corev1.VolumeMount
	UID    uint32
	GID    uint32
	Keep   []string // capabilities, without CAP_
	Logins []string // Secrets with registry logins, for $HOME/.docker/config.json
	Locked bool     // it may not gain privileges
}

// steps reads the steps of a pod that Tekton made, in the order they ran.
func steps(pod *corev1.Pod) ([]step, error) {
	var found []step
	for _, c := range pod.Spec.Containers {
		name, ok := strings.CutPrefix(c.Name, "step-")
		if !ok {
			return nil, fmt.Errorf("pod %q: container %q is not a step, and cannot run bare", pod.Name, c.Name)
		}
		s := step{Name: name, Image: c.Image, Env: c.Env, Dir: c.WorkingDir, Mounts: c.VolumeMounts}
		if err := s.readEntrypoint(c.Args); err != nil {
			return nil, fmt.Errorf("pod %q, step %q: %w", pod.Name, name, err)
		}
		if err := s.readSecurity(pod.Spec.SecurityContext, c.SecurityContext); err != nil {
			return nil, fmt.Errorf("pod %q, step %q: %w", pod.Name, name, err)
		}
		found = append(found, s)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("pod %q has no steps", pod.Name)
	}
	return found, nil
}

// readEntrypoint finds the step's own command line behind the flags of
// Tekton's entrypoint, which starts it.
func (s *step) readEntrypoint(args []string) error {
	for i, arg := range args {
		if secret, ok := strings.CutPrefix(arg, "-docker-config="); ok {
			s.Logins = append(s.Logins, secret)
		}
		if arg != "-entrypoint" {
			continue
		}
		if i+2 >= len(args) || args[i+2] != "--" {
			break
		}
		s.Argv = append([]string{args[i+1]}, args[i+3:]...)
		if strings.HasPrefix(s.Argv[0], "/tekton/scripts/") {
			return fmt.Errorf("it is a script, not a program")
		}
		return nil
	}
	return fmt.Errorf("no -entrypoint PROGRAM -- in its arguments %q", args)
}

// readSecurity finds who the step was, and what it was allowed.
func (s *step) readSecurity(pod *corev1.PodSecurityContext, c *corev1.SecurityContext) error {
	if c == nil || c.Capabilities == nil || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		return fmt.Errorf("its capabilities are those of the container runtime; only a step that drops ALL can be run alike")
	}
	for _, keep := range c.Capabilities.Add {
		s.Keep = append(s.Keep, string(keep))
	}
	s.Locked = c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation
	user, group := c.RunAsUser, c.RunAsGroup
	if pod != nil && user == nil {
		user = pod.RunAsUser
	}
	if pod != nil && group == nil {
		group = pod.RunAsGroup
	}
	if user == nil {
		return fmt.Errorf("no runAsUser says which user it was")
	}
	s.UID = uint32(*user)
	if group != nil {
		s.GID = uint32(*group)
	}
	return nil
}

// within finds the mount that file lies in, the innermost one, and its path
// below it.
func within(mounts []corev1.VolumeMount, file string) (volume, rest string, ok bool) {
	longest := -1
	for _, m := range mounts {
		below, inside := strings.CutPrefix(path.Clean(file)+"/", path.Clean(m.MountPath)+"/")
		if inside && len(m.MountPath) > longest {
			longest, volume, rest = len(m.MountPath), m.Name, path.Join(m.SubPath, below)
		}
	}
	return volume, rest, longest >= 0
}
