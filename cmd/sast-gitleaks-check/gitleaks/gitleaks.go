// Package gitleaks finds secrets by the rules of gitleaks
// (github.com/zricethezav/gitleaks).
package gitleaks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"
	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/logging"

	"github.com/headrace-ci/headrace/pkg/task/sastgitleakscheck"
)

const module = "github.com/zricethezav/gitleaks/v8"

// extended says that rules were read: the library counts, in a variable of its
// own, how often one set of rules extended another, and at some point no longer
// does.
var extended atomic.Bool

// New makes a detector of the rules that come with gitleaks, and of the
// project's own: those add to the former and make exceptions, and never
// replace them. A process has one.
func New(rules []byte, allowed bool) (sastgitleakscheck.Detector, error) {
	if extended.Swap(true) {
		return nil, errors.New("there is a detector already: a process has one")
	}
	// Its log may quote what it found.
	logging.Logger = zerolog.Nop()
	if rules == nil {
		rules = []byte("[extend]\nuseDefault = true\n")
	}
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(bytes.NewReader(rules)); err != nil {
		return nil, err
	}
	var vc config.ViperConfig
	if err := v.Unmarshal(&vc); err != nil {
		return nil, err
	}
	if vc.Extend.Path != "" || vc.Extend.URL != "" {
		return nil, errors.New("extend.path and extend.url are not supported: rules are read from this file alone")
	}
	vc.Extend.UseDefault = true
	cfg, err := translate(vc)
	if err != nil {
		return nil, err
	}
	d := detect.NewDetector(cfg)
	d.IgnoreGitleaksAllow = !allowed
	d.Redact = 100
	d.MaxDecodeDepth = 1
	return detector{d}, nil
}

// translate makes an error of the panic with which gitleaks answers a rule
// that is no regular expression.
func translate(vc config.ViperConfig) (cfg config.Config, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("it has a rule that is no rule: %v", cause)
		}
	}()
	return vc.Translate()
}

type detector struct{ d *detect.Detector }

// Version is that of gitleaks.
func (detector) Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return ""
}

// Detect implements sastgitleakscheck.Detector.
func (d detector) Detect(ctx context.Context, file, text string, lines int) ([]sastgitleakscheck.Secret, error) {
	var secrets []sastgitleakscheck.Secret
	for _, f := range d.d.DetectContext(ctx, detect.Fragment{Raw: text, FilePath: file}) {
		line := f.StartLine + lines + 1 // gitleaks counts from 0
		secrets = append(secrets, sastgitleakscheck.Secret{Rule: f.RuleID, Description: f.Description, Line: line, Column: max(f.StartColumn, 1)})
	}
	return secrets, ctx.Err()
}
