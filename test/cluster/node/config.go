package node

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed config/*
var configs embed.FS

var templates = template.Must(template.ParseFS(configs, "config/*"))

// written are the configuration files by their template.
var written = map[string]string{
	"containerd.toml": "containerd.toml",
	"hosts.toml":      "certs.d/" + Registry + "/hosts.toml",
	"bridge.conflist": "cni/10-bridge.conflist",
	"kubelet.yaml":    "kubelet.yaml",
	"Corefile":        "Corefile",
	"hosts":           "hosts",
	"resolv.conf":     "resolv.conf",
	"bootstrap.yaml":  "bootstrap.yaml",
}

// WriteConfigs writes the configuration of every component.
func (l Layout) WriteConfigs() error {
	for name, file := range written {
		text, err := l.render(name)
		if err != nil {
			return err
		}
		path := l.Path(file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	// Pods take the cluster's DNS and nothing of the host's.
	return os.WriteFile(l.Path("resolv.conf.pods"), nil, 0o644)
}

func (l Layout) render(name string) ([]byte, error) {
	var buf bytes.Buffer
	err := templates.ExecuteTemplate(&buf, name, map[string]string{
		"State": l.State, "Cgroup": l.Cgroup(), "Address": Address, "PodRange": PodRange,
		"Registry": Registry, "RegistryHost": RegistryHost, "Node": Name,
	})
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", name, err)
	}
	return buf.Bytes(), nil
}
