package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/apis/v1beta2"
)

// Whole is what Snapshots are of, an Application or a ComponentGroup, with
// the candidate of each of its parts: the global candidate list.
type Whole struct {
	Application, ComponentGroup string   // one of the two
	Parts                       []Part   // by name and version, each pair once
	Unknown                     []string // nested groups that there are not, by name
}

// Part is a component, or a version of one.
type Part struct {
	Name, Version string
	Image, Commit string // the candidate; empty before the first build
	Source        v1alpha1.ComponentSource
}

type pair struct{ name, version string }

// Name of the Application or ComponentGroup.
func (w Whole) Name() string { return cmp.Or(w.Application, w.ComponentGroup) }

// Kind is the kind of object that Name names.
func (w Whole) Kind() string {
	if w.Application != "" {
		return "Application"
	}
	return "ComponentGroup"
}

// Of reports whether a Snapshot is of this whole.
func (w Whole) Of(s *v1alpha1.Snapshot) bool {
	return s.Spec.Application == w.Application && s.Spec.ComponentGroup == w.ComponentGroup
}

// Has reports whether a component, or a version of it, is a part.
func (w Whole) Has(name, version string) bool { return w.find(name, version) != nil }

func (w Whole) find(name, version string) *Part {
	i, ok := slices.BinarySearchFunc(w.Parts, pair{name, version}, func(p Part, want pair) int { return compare(pair{p.Name, p.Version}, want) })
	if !ok {
		return nil
	}
	return &w.Parts[i]
}

func compare(a, b pair) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.version, b.version))
}

// label makes a Snapshot one of this whole's.
func (w Whole) label(s *v1alpha1.Snapshot) {
	delete(s.Labels, ApplicationLabel)
	delete(s.Labels, ComponentGroupLabel)
	if w.Application != "" {
		s.Labels[ApplicationLabel] = w.Application
	} else {
		s.Labels[ComponentGroupLabel] = w.ComponentGroup
	}
}

// OfApplication is an application with those of components that belong to it
// and are not being deleted.
func OfApplication(name string, components []v1alpha1.Component) Whole {
	w := Whole{Application: name}
	for i := range components {
		c := &components[i]
		if c.Spec.Application != name || c.DeletionTimestamp != nil {
			continue
		}
		w.Parts = append(w.Parts, Part{
			Name: c.Name, Image: c.Status.LastPromotedImage, Commit: c.Status.LastBuiltCommit, Source: sourceOf(c),
		})
	}
	w.sort()
	return w
}

func sourceOf(c *v1alpha1.Component) v1alpha1.ComponentSource {
	git := v1alpha1.GitSource{}
	if c.Spec.Source.Git != nil {
		git = *c.Spec.Source.Git
	}
	if git.URL == "" {
		git.URL = c.Spec.Source.URL
	}
	git.Revision = ""
	return v1alpha1.ComponentSource{Git: &git}
}

func (w Whole) sort() {
	slices.SortFunc(w.Parts, func(a, b Part) int { return compare(pair{a.Name, a.Version}, pair{b.Name, b.Version}) })
}

// maxNesting is how deep groups may be nested.
const maxNesting = 15

// OfGroup is a group with the parts of all groups that it nests. Of a version
// that is in several, the group's own candidate goes before those of groups in
// it, and among these the one that was built last. It fails with a *Refusal on
// a cycle and on too deep a nesting.
func OfGroup(name string, groups []v1beta2.ComponentGroup) (Whole, error) {
	n := nest{groups: map[string]*v1beta2.ComponentGroup{}, done: map[string]*nested{}, unknown: map[string]bool{}}
	for i := range groups {
		n.groups[groups[i].Name] = &groups[i]
	}
	found, err := n.flatten(name, nil)
	if err != nil {
		return Whole{}, err
	}
	w := Whole{ComponentGroup: name, Unknown: slices.Sorted(maps.Keys(n.unknown))}
	for _, e := range found.entries {
		w.Parts = append(w.Parts, e.part)
	}
	w.sort()
	return w, nil
}

// Alone is a group without the groups that it nests: what it has candidates of.
func Alone(group *v1beta2.ComponentGroup) Whole {
	w := Whole{ComponentGroup: group.Name}
	for _, e := range own(group) {
		w.Parts = append(w.Parts, e.part)
	}
	w.sort()
	return w
}

// nest is one walk over groups in groups.
type nest struct {
	groups  map[string]*v1beta2.ComponentGroup
	done    map[string]*nested // each group once, however often it is nested
	unknown map[string]bool
}

type nested struct {
	entries map[pair]entry
	height  int
}

type entry struct {
	part  Part
	built int64 // of the candidate, Unix seconds
}

func (n *nest) flatten(name string, path []string) (*nested, error) {
	if slices.Contains(path, name) {
		return nil, Refuse(NestingInvalid, "ComponentGroup %s contains itself, by way of %s: remove one of them from spec.components",
			name, strings.Join(append(path, name), ", "))
	}
	if found := n.done[name]; found != nil {
		return found, nil
	}
	group := n.groups[name]
	if group == nil {
		n.unknown[name] = true
		return &nested{}, nil
	}
	path = append(path, name)
	found := &nested{entries: map[pair]entry{}}
	for _, member := range group.Spec.Components {
		if !member.IsGroup() {
			continue
		}
		child, err := n.flatten(member.Name, path)
		if err != nil {
			return nil, err
		}
		found.height = max(found.height, child.height+1)
		for key, e := range child.entries {
			if had, ok := found.entries[key]; !ok || e.before(had) {
				found.entries[key] = e
			}
		}
	}
	if found.height > maxNesting {
		return nil, Refuse(NestingInvalid, "ComponentGroup %s nests groups more than %d deep: name their components in it, or leave out a level",
			path[0], maxNesting)
	}
	for key, e := range own(group) {
		// What was never built here may have been built for a group in it.
		if had, ok := found.entries[key]; !ok || e.part.Image != "" || had.part.Image == "" {
			found.entries[key] = e
		}
	}
	n.done[name] = found
	return found, nil
}

// before reports whether a candidate is taken before another one of the same
// version. Of two that were built at once it is always the same one.
func (e entry) before(o entry) bool {
	return cmp.Or(cmp.Compare(o.built, e.built), strings.Compare(o.part.Image, e.part.Image)) < 0
}

// own are the versions that a group itself names.
func own(group *v1beta2.ComponentGroup) map[pair]entry {
	entries := map[pair]entry{}
	for _, member := range group.Spec.Components {
		if member.IsGroup() || member.ComponentVersion == nil {
			continue
		}
		key := pair{member.Name, member.ComponentVersion.Name}
		entries[key] = entry{part: Part{Name: key.name, Version: key.version,
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{Context: member.ComponentVersion.Context}}}}
	}
	for _, state := range group.Status.GlobalCandidateList {
		key := pair{state.Name, state.Version}
		e, ok := entries[key]
		if !ok {
			continue
		}
		e.part.Image, e.part.Commit, e.part.Source.Git.URL = state.LastPromotedImage, state.LastPromotedCommit, state.URL
		if state.LastPromotedBuildTime != nil {
			e.built = state.LastPromotedBuildTime.Unix()
		}
		entries[key] = e
	}
	return entries
}

// Containing are the groups that name a version of a component themselves, by
// name.
func Containing(groups []v1beta2.ComponentGroup, component, version string) []string {
	var names []string
	for i := range groups {
		if _, ok := own(&groups[i])[pair{component, version}]; ok && groups[i].DeletionTimestamp == nil {
			names = append(names, groups[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

// Parents are the groups that a group is nested in directly, by name.
func Parents(groups []v1beta2.ComponentGroup, child string) []string {
	var names []string
	for i := range groups {
		nests := slices.ContainsFunc(groups[i].Spec.Components, func(r v1beta2.ComponentReference) bool { return r.IsGroup() && r.Name == child })
		if nests && groups[i].DeletionTimestamp == nil {
			names = append(names, groups[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

// Nests reports whether a group has groups among its members.
func Nests(group *v1beta2.ComponentGroup) bool {
	return slices.ContainsFunc(group.Spec.Components, v1beta2.ComponentReference.IsGroup)
}

// GroupCondition says on a group whether Snapshots can be put together from it;
// err is why not, of [OfGroup].
func GroupCondition(w Whole, err error) metav1.Condition {
	c := metav1.Condition{Type: "Valid", Status: metav1.ConditionTrue, Reason: "Valid", Message: fmt.Sprintf("it holds %d versions of components", len(w.Parts))}
	switch {
	case err != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, NestingInvalid, err.Error()
	case len(w.Unknown) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, GroupUnknown
		c.Message = fmt.Sprintf("there is no ComponentGroup %s: create it, or take it out of spec.components; until then Snapshots are made without it",
			strings.Join(w.Unknown, ", "))
	}
	return c
}
