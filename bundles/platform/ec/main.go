// Command ec is Conforma's command line as upstream builds it, but one thing:
// it fetches policies that are kept in a registry over TLS. Upstream links the
// fetching of conftest, where TLS is a flag, without that flag, so that it
// asks every registry in plain text.
package main

import (
	"github.com/enterprise-contract/ec-cli/cmd"
	"github.com/spf13/viper"
)

func main() {
	viper.SetDefault("tls", true)
	cmd.Execute()
}
