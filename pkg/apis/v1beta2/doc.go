// Package v1beta2 holds the kinds of appstudio.redhat.com/v1beta2, field for
// field as Konflux has them.
//
// What one object can get wrong by itself is refused by the API server: the
// rules stand at the fields as CEL, and each message names the field and what
// to write instead.
//
// +kubebuilder:object:generate=true
// +groupName=appstudio.redhat.com
package v1beta2

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var (
	// GroupVersion is the group and version of these kinds.
	GroupVersion = schema.GroupVersion{Group: "appstudio.redhat.com", Version: "v1beta2"}

	builder = &scheme.Builder{GroupVersion: GroupVersion}

	// AddToScheme makes the kinds known to a scheme.
	AddToScheme = builder.AddToScheme
)
