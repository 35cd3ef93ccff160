package prefetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

const (
	documentID = "DOCUMENT"
	unknown    = "NOASSERTION"
	// annotator is what policies for Konflux look for on a property.
	annotator = "hermeto:jsonencoded"
)

// document is an SBOM in the making.
type document struct {
	*spdx.Document
	ids map[string]common.ElementID // of packages, by what they are
}

// writeSBOM writes an SPDX document: the source's packages, and below them what
// was fetched. Its content names it, so the same source gives the same
// document; SOURCE_DATE_EPOCH fixes its time as well.
func writeSBOM(file string, results []*ecosystem.Result) error {
	created, err := now()
	if err != nil {
		return err
	}
	doc := document{ids: map[string]common.ElementID{}, Document: &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: documentID,
		DocumentName: "prefetched-dependencies",
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "headrace-prefetch-dependencies"}},
			Created:  created.UTC().Format(time.RFC3339),
		},
	}}
	for _, result := range results {
		if err := doc.add(result); err != nil {
			return err
		}
	}
	doc.DocumentNamespace = "https://github.com/headrace-ci/headrace/spdx/prefetch-" + doc.digest()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := spdxjson.Write(doc.Document, out); err != nil {
		_ = out.Close() // the writer's error is the one to show
		return fmt.Errorf("writing the SBOM: %w", err)
	}
	return out.Close()
}

func (d document) add(result *ecosystem.Result) error {
	var mains []common.ElementID
	for _, c := range result.Main {
		id, isNew, err := d.component(c)
		if err != nil {
			return err
		}
		if isNew {
			d.relate(documentID, id, common.TypeRelationshipDescribe)
		}
		mains = append(mains, id)
	}
	seen := map[common.ElementID]bool{}
	for _, c := range result.Components {
		id, _, err := d.component(c)
		if err != nil {
			return err
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		for _, main := range mains {
			d.relate(main, id, common.TypeRelationshipDependsOn)
		}
	}
	return nil
}

// digest names the set of components.
func (d document) digest() string {
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(d.ids)) {
		fmt.Fprintln(sum, key)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// component adds a component, unless another input had the same.
func (d document) component(c ecosystem.Component) (id common.ElementID, isNew bool, err error) {
	key := c.PURL + " " + c.SHA256
	if id, ok := d.ids[key]; ok {
		return id, false, nil
	}
	id = common.ElementID("Package-" + strconv.Itoa(len(d.ids)))
	d.ids[key] = id
	pkg := &spdx.Package{
		PackageName: c.Name, PackageVersion: c.Version, PackageSPDXIdentifier: id,
		PackageDownloadLocation: unknown, PackageLicenseConcluded: unknown, PackageLicenseDeclared: unknown,
		PackageCopyrightText: unknown, PackageSupplier: &common.Supplier{Supplier: unknown},
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: c.PURL,
		}},
	}
	if c.URL != "" {
		pkg.PackageDownloadLocation = c.URL
	}
	if c.SHA256 != "" {
		pkg.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: c.SHA256}}
	}
	for _, p := range c.Properties {
		comment, err := json.Marshal(map[string]string{"name": p.Name, "value": p.Value})
		if err != nil {
			return id, false, err
		}
		pkg.Annotations = append(pkg.Annotations, spdx.Annotation{
			Annotator:      common.Annotator{AnnotatorType: "Tool", Annotator: annotator},
			AnnotationDate: d.CreationInfo.Created, AnnotationType: "OTHER", AnnotationComment: string(comment),
		})
	}
	d.Packages = append(d.Packages, pkg)
	return id, true, nil
}

func (d document) relate(from, to common.ElementID, kind string) {
	d.Relationships = append(d.Relationships, &spdx.Relationship{
		RefA: common.MakeDocElementID("", string(from)), RefB: common.MakeDocElementID("", string(to)), Relationship: kind,
	})
}

// now is the time to write into documents.
func now() (time.Time, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Now(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is not seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0), nil
}
