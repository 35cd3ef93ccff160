package command

import (
	"crypto/tls"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/headrace-ci/headrace/test/cluster/image"
	"github.com/headrace-ci/headrace/test/cluster/node"
	"github.com/headrace-ci/headrace/test/cluster/registry"
	"github.com/headrace-ci/headrace/test/cluster/supervisor"
)

// superviseCommand is the first process of the namespaces.
func superviseCommand() *cobra.Command {
	var programs node.Programs
	var relays []string
	cmd := &cobra.Command{
		Use: "supervise", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := supervisor.Config{Layout: node.Default(), Programs: programs, Relays: map[string]int{}}
			cfg.Programs.Cluster = "/proc/1/exe"
			for _, r := range relays {
				target, fd, ok := strings.Cut(r, "=")
				n, err := strconv.Atoi(fd)
				if !ok || err != nil {
					return fmt.Errorf("relay %q is not TARGET=FD", r)
				}
				cfg.Relays[target] = n
			}
			return supervisor.Run(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&programs.Kube, "kube", "", "Path of the Kubernetes binary")
	cmd.Flags().StringVar(&programs.DNS, "dns", "", "Path of the name server")
	cmd.Flags().StringArrayVar(&relays, "relay", nil, "Listening socket to relay, as TARGET=FD")
	return cmd
}

// registryCommand is the registry, one of the components.
func registryCommand() *cobra.Command {
	return &cobra.Command{
		Use: "registry", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := node.Default()
			certificate, err := tls.LoadX509KeyPair(l.PKI("registry.crt"), l.PKI("registry.key"))
			if err != nil {
				return err
			}
			server, err := registry.Open(l.Path("registry"), registry.OpenUsers(l.Path("registry", "users.json")))
			if err != nil {
				return err
			}
			return registry.Serve(cmd.Context(), "0.0.0.0:"+node.RegistryPort, certificate, server)
		},
	}
}

// userCommand makes a login that may write to some repositories only.
func userCommand() *cobra.Command {
	var user string
	var prefixes []string
	cmd := &cobra.Command{
		Use: "registry-user --name NAME --prefix REPOSITORY", Args: cobra.NoArgs,
		Short: "Print a docker config that may write below a repository prefix, always the same for a name",
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := login(node.Default(), user, prefixes, false)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(config)
			return err
		},
	}
	cmd.Flags().StringVar(&user, "name", "", "Name of the user")
	cmd.Flags().StringArrayVar(&prefixes, "prefix", nil, "Repository the user may write to, with all below it; may be repeated")
	_ = cmd.MarkFlagRequired("name") // the flag is there: the line above adds it
	_ = cmd.MarkFlagRequired("prefix")
	return cmd
}

// pushImagesCommand puts the images into the registry that pods start from.
func pushImagesCommand() *cobra.Command {
	var pause string
	cmd := &cobra.Command{
		Use: "push-images", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			const certificates = "/etc/ssl/certs/ca-certificates.crt"
			const busybox = "/bin/busybox"
			applets, err := exec.CommandContext(cmd.Context(), busybox, "--list").Output()
			if err != nil {
				return err
			}
			for repository, make := range map[string]func() (v1.Image, error){
				"platform/pause": func() (v1.Image, error) { return image.Pause(pause) },
				"platform/base":  func() (v1.Image, error) { return image.Base(certificates) },
				"base/busybox":   func() (v1.Image, error) { return image.Busybox(certificates, busybox, strings.Fields(string(applets))) },
			} {
				img, err := make()
				if err != nil {
					return err
				}
				tag, err := name.NewTag(node.Registry + "/" + repository + ":1")
				if err != nil {
					return err
				}
				err = remote.Write(tag, img, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithContext(cmd.Context()))
				if err != nil {
					return fmt.Errorf("pushing %s: %w", tag, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&pause, "pause", "", "Path of the pause program")
	return cmd
}
