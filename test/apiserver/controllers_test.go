//go:build apiserver

package apiserver_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	members "github.com/headrace-ci/headrace/pkg/controllers/application"
	"github.com/headrace-ci/headrace/pkg/controllers/build"
	"github.com/headrace-ci/headrace/pkg/controllers/buildlabel"
	"github.com/headrace-ci/headrace/pkg/controllers/cancel"
	"github.com/headrace-ci/headrace/pkg/controllers/candidate"
	removal "github.com/headrace-ci/headrace/pkg/controllers/component"
	"github.com/headrace-ci/headrace/pkg/controllers/componentgroup"
	"github.com/headrace-ci/headrace/pkg/controllers/manager"
	"github.com/headrace-ci/headrace/pkg/controllers/nesting"
	"github.com/headrace-ci/headrace/pkg/controllers/nudgeconfig"
	"github.com/headrace-ci/headrace/pkg/controllers/prgroup"
	"github.com/headrace-ci/headrace/pkg/controllers/release"
	"github.com/headrace-ci/headrace/pkg/controllers/releaseplan"
	"github.com/headrace-ci/headrace/pkg/controllers/scenario"
	"github.com/headrace-ci/headrace/pkg/controllers/snapshot"
)

// signatures stands for a registry that Chains has signed in, or not yet.
type signatures struct{ there atomic.Bool }

func (s *signatures) Prove(context.Context, string) error {
	if s.there.Load() {
		return nil
	}
	return errors.New("no signature yet")
}

// controllers is the controller's process: it can be killed and started again.
type controllers struct {
	proofs signatures
	stop   func()
}

// start runs every reconciler until stop, or until the test ends.
func (p *controllers) start(t *testing.T) {
	t.Helper()
	again := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: manager.Scheme(), Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		// A process has each name once; this one starts them again.
		Controller: ctrlconfig.Controller{SkipNameValidation: &again},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := mgr.GetClient()
	for _, r := range []interface{ SetupWithManager(ctrl.Manager) error }{
		&members.Reconciler{Client: c},
		&nudgeconfig.Reconciler{Client: c},
		&build.Reconciler{Client: c, Prover: &p.proofs, Now: time.Now},
		&buildlabel.Reconciler{Client: c},
		&cancel.Reconciler{Client: c, Now: time.Now},
		&candidate.Reconciler{Client: c, Now: time.Now},
		&removal.Reconciler{Client: c, Now: time.Now},
		&componentgroup.Reconciler{Client: c, Now: time.Now},
		&nesting.Reconciler{Client: c, Now: time.Now},
		&prgroup.Reconciler{Client: c},
		&snapshot.Reconciler{Client: c, Now: time.Now},
		&scenario.Reconciler{Client: c},
		&release.Reconciler{Client: c, ConfigNamespace: "headrace-system", Now: time.Now},
		&releaseplan.PlanReconciler{Client: c, Now: time.Now},
		&releaseplan.AdmissionReconciler{Client: c, Now: time.Now},
	} {
		if err := r.SetupWithManager(mgr); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("controllers ended with %v", err)
		}
		p.stop = func() {}
	}
	t.Cleanup(func() { p.stop() })
}

// restart kills the controllers and starts new ones, which know nothing.
func (p *controllers) restart(t *testing.T) {
	t.Helper()
	p.stop()
	p.start(t)
}
