package manager

import (
	"errors"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/headrace-ci/headrace/pkg/taskcli"
)

func TestTuning(t *testing.T) {
	cases := map[string]struct {
		args []string
		want Tuning
		flag string // that is refused
	}{
		"left out":       {want: Tuning{-1, 100, 8}},
		"given":          {args: []string{"--kube-api-qps=200", "--kube-api-burst=300", "--max-concurrent-reconciles=2"}, want: Tuning{200, 300, 2}},
		"no limit":       {args: []string{"--kube-api-qps=-1", "--kube-api-burst=0"}, want: Tuning{-1, 0, 8}},
		"no rate":        {args: []string{"--kube-api-qps=0"}, flag: "kube-api-qps"},
		"no burst":       {args: []string{"--kube-api-qps=50", "--kube-api-burst=0"}, flag: "kube-api-burst"},
		"no concurrency": {args: []string{"--max-concurrent-reconciles=0"}, flag: "max-concurrent-reconciles"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var tuning Tuning
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			tuning.addFlags(flags)
			if err := flags.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			var usage *taskcli.UsageError
			if err := tuning.validate(); errors.As(err, &usage) && usage.Flag == tc.flag {
				return
			} else if err != nil || tc.flag != "" {
				t.Fatalf("validate() = %v, want --%s refused", err, tc.flag)
			}
			var config rest.Config
			var opts ctrl.Options
			tuning.tune(&config, &opts)
			if got := (Tuning{config.QPS, config.Burst, opts.Controller.MaxConcurrentReconciles}); got != tc.want {
				t.Errorf("tuned to %+v, want %+v", got, tc.want)
			}
		})
	}
}
