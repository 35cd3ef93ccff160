package snapshotgc

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
)

// Folder is an archive of one JSON file a Snapshot, NAMESPACE/NAME.UID.json.
type Folder struct{ Path string }

// Put writes the Snapshot's file, whole or not at all.
func (f Folder) Put(_ context.Context, s *v1alpha1.Snapshot) error {
	root, err := os.OpenRoot(f.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	kept := s.DeepCopy()
	kept.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Snapshot"))
	kept.ManagedFields = nil
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if err := root.MkdirAll(s.Namespace, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%s/%s.%s.json", s.Namespace, s.Name, s.UID)
	file, err := root.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return err
	}
	// On the disk before the object is deleted.
	if err := file.Sync(); err != nil {
		return err
	}
	return root.Rename(name+".part", name)
}
