package test

import (
	"context"
	"crypto"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/headrace-ci/headrace/pkg/apis/v1alpha1"
	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/releasedata"
	"github.com/headrace-ci/headrace/pkg/task/applymapping"
	"github.com/headrace-ci/headrace/pkg/task/collectdata"
	"github.com/headrace-ci/headrace/pkg/task/collecttaskparams"
	"github.com/headrace-ci/headrace/pkg/task/pushsnapshot"
	"github.com/headrace-ci/headrace/pkg/task/reducesnapshot"
	"github.com/headrace-ci/headrace/pkg/task/signimage"
	"github.com/headrace-ci/headrace/pkg/task/updatecrstatus"
	"github.com/headrace-ci/headrace/test/fixture"
)

// release is a release in front of its tasks: objects, a registry with what
// was built, a key.
type release struct {
	client   client.Client
	registry string
	images   map[string]name.Digest // built, by component
	keyDir   string
	pair     *cosign.KeysBytes

	artifact string // the release's data, as the last task left it
}

const commit = "0123456789abcdef0123456789abcdef01234567"

func raw(t *testing.T, value any) *runtime.RawExtension {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return &runtime.RawExtension{Raw: text}
}

func newRelease(t *testing.T) *release {
	t.Helper()
	r := &release{registry: fixture.Registry(t), images: map[string]name.Digest{}, keyDir: t.TempDir()}
	for _, component := range []string{"server", "page", "internal"} {
		r.images[component] = r.build(t, component)
	}
	var err error
	if r.pair, err = cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte("secret"), nil }); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{"cosign.key": r.pair.PrivateBytes, "cosign.password": []byte("secret")} {
		if err := os.WriteFile(filepath.Join(r.keyDir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r.client = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Release{}).WithObjects(r.objects(t)...).Build()
	return r
}

func (r *release) objects(t *testing.T) []client.Object {
	t.Helper()
	in := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	snapshot := &v1alpha1.Snapshot{ObjectMeta: in("team", "snap"), Spec: v1alpha1.SnapshotSpec{Application: "app"}}
	for _, component := range []string{"server", "page", "internal"} {
		snapshot.Spec.Components = append(snapshot.Spec.Components, v1alpha1.SnapshotComponent{
			Name: component, ContainerImage: r.images[component].Name(),
			Source: v1alpha1.ComponentSource{Git: &v1alpha1.GitSource{URL: "https://git.test/app", Revision: commit}},
		})
	}
	repository := func(name string) []map[string]any {
		return []map[string]any{{"url": r.registry + "/released/" + name}}
	}
	return []client.Object{
		&v1alpha1.Release{ObjectMeta: in("team", "rel"), Spec: v1alpha1.ReleaseSpec{
			Snapshot: "snap", ReleasePlan: "plan", Data: raw(t, map[string]any{"who": "release", "list": []string{"a"}}),
		}},
		&v1alpha1.ReleasePlan{ObjectMeta: in("team", "plan"), Spec: v1alpha1.ReleasePlanSpec{
			Application: "app", Data: raw(t, map[string]any{"who": "plan", "list": []string{"b", "a"}}),
		}},
		&v1alpha1.ReleasePlanAdmission{ObjectMeta: in("managed", "app"), Spec: v1alpha1.ReleasePlanAdmissionSpec{
			Origin: "team", Policy: "policy", Data: raw(t, map[string]any{
				"who":  "admission",
				"sign": map[string]any{"cosignSecretName": "key"},
				"mapping": map[string]any{
					"components": []map[string]any{
						{"name": "server", "repositories": repository("server"), "tags": []string{"v1"}},
						{"name": "page", "repositories": repository("page"), "note": "kept"},
						{"name": "elsewhere", "repositories": repository("elsewhere")},
					},
					"defaults": map[string]any{"tags": []string{"{{ git_short_sha }}", "latest"}},
				},
			}),
		}},
		&v1alpha1.ReleaseServiceConfig{ObjectMeta: in("system", "config")},
		snapshot,
	}
}

// build pushes an image as the builder leaves it: signed, and with a report
// that is nobody else's business.
func (r *release) build(t *testing.T, component string) name.Digest {
	t.Helper()
	repo, err := name.NewRepository(r.registry + "/team/" + component)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	var digest v1.Hash
	if component == "server" { // for two platforms
		other, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image}, mutate.IndexAddendum{Add: other})
		if err := remote.WriteIndex(repo.Tag("1"), index); err != nil {
			t.Fatal(err)
		}
		if digest, err = index.Digest(); err != nil {
			t.Fatal(err)
		}
	} else {
		if err := remote.Write(repo.Tag("1"), image); err != nil {
			t.Fatal(err)
		}
		if digest, err = image.Digest(); err != nil {
			t.Fatal(err)
		}
	}
	ref := repo.Digest(digest.String())
	if err := oci.AppendSignature(t.Context(), ref, mutate.Addendum{
		Layer: static.NewLayer([]byte("{}"), oci.SignatureType), MediaType: oci.SignatureType,
		Annotations: map[string]string{oci.SignatureKey: "builder"},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := oci.Attach(t.Context(), ref, "application/sarif+json", "report", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	return ref
}

// folder is a task's own, from what the last left.
func (r *release) folder(t *testing.T, tag string) releasedata.Folder {
	t.Helper()
	return releasedata.Folder{Dir: filepath.Join(t.TempDir(), "release"), Source: r.artifact, Storage: r.registry + "/released/data", Tag: tag}
}

func (r *release) did(t *testing.T, values map[string]string, err error) map[string]string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	r.artifact = values[releasedata.ResultName]
	return values
}

func (r *release) collect(t *testing.T) map[string]string {
	t.Helper()
	values, err := collectdata.Run(t.Context(), collectdata.Options{
		Folder: r.folder(t, "collect"), Release: "team/rel", Plan: "team/plan", Admission: "managed/app",
		Config: "system/config", Snapshot: "team/snap", Subdirectory: "sub", Client: r.client,
	})
	return r.did(t, values, err)
}

func (r *release) push(t *testing.T, collected map[string]string) {
	t.Helper()
	values, err := pushsnapshot.Run(t.Context(), pushsnapshot.Options{
		Folder: r.folder(t, "push"), SnapshotPath: collected["snapshotSpec"], DataPath: collected["data"],
		ResultsDirPath: collected["resultsDir"], ConcurrentLimit: 2,
	})
	r.did(t, values, err)
	values, err = signimage.Run(t.Context(), signimage.Options{
		Folder: r.folder(t, "sign"), SnapshotPath: collected["snapshotSpec"], SecretName: "key", KeyDir: r.keyDir,
	})
	r.did(t, values, err)
}

// TestRelease runs the tasks of push-to-external-registry one after the other,
// but for the policy, which needs ec.
func TestRelease(t *testing.T) {
	r := newRelease(t)

	collected := r.collect(t)
	params, err := collecttaskparams.Run(t.Context(), collecttaskparams.Options{
		Folder: r.folder(t, ""), DataPath: collected["data"],
		Keys: `[{"resultIndex":1,"key":".who"},{"resultIndex":0,"key":".sign.cosignSecretName","default":""},{"resultIndex":2,"key":".none","default":"d"},{"resultIndex":3,"key":".list"}]`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := params["extractedValues"], `["key","admission","d","[\"a\",\"b\"]"]`; got != want {
		t.Errorf("extractedValues = %s, want %s", got, want)
	}
	values, err := reducesnapshot.Run(t.Context(), reducesnapshot.Options{
		Folder: r.folder(t, "reduce"), Snapshot: collected["snapshotSpec"], SnapshotPath: collected["snapshotSpec"],
		SingleComponent: collected["singleComponentMode"], CustomResource: "snapshot/snap", CustomResourceNS: "team",
	})
	r.did(t, values, err)
	values, err = applymapping.Run(t.Context(), applymapping.Options{
		Folder: r.folder(t, "map"), SnapshotPath: collected["snapshotSpec"], DataPath: collected["data"], FailOnEmptyResult: true,
	})
	if mapped := r.did(t, values, err)["mapped"]; mapped != "true" {
		t.Errorf("mapped = %q", mapped)
	}
	mapped := r.artifact
	r.push(t, collected)

	r.checkTags(t)
	r.checkSignatures(t)
	err = updatecrstatus.Run(t.Context(), updatecrstatus.Options{
		Folder: r.folder(t, ""), ResourceType: "release", StatusKey: "artifacts", Resource: "team/rel",
		ResultsDirPath: collected["resultsDir"], Client: r.client,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.checkStatus(t)

	before := r.signatures(t)
	r.artifact = mapped
	r.push(t, collected)
	if diff := cmp.Diff(before, r.signatures(t)); diff != "" {
		t.Errorf("doing it again changed the signatures (-before +after):\n%s", diff)
	}
}

func (r *release) released(component string) name.Digest {
	repo, err := name.NewRepository(r.registry + "/released/" + component)
	if err != nil {
		panic(err) // the name is ours
	}
	return repo.Digest(r.images[component].DigestStr())
}

func (r *release) checkTags(t *testing.T) {
	t.Helper()
	for component, want := range map[string][]string{"server": {commit[:7], "latest", "v1"}, "page": {commit[:7], "latest"}} {
		tags, err := remote.List(r.released(component).Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tag := range tags {
			if !strings.HasPrefix(tag, "sha256-") {
				got = append(got, tag)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tags of %s (-want +got):\n%s", component, diff)
		}
		for _, tag := range got {
			at, err := oci.Digest(t.Context(), r.released(component).Context().Tag(tag).Name())
			if err != nil || at.DigestStr() != r.images[component].DigestStr() {
				t.Errorf("%s:%s is %v, %v", component, tag, at, err)
			}
		}
		referrers, err := remote.Referrers(r.released(component))
		if err != nil {
			t.Fatal(err)
		}
		if index, err := referrers.IndexManifest(); err != nil || len(index.Manifests) != 0 {
			t.Errorf("%s was released with a report of the build: %v, %v", component, index, err)
		}
	}
	if tags, err := remote.List(r.released("internal").Context()); err == nil {
		t.Errorf("a component that is not mapped was released: %v", tags)
	}
}

// checkSignatures asks cosign.
func (r *release) checkSignatures(t *testing.T) {
	t.Helper()
	key, err := cryptoutils.UnmarshalPEMToPublicKey(r.pair.PublicBytes)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for _, component := range []string{"server", "page"} {
		manifests, err := oci.Manifests(t.Context(), r.released(component))
		if err != nil {
			t.Fatal(err)
		}
		for _, manifest := range manifests {
			found, _, err := cosign.VerifyImageSignatures(t.Context(), manifest, &cosign.CheckOpts{
				SigVerifier: verifier, IgnoreTlog: true, IgnoreSCT: true, ClaimVerifier: cosign.SimpleClaimVerifier, Offline: true,
			})
			if err != nil {
				t.Errorf("%s: %v", manifest, err)
			}
			want := map[string]int{"server": 3, "page": 2}[component]
			if len(found) != want {
				t.Errorf("%s has %d signatures of the release, want one for each of %d tags", manifest, len(found), want)
			}
		}
	}
}

// signatures are those of the released images, the builder's among them.
func (r *release) signatures(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, component := range []string{"server", "page"} {
		list, err := remote.Image(oci.EvidenceTag(r.released(component), ".sig"))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := list.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, layer := range manifest.Layers {
			all[component] = append(all[component], layer.Annotations[oci.SignatureKey])
		}
		if !slices.Contains(all[component], "builder") {
			t.Errorf("%s lost the builder's signature", component)
		}
	}
	return all
}

func (r *release) checkStatus(t *testing.T) {
	t.Helper()
	var found v1alpha1.Release
	if err := r.client.Get(context.Background(), client.ObjectKey{Namespace: "team", Name: "rel"}, &found); err != nil {
		t.Fatal(err)
	}
	if found.Status.Artifacts == nil {
		t.Fatal("the Release's status has no artifacts")
	}
	var artifacts struct{ Images []pushsnapshot.Pushed }
	if err := json.Unmarshal(found.Status.Artifacts.Raw, &artifacts); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, image := range artifacts.Images {
		if image.Digest != r.images[image.Name].DigestStr() {
			t.Errorf("%s is recorded as %s", image.Name, image.Digest)
		}
		got = append(got, image.URLs...)
	}
	want := []string{
		r.registry + "/released/server:v1", r.registry + "/released/server:latest", r.registry + "/released/server:" + commit[:7],
		r.registry + "/released/page:latest", r.registry + "/released/page:" + commit[:7],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("URLs (-want +got):\n%s", diff)
	}
}
