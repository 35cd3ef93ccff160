// Package v1alpha1 holds the kinds of konflux-ci.dev/v1alpha1, field for field
// as Konflux has them: those that moved to that group so far.
//
// +kubebuilder:object:generate=true
// +groupName=konflux-ci.dev
package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var (
	// GroupVersion is the group and version of these kinds.
	GroupVersion = schema.GroupVersion{Group: "konflux-ci.dev", Version: "v1alpha1"}

	builder = &scheme.Builder{GroupVersion: GroupVersion}

	// AddToScheme makes the kinds known to a scheme.
	AddToScheme = builder.AddToScheme
)
