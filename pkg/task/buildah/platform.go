package buildah

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// platformNames are what platforms call them, and what Go does.
var platformNames = map[string]string{
	"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x",
}

var notInTag = regexp.MustCompile(`[^A-Za-z0-9]`)

// forPlatform checks that the platform is this machine's, and gives the image
// the tag for it. Platforms are as upstream has them: local, linux/x86_64, or
// with a size before the slash, linux-m2xlarge/arm64.
func (o *Options) forPlatform() error {
	if o.Platform == "" {
		if o.ImageAppendPlatform {
			return &taskcli.UsageError{Flag: "platform", Problem: "is empty, and is to end the tag"}
		}
		return nil
	}
	if o.Platform != "local" && o.Platform != "localhost" {
		system, name, ok := strings.Cut(o.Platform, "/")
		arch, known := platformNames[name]
		if !ok || !known || system != "linux" && !strings.HasPrefix(system, "linux-") {
			return &taskcli.UsageError{Flag: "platform", Problem: fmt.Sprintf("%.80q is not known", o.Platform), Fix: "give one such as linux/x86_64, linux/arm64 or local"}
		}
		if arch != runtime.GOARCH {
			return &taskcli.UsageError{
				Flag: "platform", Problem: fmt.Sprintf("%q is not this machine's, linux/%s, and builds on remote hosts are not supported yet", o.Platform, runtime.GOARCH),
				Fix: "take the platform out of param build-platforms, or run the build on a node of that architecture",
			}
		}
	}
	if o.ImageAppendPlatform {
		o.Image += "-" + notInTag.ReplaceAllString(o.Platform, "-")
	}
	return nil
}
