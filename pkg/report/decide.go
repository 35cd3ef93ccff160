package report

import (
	"time"
)

// Step is what to do next about a subject.
type Step struct {
	Login   *Login        // report with it now; nil to report nothing
	After   time.Duration // look again; 0 for not before something changes
	Problem string        // why a part cannot be reported
}

// Decide is the next step: of the targets that have not been told everything,
// the first that nothing holds up.
func Decide(s Subject, b Books, all []Repository, app App, now time.Time) Step {
	step := Step{}
	if now.Sub(s.Created) < permanentFor {
		step.Problem = s.Problem
	}
	later := func(d time.Duration) {
		if d > 0 && (step.After == 0 || d < step.After) {
			step.After = d
		}
	}
	for _, t := range s.Targets {
		due := s.Due(b, t, now)
		if len(due) == 0 {
			continue
		}
		login, err := LoginFor(t, all, app)
		if err != nil {
			// A Repository that is made wakes nobody where it is not watched.
			step.Problem = err.Error()
			later(permanentPause)
			continue
		}
		pause, again := b.Failures[login.Repository.Name].hold(due, login.Repository, now)
		if !again {
			continue
		}
		if pause = max(pause, wait(due, now)); pause > 0 {
			later(pause)
			continue
		}
		if step.Login == nil {
			step.Login = &login
		}
	}
	return step
}
