package verifyconforma

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/taskcli"
	"github.com/headrace-ci/headrace/pkg/tekton/snapshotparam"
)

// Options are the params that say what to verify, and by what.
type Options struct {
	Images, ImagesFile                  string
	Policy, PublicKey, RekorHost        string
	ExtraRuleData                       string
	TUFMirror, SingleComponent, Workers string
	Dir                                 string

	// Client reads policies and keys; the one of the pod when nil.
	Client client.Reader
	// Cluster is where a Snapshot is that is given by name; the pod's when zero.
	Cluster snapshotparam.Cluster
}

// Prepare writes the files that ec reads.
func Prepare(ctx context.Context, opts Options) error {
	if err := opts.unsupported(); err != nil {
		return err
	}
	slog.DebugContext(ctx, "ec decides by itself how many images to look at at once", "workers", opts.Workers)
	text, err := opts.images(ctx)
	if err != nil {
		return err
	}
	spec, err := readSpec(text)
	if err != nil {
		return err
	}
	images, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	policy, err := opts.policy(ctx)
	if err != nil {
		return err
	}
	key, err := opts.key(ctx, policy.PublicKey)
	if err != nil {
		return err
	}
	// The key goes to ec as a file; a policy that names it by Secret would make
	// ec ask the API server.
	policy.PublicKey = ""
	if opts.RekorHost != "" {
		policy.RekorURL = opts.RekorHost
	}
	if err := addRuleData(policy, opts.ExtraRuleData); err != nil {
		return err
	}
	if err := localize(ctx, policy, opts.Dir); err != nil {
		return err
	}
	rules, err := json.Marshal(policy)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{imagesFile: images, policyFile: rules, keyFile: key} {
		if err := write(opts.path(name), content); err != nil {
			return err
		}
	}
	return nil
}

// images is the Snapshot's spec: given as it is, by name, or in a file.
func (o *Options) images(ctx context.Context) ([]byte, error) {
	if o.ImagesFile != "" {
		text, err := os.ReadFile(o.ImagesFile)
		if err != nil {
			return nil, fmt.Errorf("reading the Snapshot: %w", err)
		}
		return text, nil
	}
	if o.Cluster == (snapshotparam.Cluster{}) {
		o.Cluster = snapshotparam.Here()
	}
	return o.Cluster.Spec(ctx, o.Images)
}

func (o Options) unsupported() error {
	switch {
	case o.TUFMirror != "":
		return &taskcli.UsageError{Flag: "tuf-mirror", Problem: "keyless signatures are not supported yet", Fix: "leave param TUF_MIRROR empty and give PUBLIC_KEY"}
	case o.SingleComponent == "true":
		return &taskcli.UsageError{Flag: "single-component", Problem: "looking at one component only is not supported yet", Fix: "leave param SINGLE_COMPONENT at false"}
	}
	return nil
}

// policy returns the policy's spec: given as it is, or by name.
func (o *Options) policy(ctx context.Context) (*v1alpha1.EnterpriseContractPolicySpec, error) {
	if strings.HasPrefix(strings.TrimSpace(o.Policy), "{") {
		var spec v1alpha1.EnterpriseContractPolicySpec
		if err := json.Unmarshal([]byte(o.Policy), &spec); err != nil {
			return nil, &taskcli.UsageError{Flag: "policy-configuration", Problem: "is not the spec of an EnterpriseContractPolicy: " + err.Error()}
		}
		return &spec, nil
	}
	namespace, name, ok := strings.Cut(o.Policy, "/")
	if !ok || name == "" || strings.ContainsAny(name, "/:") {
		return nil, &taskcli.UsageError{Flag: "policy-configuration", Problem: fmt.Sprintf("%q is neither namespace/name of an EnterpriseContractPolicy nor its spec as JSON", o.Policy)}
	}
	reader, err := o.reader()
	if err != nil {
		return nil, err
	}
	var policy v1alpha1.EnterpriseContractPolicy
	if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &policy); err != nil {
		return nil, fmt.Errorf("reading EnterpriseContractPolicy %s: %w", o.Policy, err)
	}
	return &policy.Spec, nil
}

// key returns the public key as PEM. The param wins over the policy.
func (o *Options) key(ctx context.Context, ofPolicy string) ([]byte, error) {
	from := o.PublicKey
	if from == "" {
		from = ofPolicy
	}
	if from == "" {
		return nil, &taskcli.UsageError{Flag: "public-key", Problem: "is empty, and so is publicKey of the policy", Fix: "give k8s://namespace/secret of the key that Tekton Chains signs with"}
	}
	var content []byte
	rest, inCluster := strings.CutPrefix(from, "k8s://")
	switch {
	case inCluster:
		namespace, name, _ := strings.Cut(rest, "/")
		reader, err := o.reader()
		if err != nil {
			return nil, err
		}
		var secret corev1.Secret
		if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &secret); err != nil {
			return nil, fmt.Errorf("reading public key %s: %w", from, err)
		}
		content = secret.Data["cosign.pub"]
	case strings.HasPrefix(from, "-----BEGIN"):
		content = []byte(from)
	default:
		var err error
		if content, err = os.ReadFile(from); err != nil {
			return nil, fmt.Errorf("reading public key: %w", err)
		}
	}
	if block, _ := pem.Decode(content); block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("public key %s is not a PEM block of type PUBLIC KEY", strings.SplitN(from, "\n", 2)[0])
	}
	return content, nil
}

func (o *Options) reader() (client.Reader, error) {
	if o.Client != nil {
		return o.Client, nil
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	o.Client, err = client.New(config, client.Options{Scheme: scheme})
	return o.Client, err
}

// addRuleData gives every source more rule data.
func addRuleData(policy *v1alpha1.EnterpriseContractPolicySpec, pairs string) error {
	for pair := range strings.SplitSeq(pairs, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || key == "" {
			return &taskcli.UsageError{Flag: "extra-rule-data", Problem: fmt.Sprintf("%q is not key=value", pair)}
		}
		for i := range policy.Sources {
			if err := setRuleData(&policy.Sources[i], key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func setRuleData(source *v1alpha1.Source, key, value string) error {
	data := map[string]any{}
	if source.RuleData != nil {
		if err := json.Unmarshal(source.RuleData.Raw, &data); err != nil {
			return fmt.Errorf("ruleData of policy source %q: %w", source.Name, err)
		}
	}
	data[key] = value
	raw, err := json.Marshal(data)
	source.RuleData = &runtime.RawExtension{Raw: raw}
	return err
}
