// Package v1beta1 holds what people still write as
// appstudio.redhat.com/v1beta1.
//
// The API server keeps it as v1beta2, and serves it as any version, with nothing
// changed: every field of a version is a field of all, so that nothing is lost
// by reading and writing back an object through an older one, and no webhook
// stands between people and what they stored.
//
// +kubebuilder:object:generate=true
// +groupName=appstudio.redhat.com
package v1beta1

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var (
	// GroupVersion is the group and version of these kinds.
	GroupVersion = schema.GroupVersion{Group: "appstudio.redhat.com", Version: "v1beta1"}

	builder = &scheme.Builder{GroupVersion: GroupVersion}

	// AddToScheme makes the kinds known to a scheme.
	AddToScheme = builder.AddToScheme
)
