package manager

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

// Tuning is how hard the controller may work.
type Tuning struct {
	QPS         float32 // requests a second to the API server; negative for no limit of ours
	Burst       int     // requests at once
	Concurrency int     // objects of one kind at once
}

func (t *Tuning) addFlags(f *pflag.FlagSet) {
	f.Float32Var(&t.QPS, "kube-api-qps", -1, "Requests a second to the API server; -1 leaves it to the server's own priorities and fairness")
	f.IntVar(&t.Burst, "kube-api-burst", 100, "Requests to the API server at once, where their rate is limited")
	f.IntVar(&t.Concurrency, "max-concurrent-reconciles", 8, "Objects of each kind to work on at once")
}

func (t Tuning) validate() error {
	switch {
	case t.QPS == 0:
		return &taskcli.UsageError{Flag: "kube-api-qps", Problem: "0 is no rate", Fix: "use -1 for no limit"}
	case t.QPS > 0 && t.Burst < 1:
		return &taskcli.UsageError{Flag: "kube-api-burst", Problem: fmt.Sprintf("%d is less than one", t.Burst)}
	case t.Concurrency < 1:
		return &taskcli.UsageError{Flag: "max-concurrent-reconciles", Problem: fmt.Sprintf("%d is less than one", t.Concurrency)}
	}
	return nil
}

// tune sets the limits. One reconciler may set another concurrency for itself.
func (t Tuning) tune(config *rest.Config, opts *ctrl.Options) {
	config.QPS, config.Burst = t.QPS, t.Burst
	opts.Controller.MaxConcurrentReconciles = t.Concurrency
}
