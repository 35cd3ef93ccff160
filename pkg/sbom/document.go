package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/package-url/packageurl-go"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const (
	unknown = "NOASSERTION"
	imageID = "image"
	indexID = "image-index"
	tool    = "headrace-attach-sbom"
)

// Marks that policies look for on the packages of other images.
const (
	markBase    = "konflux:container:is_base_image"
	markStage   = "konflux:container:is_builder_image:for_stage"
	markBuilder = "konflux:container:is_builder_image:additional_builder_image"
)

// Base is an image that another was built from.
type Base struct {
	Name, Digest string
	Stage        int
	Final        bool // base of the image itself, not of a stage before
	Copied       bool // only copied from or mounted
}

// Subject is the image that a document is about.
type Subject struct {
	Reference name.Digest
	Tag       string // it was pushed to; may be empty
	Arch      string
	Created   time.Time
}

// Image is the document of one image.
func Image(subject Subject, bases []Base, found []Package, prefetched []*spdx.Package) (*spdx.Document, error) {
	doc := document(subject)
	self := imagePackage(imageID, subject.Reference, subject.Tag, subject.Arch)
	doc.Packages = append(doc.Packages, self)
	doc.Relationships = append(doc.Relationships, relation("DOCUMENT", imageID, common.TypeRelationshipDescribe))
	for i, base := range bases {
		if err := addBase(doc, "base-"+strconv.Itoa(i), base); err != nil {
			return nil, err
		}
	}
	known := map[string]bool{}
	for i, p := range found {
		id := "package-" + strconv.Itoa(i)
		pkg := newPackage(id, p.Name, p.Version, p.PURL)
		pkg.PackageSourceInfo = "found in /" + p.Location
		doc.Packages = append(doc.Packages, pkg)
		doc.Relationships = append(doc.Relationships, relation(imageID, id, common.TypeRelationshipContains))
		known[plain(p.PURL)] = true
	}
	for i, p := range prefetched {
		if known[plain(purlOf(p))] {
			continue // it was found in the image itself
		}
		id := "prefetched-" + strconv.Itoa(i)
		p.PackageSPDXIdentifier = common.ElementID(id)
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, relation(id, imageID, common.TypeRelationshipBuildDependencyOf))
	}
	return doc, nil
}

// Index is the document of an index, whose members have documents of their own.
func Index(subject Subject, members []Subject) *spdx.Document {
	doc := document(subject)
	doc.Packages = append(doc.Packages, imagePackage(indexID, subject.Reference, subject.Tag, ""))
	doc.Relationships = append(doc.Relationships, relation("DOCUMENT", indexID, common.TypeRelationshipDescribe))
	for i, m := range members {
		id := "image-" + strconv.Itoa(i)
		doc.Packages = append(doc.Packages, imagePackage(id, m.Reference, "", m.Arch))
		doc.Relationships = append(doc.Relationships, relation(id, indexID, common.TypeRelationshipVariantOf))
	}
	return doc
}

// Prefetched reads the packages of a document that a prefetch wrote, without
// the source's own.
func Prefetched(r io.Reader) ([]*spdx.Package, error) {
	var doc spdx.Document
	if err := spdxjson.ReadInto(r, &doc); err != nil {
		return nil, fmt.Errorf("reading the SBOM of prefetched dependencies: %w", err)
	}
	described := map[common.ElementID]bool{}
	for _, r := range doc.Relationships {
		if r.Relationship == common.TypeRelationshipDescribe {
			described[r.RefB.ElementRefID] = true
		}
	}
	var packages []*spdx.Package
	for _, p := range doc.Packages {
		if !described[p.PackageSPDXIdentifier] {
			packages = append(packages, p)
		}
	}
	return packages, nil
}

func document(subject Subject) *spdx.Document {
	sum := sha256.Sum256([]byte(subject.Reference.String()))
	return &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      subject.Reference.String(),
		DocumentNamespace: "https://github.com/headrace-ci/headrace/spdx/" + hex.EncodeToString(sum[:]),
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: tool}},
			Created:  subject.Created.UTC().Format(time.RFC3339),
		},
	}
}

func imagePackage(id string, ref name.Digest, tag, arch string) *spdx.Package {
	qualifiers := map[string]string{"repository_url": ref.Context().Name()}
	if arch != "" {
		qualifiers["arch"] = arch
	}
	base := path.Base(ref.Context().RepositoryStr())
	purl := packageurl.NewPackageURL(packageurl.TypeOCI, "", base, ref.DigestStr(), packageurl.QualifiersFromMap(qualifiers), "")
	pkg := newPackage(id, base, tag, purl.ToString())
	pkg.PackageDownloadLocation = unknown
	pkg.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: ref.DigestStr()[len("sha256:"):]}}
	return pkg
}

func addBase(doc *spdx.Document, id string, base Base) error {
	ref, err := name.ParseReference(base.Name)
	if err != nil {
		return fmt.Errorf("base image %q: %w", base.Name, err)
	}
	tag := ""
	if t, ok := ref.(name.Tag); ok {
		tag = t.TagStr()
	}
	pkg := imagePackage(id, ref.Context().Digest(base.Digest), tag, "")
	mark, value, kind := markStage, strconv.Itoa(base.Stage), common.TypeRelationshipBuildToolOf
	switch {
	case base.Final:
		mark, value = markBase, "true"
	case base.Copied:
		mark, value = markBuilder, "true"
	}
	comment, err := json.Marshal(struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}{mark, value})
	if err != nil {
		return err
	}
	pkg.Annotations = []spdx.Annotation{{
		Annotator:      common.Annotator{AnnotatorType: "Tool", Annotator: "konflux:jsonencoded"},
		AnnotationDate: doc.CreationInfo.Created, AnnotationType: "OTHER", AnnotationComment: string(comment),
	}}
	doc.Packages = append(doc.Packages, pkg)
	if base.Final {
		doc.Relationships = append(doc.Relationships, relation(imageID, id, common.TypeRelationshipDescendantOf))
	} else {
		doc.Relationships = append(doc.Relationships, relation(id, imageID, kind))
	}
	return nil
}

func newPackage(id, name, version, purl string) *spdx.Package {
	return &spdx.Package{
		PackageName: name, PackageVersion: version, PackageSPDXIdentifier: common.ElementID(id),
		PackageDownloadLocation: unknown, PackageLicenseConcluded: unknown, PackageLicenseDeclared: unknown,
		PackageCopyrightText: unknown, PackageSupplier: &common.Supplier{Supplier: unknown},
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl,
		}},
	}
}

func relation(from, to, kind string) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.MakeDocElementID("", from), RefB: common.MakeDocElementID("", to), Relationship: kind}
}

func purlOf(p *spdx.Package) string {
	for _, ref := range p.PackageExternalReferences {
		if ref.RefType == common.TypePackageManagerPURL {
			return ref.Locator
		}
	}
	return ""
}

// plain is a package URL without what says where it came from.
func plain(purl string) string {
	p, err := packageurl.FromString(purl)
	if err != nil {
		return purl
	}
	p.Qualifiers, p.Subpath = nil, ""
	return p.ToString()
}
