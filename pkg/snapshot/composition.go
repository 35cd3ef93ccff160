package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Reasons of an omission.
const (
	NeverBuilt    = "NeverBuilt"
	ImageNoDigest = "ImageWithoutDigest"
	SourceUnknown = "SourceUnknown"
)

// Fresh is an image that was just built, as the part of a Snapshot.
func (w Whole) Fresh(component, version string, built Built) v1alpha1.SnapshotComponent {
	git := v1alpha1.GitSource{}
	if part := w.find(component, version); part != nil && part.Source.Git != nil {
		git = *part.Source.Git
	}
	git.URL, git.Revision = built.URL, built.Commit
	if built.Context != "" {
		git.Context = built.Context
	}
	return v1alpha1.SnapshotComponent{
		Name: component, Version: version, ContainerImage: built.Image, Source: v1alpha1.ComponentSource{Git: &git},
	}
}

// Compose is what a Snapshot holds: of each part the fresh image, and where
// there is none its candidate; by name and version, so that two can be
// compared. A part with neither is left out, with the reason.
func (w Whole) Compose(fresh ...v1alpha1.SnapshotComponent) ([]v1alpha1.SnapshotComponent, []v1alpha1.OmittedComponent) {
	news := map[pair]v1alpha1.SnapshotComponent{}
	for _, c := range fresh {
		news[pair{c.Name, c.Version}] = c
	}
	var components []v1alpha1.SnapshotComponent
	var omitted []v1alpha1.OmittedComponent
	for _, part := range w.Parts {
		c, ok := news[pair{part.Name, part.Version}]
		if !ok {
			c = part.candidate()
		}
		if reason, message := lacks(c); reason != "" {
			omitted = append(omitted, v1alpha1.OmittedComponent{Name: part.Name, Version: part.Version, Reason: reason, Message: message})
			continue
		}
		components = append(components, c)
	}
	for _, group := range w.Unknown {
		omitted = append(omitted, v1alpha1.OmittedComponent{Name: group, Reason: GroupUnknown,
			Message: "there is no ComponentGroup of that name: create it, or take it out of spec.components"})
	}
	return components, omitted
}

func (p Part) candidate() v1alpha1.SnapshotComponent {
	c := v1alpha1.SnapshotComponent{Name: p.Name, Version: p.Version, ContainerImage: p.Image}
	git := v1alpha1.GitSource{}
	if p.Source.Git != nil {
		git = *p.Source.Git
	}
	git.Revision = p.Commit
	c.Source = v1alpha1.ComponentSource{Git: &git}
	return c
}

// lacks is why an image can be no part of a Snapshot, empty when it can.
func lacks(c v1alpha1.SnapshotComponent) (reason, message string) {
	if c.ContainerImage == "" {
		return NeverBuilt, "it has no image yet: its first push build brings one"
	}
	if _, err := name.NewDigest(c.ContainerImage); err != nil {
		return ImageNoDigest, fmt.Sprintf("its image %q is not named by digest, as repository@sha256:…: build it again", c.ContainerImage)
	}
	if c.Source.Git == nil || c.Source.Git.URL == "" || c.Source.Git.Revision == "" {
		return SourceUnknown, "the git repository and commit of its image are not known: build it again"
	}
	return "", ""
}

// maxText bounds a text in an annotation.
const maxText = 16 << 10

// explain writes on a Snapshot what it does not hold.
func explain(s *v1alpha1.Snapshot, omitted []v1alpha1.OmittedComponent) {
	if len(omitted) == 0 {
		return
	}
	var texts, names []string
	for _, o := range omitted {
		name := o.Name
		if o.Version != "" {
			name += "/" + o.Version
		}
		names = append(names, name)
		texts = append(texts, name+" ("+o.Message+")")
	}
	s.Annotations[CreatedAnnotation] = clip("left out: " + strings.Join(texts, ", "))
	if list, err := json.Marshal(names); err == nil && len(list) <= maxText {
		s.Annotations[MissingAnnotation] = string(list)
	}
}

func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// FreshOf are the images that a Snapshot was made for, those that come before
// candidates in a Snapshot that follows from it: what was built, what pull
// requests changed, or all that a person named.
func FreshOf(s *v1alpha1.Snapshot) []v1alpha1.SnapshotComponent {
	var wanted []pair
	switch s.Labels[TypeLabel] {
	case ComponentType:
		wanted = []pair{{s.Labels[ComponentLabel], s.Annotations[VersionKey]}}
	case GroupType:
		for _, member := range ParseGroupInfo(s.Annotations[GroupInfoAnnotation]) {
			wanted = append(wanted, pair{member.Component, member.Version})
		}
	default:
		return s.Spec.Components
	}
	var fresh []v1alpha1.SnapshotComponent
	for _, c := range s.Spec.Components {
		if slices.Contains(wanted, pair{c.Name, c.Version}) {
			fresh = append(fresh, c)
		}
	}
	return fresh
}
