package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/headrace-ci/headrace/pkg/run"
)

// sourcesHost is the git server's name inside the cluster.
const (
	sourcesNamespace = "demo-sources"
	sourcesHost      = "http://sources." + sourcesNamespace + ".svc.cluster.local"
)

// Fetch brings here what the components' builds will ask of the module proxy.
// It is the demo's only step that needs the network, so it stands alone.
func Fetch(ctx context.Context, cache string, components []Component) error {
	for _, component := range components {
		if component.Prefetch == "" {
			continue
		}
		dir := component.Repo
		if dir == "" {
			dir = filepath.Join(cache, "fetch", component.Name)
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			if err := os.CopyFS(dir, component.Files); err != nil {
				return err
			}
		}
		// Every module of go.sum, not only those this platform compiles: the
		// prefetch task asks for all of them.
		env := []string{"GOMODCACHE=" + filepath.Join(cache, "gomodcache"), "GOFLAGS=-modcacherw"}
		if err := run.InDir(ctx, dir, env, "go", "mod", "download", "all"); err != nil {
			return fmt.Errorf("fetching the modules of %q: %w", component.Name, err)
		}
	}
	return nil
}

// Prepare puts in place what the journeys need: base images, the git server
// and module proxy, the team's and the release team's objects. Doing it twice
// changes nothing.
func (d *Demo) Prepare(ctx context.Context) error {
	if err := d.PrepareBuilds(ctx); err != nil {
		return err
	}
	selfTest, err := d.pushSelfTest(ctx)
	if err != nil {
		return err
	}
	d.say("applying the team's application, tests and release plan, and the release team's admission and policy")
	v, err := d.values(selfTest)
	if err != nil {
		return err
	}
	if err := d.releaseSecrets(ctx); err != nil {
		return err
	}
	if err := d.apply(ctx, "managed.yaml", v); err != nil {
		return err
	}
	return d.apply(ctx, "tenant.yaml", v)
}

// PrepareBuilds puts in place what builds of the components need, and nothing
// of what becomes of them.
func (d *Demo) PrepareBuilds(ctx context.Context) error {
	if err := d.pushGolang(ctx); err != nil {
		return err
	}
	if err := d.deploySources(ctx); err != nil {
		return err
	}
	return d.buildSecrets(ctx)
}

func (d *Demo) deploySources(ctx context.Context) error {
	modules := filepath.Join(d.Cache, "gomodcache", "cache", "download")
	if err := os.MkdirAll(modules, 0o755); err != nil {
		return err
	}
	image, err := d.pushSources(ctx, modules)
	if err != nil {
		return err
	}
	d.say("starting the git server and the module proxy")
	if err := d.apply(ctx, "sources.yaml", values{"SOURCES_IMAGE": image}); err != nil {
		return err
	}
	login := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: sourcesNamespace, Name: "git-login"}}
	login.StringData = map[string]string{"login": "demo:" + rand.Text()}
	if err := d.client.Create(ctx, login); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the git server's login: %w", err)
	}
	var deployment appsv1.Deployment
	return d.until(ctx, "the git server to be ready", func() (bool, error) {
		key := client.ObjectKey{Namespace: sourcesNamespace, Name: "sources"}
		if err := d.client.Get(ctx, key, &deployment); err != nil {
			return false, err
		}
		s := deployment.Status
		return s.ObservedGeneration == deployment.Generation && s.UpdatedReplicas == 1 && s.ReadyReplicas == 1 && s.Replicas == 1, nil
	})
}

func (d *Demo) login(ctx context.Context) (*githttp.BasicAuth, error) {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: sourcesNamespace, Name: "git-login"}
	if err := d.client.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("reading the git server's login: %w", err)
	}
	user, password, _ := strings.Cut(string(secret.Data["login"]), ":")
	return &githttp.BasicAuth{Username: user, Password: password}, nil
}

// buildSecrets gives the builds a login of their own and their module proxy.
func (d *Demo) buildSecrets(ctx context.Context) error {
	for _, component := range d.Components {
		if err := d.dockerconfig(ctx, d.Tenant, "push-"+component.Name, d.BuildAuth); err != nil {
			return err
		}
	}
	return d.upsert(ctx, &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Tenant, Name: "prefetch-config"},
		Data:       map[string]string{"goproxy": sourcesHost + "/modules"},
	})
}

// releaseSecrets gives the release a login of its own and its signing key.
func (d *Demo) releaseSecrets(ctx context.Context) error {
	if err := d.dockerconfig(ctx, d.Managed, "push-released", d.ReleaseAuth); err != nil {
		return err
	}
	if err := d.linkSecret(ctx, d.Managed, "release-service-account", "push-released"); err != nil {
		return err
	}
	return d.signingKey(ctx)
}

func (d *Demo) dockerconfig(ctx context.Context, namespace, name, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the registry login for %s/%s: %w", namespace, name, err)
	}
	return d.upsert(ctx, &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: content},
	})
}

// linkSecret lists the secret in the service account, where Tekton and Chains
// look for registry logins.
func (d *Demo) linkSecret(ctx context.Context, namespace, account, secret string) error {
	var sa corev1.ServiceAccount
	if err := d.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: account}, &sa); err != nil {
		return fmt.Errorf("linking secret %q to service account %s/%s: %w", secret, namespace, account, err)
	}
	for _, ref := range sa.Secrets {
		if ref.Name == secret {
			return nil
		}
	}
	before := sa.DeepCopy()
	sa.Secrets = append(sa.Secrets, corev1.ObjectReference{Name: secret})
	return d.client.Patch(ctx, &sa, client.MergeFrom(before))
}

func (d *Demo) upsert(ctx context.Context, object client.Object) error {
	err := d.client.Create(ctx, object)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	return d.client.Update(ctx, object)
}

// values fills the manifests of the team and the release team.
func (d *Demo) values(selfTest string) (values, error) {
	type repository struct {
		URL string `json:"url"`
	}
	type mapped struct {
		Name         string       `json:"name"`
		Repositories []repository `json:"repositories"`
	}
	var mapping []mapped
	v := values{
		"REGISTRY": d.Registry, "TENANT": d.Tenant, "MANAGED": d.Managed, "APPLICATION": d.Application, "AUTHOR": "demo-team",
		"PUBLIC_KEY": publicKey, "PIPELINE_SELF_TEST": selfTest, "COMPILED_COMPONENT": "none",
		"PIPELINE_ENTERPRISE_CONTRACT":       d.lock.pipeline("enterprise-contract"),
		"PIPELINE_PUSH_TO_EXTERNAL_REGISTRY": d.lock.pipeline("push-to-external-registry"),
	}
	for _, component := range d.Components {
		mapping = append(mapping, mapped{component.Name, []repository{{d.released(component)}}})
		if component.Program != "" {
			v["COMPILED_COMPONENT"] = component.Name
		}
	}
	policy, err := json.Marshal(d.lock.policy())
	if err != nil {
		return nil, err
	}
	components, err := json.Marshal(mapping)
	if err != nil {
		return nil, err
	}
	v["POLICY_SPEC"], v["MAPPING"] = string(policy), string(components)
	return v, nil
}

func (d *Demo) released(c Component) string { return d.Registry + "/released/" + c.Name }
func (d *Demo) image(c Component) string    { return d.Registry + "/" + d.Tenant + "/" + c.Name }
func (d *Demo) gitURL(c Component) string   { return sourcesHost + "/git/demo/" + c.Name + ".git" }
