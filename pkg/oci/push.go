package oci

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// CheckPush asks the registry whether a push to the reference would be let in,
// by beginning one and giving it up. It is for work that takes long and ends
// in a push.
func CheckPush(s string) error {
	ref, err := Reference(s)
	if err != nil {
		return err
	}
	t, err := Transport()
	if err != nil {
		return err
	}
	if err := remote.CheckPushPermission(ref, Keychain(), t); err != nil {
		return fmt.Errorf("asking to push to %q: %w", ref.Context(), Explain(err))
	}
	return nil
}
