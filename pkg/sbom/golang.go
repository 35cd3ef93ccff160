package sbom

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"path"
	"runtime/debug"

	"github.com/package-url/packageurl-go"
)

// elf is how a Linux program begins.
var elf = []byte("\x7fELF")

// goModules are the modules of a Go program, if that is what content is. A
// program is copied to a temporary file, as it has to be read here and there.
func goModules(file string, content io.Reader) ([]Package, error) {
	head := make([]byte, len(elf))
	if _, err := io.ReadFull(content, head); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, nil
		}
		return nil, err
	}
	if !bytes.Equal(head, elf) {
		return nil, nil
	}
	copied, err := os.CreateTemp("", "program-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(copied.Name())
	defer copied.Close()
	if _, err := io.Copy(copied, io.MultiReader(bytes.NewReader(head), content)); err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(copied)
	if err != nil {
		return nil, nil // a program, and not of Go
	}
	found := []Package{modulePackage("stdlib", trimGo(info.GoVersion), file)}
	if info.Main.Path != "" {
		found = append(found, modulePackage(info.Main.Path, released(info.Main.Version), file))
	}
	for _, dep := range info.Deps {
		found = append(found, dependency(dep, file))
	}
	return found, nil
}

func dependency(m *debug.Module, file string) Package {
	if m.Replace != nil {
		m = m.Replace
	}
	return modulePackage(m.Path, released(m.Version), file)
}

// released is a version somebody else can find.
func released(version string) string {
	if version == "(devel)" {
		return ""
	}
	return version
}

func trimGo(version string) string {
	if len(version) > 2 && version[:2] == "go" {
		return version[2:]
	}
	return version
}

func modulePackage(module, version, file string) Package {
	namespace, name := path.Split(module)
	purl := packageurl.NewPackageURL(packageurl.TypeGolang, path.Clean("/" + namespace)[1:], name, version, nil, "")
	return Package{Name: module, Version: version, PURL: purl.ToString(), Location: file}
}
