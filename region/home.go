package region

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/link"
)

// Where identities are decided: in this region, or in its home.

// HomeFault is what is told of something that only the home of the identities can decide, and that did not come about.
func HomeFault(home string, err error) error {
	return fault.Wrap(fault.ServiceUnavailable, err,
		"Identities are decided in their home Region %s, which cannot be reached now or does not decide. The request can be retried.", home)
}

// homeWatch wakes those who wait for the identities to reach a position.
type homeWatch struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change; nil while nobody waits
}

// next is closed when identities are taken over the next time.
func (w *homeWatch) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

func (w *homeWatch) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// DecideAtHome hands a request that changes identities to their home and returns its answer, once this region has what it led to: nobody who
// reads it here afterwards misses it. The errors are for the client. An outcome that is unknown is one that can be retried: the home knows
// the request again.
func (s *Service) DecideAtHome(ctx context.Context, home string, request []byte) ([]byte, error) {
	if s.others == nil {
		return nil, HomeFault(home, errors.New("the node is not part of a federation"))
	}
	reply, incarnation, position, err := s.others.Decide(ctx, home, request)
	var refused *link.Refusal
	if errors.As(err, &refused) {
		return nil, HomeFault(home, fmt.Errorf("the home does not decide: %w", err))
	}
	if err != nil {
		return nil, HomeFault(home, err)
	}
	if planted.Bug(planted.EarlyAnswer) {
		return reply, nil
	}
	if err := s.awaitHome(ctx, home, incarnation, position); err != nil {
		clear(reply)
		return nil, HomeFault(home, err)
	}
	return reply, nil
}

// awaitHome waits until this region has what its home had at a position.
func (s *Service) awaitHome(ctx context.Context, home string, incarnation, position uint64) error {
	for {
		changed := s.homeWatch.next()
		switch h := s.cfg.Cluster.State().Home(); {
		case h == nil || h.Name != home:
			return errors.New("the region has another home now")
		case h.Incarnation > incarnation, h.Incarnation == incarnation && h.Position >= position:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("decided, and not yet known here: %w", ctx.Err())
		}
	}
}

// IdentityStaleness is for how long the home may have had other identities than this region has, 0 in a home.
func (s *Service) IdentityStaleness(st *fsm.State) time.Duration {
	h := st.Home()
	if h == nil {
		return 0
	}
	return max(0, s.Now().Sub(time.UnixMilli(h.CurrentAt)))
}

// FreshIdentities refuses to believe identities that may be too old: those that have not been compared with their home's for longer than the
// operator allows, and those of a region that was restored from an older state and has not heard from its home since, in which everything
// that was revoked meanwhile would be valid.
func (s *Service) FreshIdentities(st *fsm.State) error {
	h := st.Home()
	if h == nil {
		return nil
	}
	if h.HeardIn != st.Region().Incarnation() {
		return fault.Wrap(fault.ServiceUnavailable, errors.New("restored, and not yet synchronized with the home of the identities"),
			"This Region was restored and is synchronizing identities with their home Region %s. The request can be retried.", h.Name)
	}
	if limit := s.cfg.MaxIdentityStaleness; limit > 0 {
		if age := s.IdentityStaleness(st); age > limit {
			return fault.Wrap(fault.ServiceUnavailable, fmt.Errorf("identities are %v old, identity_max_staleness is %v", age.Round(time.Second), limit),
				"This Region has not heard from Region %s, the home of identities, for longer than its operator allows. The request can be retried.", h.Name)
		}
	}
	return nil
}

// errDecidedAtHome tells an operator where to do what this region does not do.
func errDecidedAtHome(st *fsm.State) error {
	return fmt.Errorf("identities are decided in their home region %s: do it there, or, if it is lost, forget it first with 'trent operator region forget %s'",
		st.Home().Name, st.Home().Name)
}

// HomeChange is what adopting or leaving a home means.
type HomeChange struct {
	Home string `json:"home"` // the region that decides from now on
	// Rows is the number of identities that are taken over. Vanish are those that are here and not there, which are removed, kind by kind and
	// maxVanish of each kind at most; VanishCounts counts all of them, by kind.
	Rows         int            `json:"rows"`
	Vanish       []Vanishing    `json:"vanish,omitempty"`
	VanishCounts map[string]int `json:"vanishCounts,omitempty"`
	DryRun       bool           `json:"dryRun,omitempty"`
}

// OnlyTold tells whether it was a dry run.
func (h *HomeChange) OnlyTold() bool { return h != nil && h.DryRun }

// ErrVanish reports that adopting a home would remove identities.
var ErrVanish = errors.New("identities of this region that the home does not have would be removed; look with --dry-run, and say --replace if that is meant")

// ShareIdentities lets a federated region follow this one, with allow, or takes that back.
func (s *Service) ShareIdentities(ctx context.Context, name string, allow bool) error {
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	o := st.OtherRegion(name)
	switch {
	case o == nil:
		return s.unknownRegion(name)
	case o.Allowed == allow:
		return nil
	case st.Home() != nil:
		return errDecidedAtHome(st)
	}
	return s.proposeOperator(ctx, st, &fsm.AllowFollower{Region: name, Allow: allow}, OperatorEvent{
		Name: "ShareIdentities", At: s.Now(), Details: []Note{{"region", name}, {"allow", fmt.Sprint(allow)}},
	})
}

// AdoptHome makes another region the home of this one's identities, or, given this region's name, this region itself. With dryRun it only tells
// what would happen; identities that the home lacks are removed only with replace.
func (s *Service) AdoptHome(ctx context.Context, name string, dryRun, replace bool) (*HomeChange, error) {
	st, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	if name == s.cfg.Region {
		return s.releaseHome(ctx, st, dryRun)
	}
	if st.OtherRegion(name) == nil {
		return nil, s.unknownRegion(name)
	}
	if h := st.Home(); h != nil && h.Name == name {
		return nil, fmt.Errorf("region %s is the home of this one's identities already", name)
	}
	if s.others == nil {
		return nil, errors.New("the node is not part of a federation")
	}
	commands, err := s.others.Identities(ctx, name, dryRun)
	if err != nil {
		return nil, fmt.Errorf("ask region %s for its identities: %w", name, err)
	}
	out := &HomeChange{Home: name, DryRun: dryRun}
	var rows []*fsm.IdentityRows
	for _, c := range commands {
		rows = append(rows, &c.Rows)
		out.Rows += c.Rows.Len()
	}
	vanish := st.Lacking(rows)
	out.vanishing(s, st, vanish)
	switch {
	case dryRun:
		return out, nil
	case len(vanish) > 0 && !replace:
		return out, fmt.Errorf("%w: %s", ErrVanish, out.summary(len(vanish)))
	}
	for _, c := range commands[:len(commands)-1] {
		if err := s.proposeSetup(ctx, c); err != nil {
			return out, err
		}
	}
	return out, s.proposeOperator(ctx, st, &fsm.AdoptHome{Sync: *commands[len(commands)-1], Replace: replace}, OperatorEvent{
		Name: "AdoptHomeRegion", At: s.Now(),
		Details: []Note{{"region", name}, {"replace", fmt.Sprint(replace)}, {"removed", fmt.Sprint(len(vanish))}},
	})
}

func (s *Service) releaseHome(ctx context.Context, st *fsm.State, dryRun bool) (*HomeChange, error) {
	h := st.Home()
	if h == nil {
		return nil, errors.New("the region is the home of its identities already")
	}
	out := &HomeChange{Home: s.cfg.Region, DryRun: dryRun}
	if dryRun {
		return out, nil
	}
	return out, s.proposeOperator(ctx, st, &fsm.ReleaseHome{Home: h.Name}, OperatorEvent{
		Name: "ReleaseHomeRegion", At: s.Now(), Details: []Note{{"region", h.Name}},
	})
}
