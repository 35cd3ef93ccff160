package buildah

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// unused is a param that upstream has and that changes nothing here. A value
// that asks for something is refused: a build that quietly does less than its
// pipeline says is worse than none.
type unused struct {
	flag, standard, usage string
	same                  []string // further values that ask for nothing either
	why                   string   // another value is refused
}

const (
	noSubscription = "builds do not register with a subscription service"
	ownScanner     = "what the image holds is read by a scanner of our own"
)

var unusedParams = []unused{
	{flag: "activation-key", standard: "activation-key", usage: "Secret with a subscription's activation key; not supported", why: noSubscription},
	{flag: "entitlement-secret", standard: "etc-pki-entitlement", usage: "Secret with a subscription's certificates; not supported", why: noSubscription},
	{flag: "rhsm-mount-ca-certs", standard: "auto", usage: "Whether to mount a subscription service's certificates; never done", same: []string{"never"}, why: noSubscription},
	{flag: "contextualize-sbom", standard: "true", usage: "Tell which packages came with the base image; not done yet", same: []string{"false"}, why: "neither true nor false"},
	{flag: "icm-keep-compat-location", standard: "true", usage: "Where to put build information into the image; none is put there yet", same: []string{"false"}, why: "neither true nor false"},
	{flag: "skip-injections", standard: "false", usage: "Put no build information into the image; none is put there yet", same: []string{"true"}, why: "neither true nor false"},
	{flag: "proxy-ca-trust-config-map-key", standard: "ca-bundle.crt", usage: "Key of a proxy's certificates; not supported", why: "a proxy's certificates belong into the ConfigMap of param caTrustConfigMapName"},
	{flag: "proxy-ca-trust-config-map-name", standard: "caching-ca-bundle", usage: "ConfigMap with a proxy's certificates; not supported", why: "a proxy's certificates belong into the ConfigMap of param caTrustConfigMapName"},
	{flag: "sbom-skip-validation", standard: "true", usage: "Do not validate the SBOM; it is made by a library that writes valid ones only", why: "there is no separate validation"},
	{flag: "sbom-source-scan-enabled", standard: "true", usage: "List packages of the source too; not done, prefetched ones are listed", same: []string{"false"}, why: "neither true nor false"},
	{flag: "sbom-syft-select-catalogers", usage: "Which scanners to use; not supported", why: ownScanner},
	{flag: "workingdir-mount", usage: "Where RUN sees the source mounted; not supported", why: "COPY what a RUN needs, or use RUN --mount=type=bind"},
	{flag: "yum-repos-d-fetched", standard: "fetched.repos.d", usage: "Folder of the source with fetched repository files; not supported", why: "repository files of prefetched RPMs are used where the prefetch left them"},
}

func addUnused(f *pflag.FlagSet) map[string]*string {
	values := map[string]*string{}
	for _, u := range unusedParams {
		values[u.flag] = f.String(u.flag, u.standard, u.usage)
	}
	return values
}

func checkUnused(values map[string]*string) error {
	for _, u := range unusedParams {
		value := values[u.flag]
		if value == nil || *value == u.standard || slices.Contains(u.same, *value) {
			continue
		}
		return &taskcli.UsageError{
			Flag: u.flag, Problem: fmt.Sprintf("%q is not supported: %s", *value, u.why),
			Fix: fmt.Sprintf("leave the param at %q", u.standard),
		}
	}
	return nil
}
