package region

import (
	"context"
	"errors"
	"time"

	"github.com/trentkms/trent/fsm"
)

// OperatorEvent is something that an operator did to the region, for the audit.
type OperatorEvent struct {
	Name    string // RotateDomainKey, RestoreSnapshot, …
	Account string // whose log it is in: the region's first account
	At      time.Time
	Details []Note
}

// proposeOperator proposes what an operator does, with its audit record.
func (s *Service) proposeOperator(ctx context.Context, st *fsm.State, body fsm.Body, ev OperatorEvent) error {
	ev.Account = s.OperatorAccount(st)
	cmd := fsm.Command{Attempt: 1, Time: ev.At.UnixMilli(), Body: body}
	if s.cfg.RecordOperator != nil {
		cmd.Audit = s.cfg.RecordOperator(ev)
	}
	if err := s.cfg.HSM.Random(ctx, cmd.ID[:]); err != nil {
		return err
	}
	res, err := s.cfg.Cluster.Propose(ctx, cmd)
	if err == nil && res.Code != fsm.OK {
		err = stateRefused(res)
	}
	return err
}

// RecordEvent commits the record of something that an operator did and that changes nothing in the state by itself.
func (s *Service) RecordEvent(ctx context.Context, ev OperatorEvent) error {
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	if st.Region() == nil {
		return errors.New("the region is not initialized")
	}
	ev.At = s.Now()
	return s.proposeOperator(ctx, st, &fsm.OperatorEvent{Name: ev.Name}, ev)
}
