package ecosystemcertpreflightchecks

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/headrace-ci/headrace/pkg/oci"
	"github.com/headrace-ci/headrace/pkg/sbom"
)

// subject is an image, and how the user named it.
type subject struct {
	oci.Image
	named name.Reference
}

// check is one of the certification's checks, under its name there.
type check struct {
	name string
	fix  string
	run  func(subject) (problem string, err error) // "" when it passes
}

// checks are those that an image itself can answer.
var checks = []check{
	{"HasRequiredLabel", "add the labels in the Containerfile", requiredLabels},
	{"HasUniqueTag", "tag the image with a version, not only as latest", uniqueTag},
	{"RunAsNonRoot", "add USER with another user than root to the Containerfile", nonRoot},
	{"LayerCountAcceptable", "join RUN instructions, or squash", layerCount},
	{"HasLicense", "put the licences as files into /licenses of the image", license},
	{"HasNoProhibitedPackages", "take out packages that may not be redistributed", packages},
}

// notMade are the certification's checks that ask for more: a catalogue of base
// images, the files of packages as they were, a list of trademarks.
var notMade = []string{"BasedOnUbi", "HasModifiedFiles", "HasNoProhibitedLabels", "HasProhibitedContainerName"}

var labels = []string{"name", "vendor", "version", "release", "summary", "description", "maintainer"}

func requiredLabels(s subject) (string, error) {
	config, err := s.ConfigFile()
	if err != nil {
		return "", err
	}
	missing := slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return config.Config.Labels[l] != "" })
	if len(missing) > 0 {
		return "labels " + strings.Join(missing, ", ") + " are missing", nil
	}
	return "", nil
}

func uniqueTag(s subject) (string, error) {
	if tag, ok := s.named.(name.Tag); ok && tag.TagStr() == "latest" {
		return "the image is tagged latest", nil
	}
	return "", nil
}

func nonRoot(s subject) (string, error) {
	config, err := s.ConfigFile()
	if err != nil {
		return "", err
	}
	user, _, _ := strings.Cut(config.Config.User, ":")
	switch user {
	case "":
		return "the image names no user, and runs as root", nil
	case "root", "0":
		return "the image runs as root", nil
	}
	return "", nil
}

// maxLayers is how many layers certification accepts.
const maxLayers = 40

func layerCount(s subject) (string, error) {
	layers, err := s.Layers()
	if err != nil {
		return "", err
	}
	if len(layers) > maxLayers {
		return fmt.Sprintf("the image has %d layers, more than %d", len(layers), maxLayers), nil
	}
	return "", nil
}

// licenseDir is where certification looks for licences.
const licenseDir = "licenses"

func license(s subject) (string, error) {
	found, err := hasFileBelow(s.Image, licenseDir)
	if err != nil || found {
		return "", err
	}
	return "there is no file in /" + licenseDir, nil
}

// prohibited are packages that certification does not let anybody hand on.
var prohibited = []string{
	"grub", "grub2", "kernel", "kernel-core", "kernel-debug", "kernel-debug-core", "kernel-debug-modules",
	"kernel-debug-modules-extra", "kernel-debug-devel", "kernel-devel", "kernel-doc", "kernel-modules",
	"kernel-modules-extra", "kernel-tools", "kernel-tools-libs", "kmod-kvdo", "linux-firmware",
}

const prohibitedPrefix = "kpatch"

func packages(s subject) (string, error) {
	all, err := sbom.Scan(s.Image)
	if err != nil {
		return "", err
	}
	return judgePackages(all), nil
}

func judgePackages(all []sbom.Package) string {
	var found []string
	for _, p := range all {
		if strings.HasPrefix(p.PURL, "pkg:rpm/") && (slices.Contains(prohibited, p.Name) || strings.HasPrefix(p.Name, prohibitedPrefix)) {
			found = append(found, p.Name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return "the image has " + strings.Join(found, ", ")
}

// How a layer says that something of the layers below is gone.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// hasFileBelow reports whether an image has a file with content below a folder
// of its root. It goes through the layers from the top: what one has or takes
// away is settled for those below.
func hasFileBelow(image v1.Image, dir string) (bool, error) {
	layers, err := image.Layers()
	if err != nil {
		return false, err
	}
	settled := map[string]bool{} // files, and folders with all below
	for _, layer := range slices.Backward(layers) {
		found, here, err := filesBelow(layer, dir, settled)
		if err != nil || found {
			return found, err
		}
		for _, p := range here {
			settled[p] = true
		}
		if settled[dir] || settled[""] {
			return false, nil
		}
	}
	return false, nil
}

// filesBelow reads one layer, and lists what it settles for those below.
func filesBelow(layer v1.Layer, dir string, settled map[string]bool) (found bool, here []string, err error) {
	stream, err := layer.Uncompressed()
	if err != nil {
		return false, nil, err
	}
	defer stream.Close()
	for archive := tar.NewReader(stream); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found, here, nil
		}
		if err != nil {
			return false, nil, err
		}
		file := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		parent, base := path.Split(file)
		parent = strings.TrimSuffix(parent, "/")
		below := strings.HasPrefix(file, dir+"/")
		switch {
		case base == opaque:
			here = append(here, parent)
		case strings.HasPrefix(base, whiteout):
			here = append(here, path.Join(parent, strings.TrimPrefix(base, whiteout)))
		case file == dir && header.Typeflag != tar.TypeDir:
			here = append(here, dir) // a link or a file where the folder was
		case below && header.Typeflag == tar.TypeReg && header.Size > 0 && !hidden(file, settled):
			found = true
		case below && header.Typeflag != tar.TypeDir:
			here = append(here, file)
		}
	}
}

// hidden reports whether a layer above settled the file or a folder it is in.
func hidden(file string, settled map[string]bool) bool {
	for ; file != "." && file != ""; file = path.Dir(file) {
		if settled[file] {
			return true
		}
	}
	return settled[""]
}
