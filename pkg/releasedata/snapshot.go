package releasedata

import "encoding/json"

// Names of the files in the folder.
const (
	ReleaseFile   = "release.json"
	PlanFile      = "release_plan.json"
	AdmissionFile = "release_plan_admission.json"
	ConfigFile    = "release_service_config.json"
	SnapshotFile  = "snapshot_spec.json"
	DataFile      = "data.json"
	ResultsDir    = "results"

	// SnapshotLabelsFile has what a Snapshot's labels say of it, which its
	// spec does not.
	SnapshotLabelsFile = "snapshot_labels.json"
)

// Component is what is released of a Snapshot's component, and where to. Fields
// that no task of ours knows are kept.
type Component struct {
	Name                string       `json:"name"`
	ContainerImage      string       `json:"containerImage"`
	Source              Source       `json:"source,omitzero"`
	Repositories        []Repository `json:"repositories,omitempty"`
	PushSourceContainer *bool        `json:"pushSourceContainer,omitempty"`

	rest map[string]json.RawMessage
}

// Source is where a component was built from.
type Source struct {
	Git struct {
		URL      string `json:"url,omitempty"`
		Revision string `json:"revision,omitempty"`
	} `json:"git,omitzero"`
}

// Repository is a destination.
type Repository struct {
	URL  string   `json:"url"`
	Tags []string `json:"tags"`
}

// Snapshot is what is released. Fields that no task of ours knows are kept.
type Snapshot struct {
	Components []Component `json:"components"`

	rest map[string]json.RawMessage
}

// UnmarshalJSON keeps what it does not know.
func (c *Component) UnmarshalJSON(raw []byte) error {
	type plain Component
	if err := json.Unmarshal(raw, (*plain)(c)); err != nil {
		return err
	}
	return json.Unmarshal(raw, &c.rest)
}

// MarshalJSON gives back what was kept.
func (c Component) MarshalJSON() ([]byte, error) {
	type plain Component
	// What it was built from never changes, and may say more than Source.
	return known(plain(c), c.rest, "source")
}

// UnmarshalJSON keeps what it does not know.
func (s *Snapshot) UnmarshalJSON(raw []byte) error {
	type plain Snapshot
	if err := json.Unmarshal(raw, (*plain)(s)); err != nil {
		return err
	}
	return json.Unmarshal(raw, &s.rest)
}

// MarshalJSON gives back what was kept.
func (s Snapshot) MarshalJSON() ([]byte, error) {
	type plain Snapshot
	return known(plain(s), s.rest)
}

// Set adds a field that no task of ours knows.
func (c *Component) Set(field string, value json.RawMessage) {
	if c.rest == nil {
		c.rest = map[string]json.RawMessage{}
	}
	c.rest[field] = value
}

// known is a value's JSON over what was kept, except for the fields that stay
// as they were kept.
func known(value any, rest map[string]json.RawMessage, stay ...string) ([]byte, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	for key, field := range rest {
		out[key] = field
	}
	for key, field := range fields {
		out[key] = field
	}
	for _, key := range stay {
		if field, ok := rest[key]; ok {
			out[key] = field
		}
	}
	return json.Marshal(out)
}
