package prefetchdependencies

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// maxConcurrency is how many downloads at a time are still polite.
const maxConcurrency = 64

// readConfig takes from the settings what there is a use for. The module proxy
// is not: it would be the project's own word on where its modules come from.
func (o *Options) readConfig() error {
	var settings map[string]any
	if err := yaml.Unmarshal([]byte(o.ConfigFileContent), &settings); err != nil {
		return &taskcli.UsageError{Flag: "config-file-content", Problem: fmt.Sprintf("not YAML: %v", err)}
	}
	if _, ok := settings["goproxy_url"]; ok {
		slog.Warn("setting goproxy_url is ignored: the cluster says which proxy is used")
		delete(settings, "goproxy_url")
	}
	if limit, ok := settings["concurrency_limit"]; ok {
		number, ok := limit.(float64)
		if !ok || number < 1 || number != float64(int(number)) {
			return &taskcli.UsageError{Flag: "config-file-content", Problem: fmt.Sprintf("concurrency_limit %v is not a whole number above 0", limit)}
		}
		o.Concurrency = min(int(number), maxConcurrency)
		delete(settings, "concurrency_limit")
	}
	if len(settings) > 0 {
		return &taskcli.UsageError{
			Flag:    "config-file-content",
			Problem: fmt.Sprintf("settings %q are not supported", slices.Sorted(maps.Keys(settings))),
			Fix:     "concurrency_limit is supported",
		}
	}
	return nil
}
