package prefetch

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/package-url/packageurl-go"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const (
	documentID = "DOCUMENT"
	unknown    = "NOASSERTION"
)

// writeSBOM writes an SPDX document: the source's modules, and below them what
// was fetched. The digest of the checksums names it, so the same source gives
// the same document; SOURCE_DATE_EPOCH fixes its time as well.
func writeSBOM(file string, mains map[string]checksums, fetched []fetchedModule, digest string) error {
	created, err := now()
	if err != nil {
		return err
	}
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: documentID,
		DocumentName:      "prefetched-dependencies",
		DocumentNamespace: "https://github.com/headrace-ci/headrace/spdx/prefetch-" + digest,
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "headrace-prefetch-dependencies"}},
			Created:  created.UTC().Format(time.RFC3339),
		},
	}
	paths := slices.Sorted(maps.Keys(mains))
	for i, main := range paths {
		pkg := goPackage("main-"+strconv.Itoa(i), main, "")
		pkg.PackageDownloadLocation = unknown
		doc.Packages = append(doc.Packages, pkg)
		doc.Relationships = append(doc.Relationships, relation(documentID, pkg.PackageSPDXIdentifier, common.TypeRelationshipDescribe))
	}
	for i, mod := range fetched {
		pkg := goPackage("module-"+strconv.Itoa(i), mod.Path, mod.Version.Version)
		pkg.PackageDownloadLocation = mod.URL
		pkg.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: mod.SHA256}}
		doc.Packages = append(doc.Packages, pkg)
		for j, main := range paths {
			if _, ok := mains[main][mod.Version]; ok {
				doc.Relationships = append(doc.Relationships, relation(doc.Packages[j].PackageSPDXIdentifier, pkg.PackageSPDXIdentifier, common.TypeRelationshipDependsOn))
			}
		}
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := spdxjson.Write(doc, out); err != nil {
		_ = out.Close() // the writer's error is the one to show
		return fmt.Errorf("writing the SBOM: %w", err)
	}
	return out.Close()
}

func goPackage(id, path, version string) *spdx.Package {
	purl := packageurl.PackageURL{
		Type: packageurl.TypeGolang, Name: path, Version: version,
		Qualifiers: packageurl.QualifiersFromMap(map[string]string{"type": "module"}),
	}
	if namespace, name, ok := cutLast(path); ok {
		purl.Namespace, purl.Name = namespace, name
	}
	return &spdx.Package{
		PackageName: path, PackageVersion: version, PackageSPDXIdentifier: common.ElementID("Package-gomod-" + id),
		PackageLicenseConcluded: unknown, PackageLicenseDeclared: unknown, PackageCopyrightText: unknown,
		PackageSupplier: &common.Supplier{Supplier: unknown},
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl.ToString(),
		}},
	}
}

func cutLast(path string) (before, after string, ok bool) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i], path[i+1:], true
		}
	}
	return "", path, false
}

func relation(from, to common.ElementID, kind string) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.MakeDocElementID("", string(from)), RefB: common.MakeDocElementID("", string(to)), Relationship: kind}
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
