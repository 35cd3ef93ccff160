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

// ignored are settings of upstream's tool that ask for nothing here, each with
// the reason.
var ignored = map[string]string{
	"goproxy_url":                    "the cluster says which proxy is used",
	"gomod.proxy_url":                "the cluster says which proxy is used",
	"gomod_download_max_tries":       "flag --attempts says how often",
	"gomod.download_max_tries":       "flag --attempts says how often",
	"http.connect_timeout":           "a server is given up after three minutes without a byte",
	"http.read_timeout":              "a server is given up after three minutes without a byte",
	"requests_timeout":               "a server is given up after three minutes without a byte",
	"http.max_retries":               "flag --attempts says how often",
	"runtime.subprocess_timeout":     "no other program is run",
	"subprocess_timeout":             "no other program is run",
	"mode":                           "param mode says it, where policies can see it",
	"yarn.enabled":                   "yarn always is",
	"allow_yarnberry_processing":     "yarn always is",
	"pip.ignore_dependencies_crates": "crates in Python packages are not looked for",
	"ignore_pip_dependencies_crates": "crates in Python packages are not looked for",
}

// readConfig takes from the settings what there is a use for. A proxy is not:
// it would be the project's own word on where its dependencies come from.
func (o *Options) readConfig() error {
	var nested map[string]any
	if err := yaml.Unmarshal([]byte(o.ConfigFileContent), &nested); err != nil {
		return &taskcli.UsageError{Flag: "config-file-content", Problem: fmt.Sprintf("not YAML: %v", err)}
	}
	settings := map[string]any{}
	for key, value := range nested {
		group, ok := value.(map[string]any)
		if !ok {
			settings[key] = value
		}
		for name, value := range group {
			settings[key+"."+name] = value
		}
	}
	for _, key := range []string{"concurrency_limit", "runtime.concurrency_limit"} {
		limit, ok := settings[key]
		if !ok {
			continue
		}
		number, ok := limit.(float64)
		if !ok || number < 1 || number != float64(int(number)) {
			return &taskcli.UsageError{Flag: "config-file-content", Problem: fmt.Sprintf("%s %v is not a whole number above 0", key, limit)}
		}
		o.Concurrency = min(int(number), maxConcurrency)
		delete(settings, key)
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if why, ok := ignored[key]; ok {
			slog.Warn("setting is ignored", "setting", key, "why", why)
			delete(settings, key)
		}
	}
	if len(settings) > 0 {
		return &taskcli.UsageError{
			Flag:    "config-file-content",
			Problem: fmt.Sprintf("settings %q are not supported", slices.Sorted(maps.Keys(settings))),
			Fix:     "runtime.concurrency_limit is supported",
		}
	}
	return nil
}
