package pipeline

import tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

// enterpriseContract holds a Snapshot to a policy, as an integration test.
func enterpriseContract() *tektonv1.Pipeline {
	verify := task("verify", "verify-enterprise-contract", with(
		"IMAGES", "$(params.SNAPSHOT)", "POLICY_CONFIGURATION", "$(params.POLICY_CONFIGURATION)",
		"PUBLIC_KEY", "$(params.PUBLIC_KEY)", "SSL_CERT_DIR", "$(params.SSL_CERT_DIR)", "STRICT", "$(params.STRICT)",
		"EFFECTIVE_TIME", "$(params.EFFECTIVE_TIME)", "EXTRA_RULE_DATA", "$(params.EXTRA_RULE_DATA)",
		"WORKERS", "$(params.WORKERS)", "SINGLE_COMPONENT", "$(params.SINGLE_COMPONENT)", "IGNORE_REKOR", "true",
		"CA_TRUST_CONFIGMAP_NAME", "$(params.CA_TRUST_CONFIGMAP_NAME)", "CA_TRUST_CONFIG_MAP_KEY", "$(params.CA_TRUST_CONFIG_MAP_KEY)",
	))
	return named("enterprise-contract", "0.1.1", map[string]string{"build.appstudio.redhat.com/pipeline": "enterprise-contract"},
		tektonv1.PipelineSpec{
			Description: "Holds every image of a Snapshot to a policy.",
			Params: []tektonv1.ParamSpec{
				param("SNAPSHOT", "The Snapshot's spec as JSON, or its name."),
				param("POLICY_CONFIGURATION", "Policy: namespace/name of an EnterpriseContractPolicy, or its spec as JSON.", "enterprise-contract-service/default"),
				param("PUBLIC_KEY", "Key of the signatures: PEM, a file, or k8s://namespace/secret; the policy's when empty.", ""),
				param("SSL_CERT_DIR", "Folder of more certificates to trust.", ""),
				param("CA_TRUST_CONFIGMAP_NAME", "ConfigMap with certificates to trust.", "trusted-ca"),
				param("CA_TRUST_CONFIG_MAP_KEY", "Key of the certificates in the ConfigMap.", "ca-bundle.crt"),
				param("WORKERS", "Images to look at at once.", "2"),
				param("EXTRA_RULE_DATA", "More rule data, as key=value separated by commas.", ""),
				param("SINGLE_COMPONENT", "Look at one component only.", "false"),
				param("STRICT", "Fail when the policy is not satisfied.", "true"),
				param("EFFECTIVE_TIME", "Time to apply the rules at.", "now"),
			},
			Tasks:   []tektonv1.PipelineTask{verify},
			Results: []tektonv1.PipelineResult{result("TEST_OUTPUT", "$(tasks.verify.results.TEST_OUTPUT)")},
		})
}
