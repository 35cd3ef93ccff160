package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// EnterpriseContractPolicySpec is what an image must satisfy, as ec reads it.
type EnterpriseContractPolicySpec struct {
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	// PublicKey that signatures are checked with: PEM, or k8s://namespace/secret.
	PublicKey string `json:"publicKey,omitempty"`
	// RekorURL of the transparency log.
	RekorURL string `json:"rekorUrl,omitempty"`
	// Identity of keyless signatures.
	Identity *Identity `json:"identity,omitempty"`
	// Configuration is the old form of a source's config.
	Configuration *EnterpriseContractPolicyConfiguration `json:"configuration,omitempty"`
	// Sources of rules and data.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Sources []Source `json:"sources,omitempty"`
}

// Identity is who may sign without a key.
type Identity struct {
	Subject       string `json:"subject,omitempty"`
	SubjectRegExp string `json:"subjectRegExp,omitempty"`
	Issuer        string `json:"issuer,omitempty"`
	IssuerRegExp  string `json:"issuerRegExp,omitempty"`
}

// EnterpriseContractPolicyConfiguration is the old form of SourceConfig.
type EnterpriseContractPolicyConfiguration struct {
	Include     []string `json:"include,omitempty"`
	Exclude     []string `json:"exclude,omitempty"`
	Collections []string `json:"collections,omitempty"`
}

// Source is rules with the data they work on.
type Source struct {
	Name string `json:"name,omitempty"`
	// Policy are URLs of rules, in go-getter's form.
	// +kubebuilder:validation:MinItems=1
	Policy []string `json:"policy,omitempty"`
	// Data are URLs of data, in go-getter's form.
	Data []string `json:"data,omitempty"`
	// RuleData overrides data of the rules.
	// +kubebuilder:pruning:PreserveUnknownFields
	RuleData       *runtime.RawExtension `json:"ruleData,omitempty"`
	Config         *SourceConfig         `json:"config,omitempty"`
	VolatileConfig *VolatileConfig       `json:"volatileConfig,omitempty"`
}

// SourceConfig picks rules.
type SourceConfig struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// VolatileConfig picks rules for a time or an image.
type VolatileConfig struct {
	// +kubebuilder:validation:MaxItems=1024
	Include []VolatileCriteria `json:"include,omitempty"`
	// +kubebuilder:validation:MaxItems=1024
	Exclude []VolatileCriteria `json:"exclude,omitempty"`
}

// VolatileCriteria is a rule, when and for which image.
//
// +kubebuilder:validation:XValidation:rule="[has(self.imageRef), has(self.imageDigest), has(self.imageUrl), has(self.componentNames)].filter(s, s).size() <= 1",message="set at most one of imageRef, imageDigest, imageUrl and componentNames"
type VolatileCriteria struct {
	Value string `json:"value"`
	// +kubebuilder:validation:Format=date-time
	EffectiveOn string `json:"effectiveOn,omitempty"`
	// +kubebuilder:validation:Format=date-time
	EffectiveUntil string `json:"effectiveUntil,omitempty"`
	// ImageRef is the old name of ImageDigest.
	// +kubebuilder:validation:Pattern=`^sha256:[a-fA-F0-9]{64}$`
	ImageRef string `json:"imageRef,omitempty"`
	// +kubebuilder:validation:Pattern=`^sha256:[a-fA-F0-9]{64}$`
	ImageDigest string `json:"imageDigest,omitempty"`
	// +kubebuilder:validation:MaxLength=512
	ImageURL       string   `json:"imageUrl,omitempty"`
	ComponentNames []string `json:"componentNames,omitempty"`
	Reference      string   `json:"reference,omitempty"`
}

// EnterpriseContractPolicyStatus is empty: nothing reconciles a policy.
type EnterpriseContractPolicyStatus struct{}

// EnterpriseContractPolicy is the rules that images are released by.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ecp
type EnterpriseContractPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              EnterpriseContractPolicySpec   `json:"spec,omitempty"`
	Status            EnterpriseContractPolicyStatus `json:"status,omitempty"`
}

// EnterpriseContractPolicyList is a list of EnterpriseContractPolicies.
//
// +kubebuilder:object:root=true
type EnterpriseContractPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EnterpriseContractPolicy `json:"items"`
}

func init() { builder.Register(&EnterpriseContractPolicy{}, &EnterpriseContractPolicyList{}) }
