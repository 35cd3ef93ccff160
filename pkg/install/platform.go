package install

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// adaptTekton turns Tekton's own manifests into ours.
func adaptTekton(objects []*unstructured.Unstructured, trusted edit) ([]*unstructured.Unstructured, error) {
	// Needs a metrics server, and scales what has one replica for a reason.
	objects = slices.DeleteFunc(objects, func(u *unstructured.Unstructured) bool {
		return u.GetKind() == "HorizontalPodAutoscaler"
	})
	for _, u := range objects {
		if u.GetKind() != "ConfigMap" || u.GetName() != "feature-flags" {
			continue
		}
		if err := setData(u, map[string]string{
			"coschedule":                  "disabled", // no volume is shared between our tasks
			"enable-provenance-in-status": "true",     // Chains and the release gate read where a task came from
			"set-security-context":        "true",     // Tekton's own containers then pass PodSecurity restricted
		}); err != nil {
			return nil, err
		}
	}
	if err := quickLeases(objects); err != nil {
		return nil, err
	}
	return adaptDeployments(objects, trusted, quickProbes, func(d *appsv1.Deployment) {
		if d.Name == "tekton-pipelines-remote-resolvers" {
			// Upstream starts it through an init program that our base lacks:
			// only the git resolver, which runs git, leaves children behind.
			d.Spec.Template.Spec.Containers[0].Command = []string{"/ko-app/resolvers"}
		}
	})
}

// chainsConfig is what makes Chains sign as Konflux does: the image from the
// task that built it, the provenance once, from the whole PipelineRun, both
// beside the image, and nothing in a public log.
var chainsConfig = map[string]string{
	"artifacts.taskrun.format":                     "in-toto",
	"artifacts.taskrun.storage":                    "",
	"artifacts.pipelinerun.format":                 "in-toto",
	"artifacts.pipelinerun.storage":                "oci",
	"artifacts.pipelinerun.enable-deep-inspection": "true",
	"artifacts.oci.format":                         "simplesigning",
	"artifacts.oci.storage":                        "oci",
	"transparency.enabled":                         "false",
}

// adaptChains turns Chains' own manifests into ours.
func adaptChains(objects []*unstructured.Unstructured, trusted edit) ([]*unstructured.Unstructured, error) {
	// Its Secret is empty; the key is made on the cluster, and applying the
	// empty one over it would be a way to lose it.
	objects = slices.DeleteFunc(objects, func(u *unstructured.Unstructured) bool {
		return u.GetKind() == "Secret" && u.GetName() == signingSecret
	})
	for _, u := range objects {
		switch {
		case u.GetKind() == "ConfigMap" && u.GetName() == "chains-config":
			if err := setData(u, chainsConfig); err != nil {
				return nil, err
			}
		case u.GetKind() == "Namespace":
			labels := u.GetLabels()
			labels["pod-security.kubernetes.io/enforce"] = "restricted"
			u.SetLabels(labels)
		}
	}
	if err := quickLeases(objects); err != nil {
		return nil, err
	}
	return adaptDeployments(objects, trusted, quickProbes, restricted)
}

// quickLeases has work go on 15 seconds after a controller was killed, as
// Kubernetes' own do, and not after a minute.
func quickLeases(objects []*unstructured.Unstructured) error {
	for _, u := range objects {
		if u.GetKind() != "ConfigMap" || !strings.Contains(u.GetName(), "config-leader-election") {
			continue
		}
		if err := setData(u, map[string]string{"lease-duration": "15s", "renew-deadline": "10s", "retry-period": "2s"}); err != nil {
			return err
		}
	}
	return nil
}

// quickProbes lets a program be ready when it is, not five seconds later.
func quickProbes(d *appsv1.Deployment) {
	for i := range d.Spec.Template.Spec.Containers {
		if probe := d.Spec.Template.Spec.Containers[i].ReadinessProbe; probe != nil {
			probe.InitialDelaySeconds, probe.PeriodSeconds = 1, 1
			probe.FailureThreshold = 10
		}
	}
}

// restricted adds what PodSecurity restricted asks for.
func restricted(d *appsv1.Deployment) {
	yes, no := true, false
	for i := range d.Spec.Template.Spec.Containers {
		c := &d.Spec.Template.Spec.Containers[i]
		if c.SecurityContext == nil {
			c.SecurityContext = &corev1.SecurityContext{}
		}
		c.SecurityContext.RunAsNonRoot, c.SecurityContext.AllowPrivilegeEscalation = &yes, &no
		c.SecurityContext.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
		c.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
}
