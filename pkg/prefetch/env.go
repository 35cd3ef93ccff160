package prefetch

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// downloads is where the module cache's downloads are below the output folder:
// where the go command keeps them below a GOPATH.
const downloads = "deps/gomod/pkg/mod/cache/download"

// Variable is one environment variable of a build.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Env is what makes a build use the output folder once it is mounted at mount,
// be that read-only.
func Env(mount string) []Variable {
	return []Variable{
		{Name: "GONOPROXY", Value: "none"}, // over a GOPRIVATE of the image
		{Name: "GOPROXY", Value: "file://" + path.Join(mount, downloads)},
		{Name: "GOSUMDB", Value: "off"}, // go.sum was checked, and there is no network
		{Name: "GOTOOLCHAIN", Value: "local"},
	}
}

// WriteEnv writes Env below dir in the shapes that builders read: two files for
// a shell, and one in JSON.
func WriteEnv(dir, mount string) error {
	variables := Env(mount)
	var lines strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&lines, "export %s=%s\n", v.Name, v.Value)
	}
	list, err := json.Marshal(variables)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"cachi2.env": lines.String(), "prefetch.env": lines.String(), "prefetch-env.json": string(list) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
