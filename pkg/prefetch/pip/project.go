package pip

import (
	"path"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/package-url/packageurl-go"

	"github.com/headrace-ci/headrace/pkg/prefetch/ecosystem"
)

var setupCfg = regexp.MustCompile(`(?m)^(name|version)\s*[=:]\s*([A-Za-z0-9._+!-]+)\s*$`)

// main is the source's own package, by what its files say without being run. A
// version that is computed stays unknown.
func (i Input) main(job ecosystem.Job) ecosystem.Component {
	name, version := "", ""
	if raw, err := job.Read(path.Join(i.Path, "pyproject.toml")); err == nil {
		var content struct {
			Project struct{ Name, Version string } `toml:"project"`
			Tool    struct {
				Poetry struct{ Name, Version string } `toml:"poetry"`
			} `toml:"tool"`
		}
		if toml.Unmarshal(raw, &content) == nil { // it is pip's to complain
			name, version = content.Project.Name, content.Project.Version
			if name == "" {
				name, version = content.Tool.Poetry.Name, content.Tool.Poetry.Version
			}
		}
	}
	if raw, err := job.Read(path.Join(i.Path, "setup.cfg")); name == "" && err == nil {
		_, section, _ := strings.Cut(string(raw), "[metadata]")
		section, _, _ = strings.Cut(section, "\n[")
		for _, m := range setupCfg.FindAllStringSubmatch(section, -1) {
			if m[1] == "name" {
				name = m[2]
			} else {
				version = m[2]
			}
		}
	}
	if name == "" {
		name = path.Base(path.Join("source", i.Path))
	}
	name = normalize(name)
	return ecosystem.Component{Name: name, Version: version, PURL: ecosystem.PURL(packageurl.TypePyPi, name, version, nil, i.Path)}
}
