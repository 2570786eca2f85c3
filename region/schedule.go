package region

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/trentkms/trent/fsm"
)

// InternalEvent is a change that the region makes by itself, for the audit (spec 03 A10).
type InternalEvent struct {
	Name    string // DeleteKey, DeleteExpiredKeyMaterial, RotateKey
	Key     *fsm.Key
	KeyARN  string
	At      time.Time
	Details []Note // serviceEventDetails, for the events that have them
}

// scheduleEvery is how long the scheduler sleeps when nothing is due sooner. A due date is met within this time, which
// spec 01 DEL-05 (up to 24 hours late, never early) leaves wide open.
const scheduleEvery = 2 * time.Second

// scheduleBatch bounds what one pass proposes, so that a pass ends soon after the leadership does.
const scheduleBatch = 256

// Schedule does the region's due work until ctx ends: it deletes keys whose
// waiting period is over, and what they leave behind, removes expired material and rotates keys. Only the leader runs it,
// under the context of its term. It proposes and nothing else: whether something is due is decided again at apply.
func (s *Service) Schedule(ctx context.Context) {
	tick := time.NewTicker(scheduleEvery)
	defer tick.Stop()
	for {
		if err := s.RunDue(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("scheduled work failed and will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tickEvery is how far region time may fall behind while nothing happens. Region time moves with commands; without one an idle
// region's next command would look like a jump of the clock, after which nothing is destroyed for a day.
const tickEvery = time.Hour

// RunDue does what is due at region time, once. It returns the first error.
func (s *Service) RunDue(ctx context.Context) error {
	now := s.Now()
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	if st.Region() == nil {
		return nil
	}
	if now.Sub(millis(st.Now())) >= tickEvery {
		if err := s.proposeSetup(ctx, &fsm.TermStart{Node: "clock"}); err != nil {
			return err
		}
		if st, err = s.View(ctx); err != nil {
			return err
		}
	}
	b := batch{left: scheduleBatch}
	if now.UnixMilli() >= st.Region().HoldUntil { // during a hold the state would refuse
		for k := range st.DueDeletions(now.UnixMilli()) {
			if !b.do(func() error { return s.deleteKey(ctx, k, now) }) {
				return b.err
			}
		}
		for k, m := range st.DueExpiries(now.UnixMilli()) {
			if !b.do(func() error { return s.expireMaterial(ctx, k, m, now) }) {
				return b.err
			}
		}
	}
	for r := range st.Remains() {
		for left := r.Grants; left > 0; left -= fsm.PurgeBatch {
			if !b.do(func() error { return s.purgeGrants(ctx, r) }) {
				return b.err
			}
		}
	}
	for k := range st.DueRotations(now.UnixMilli()) {
		if !b.do(func() error { return s.rotateDue(ctx, st, k, now) }) {
			return b.err
		}
	}
	return nil
}

// batch bounds the proposals of one pass and keeps its first error.
type batch struct {
	left int
	err  error
}

// do makes one proposal; false ends the pass.
func (b *batch) do(propose func() error) bool {
	b.err = propose()
	b.left--
	return b.err == nil && b.left > 0
}

// purgeGrants removes a part of the grants that a deleted key has left behind.
func (s *Service) purgeGrants(ctx context.Context, r *fsm.Remains) error {
	return s.proposeSetup(ctx, &fsm.PurgeGrants{Key: fsm.KeyRef{Account: r.Account, ID: r.KeyID}})
}

// expireMaterial removes imported material whose time has come.
func (s *Service) expireMaterial(ctx context.Context, k *fsm.Key, m *fsm.Material, now time.Time) error {
	return s.proposeInternal(ctx, &fsm.ExpireMaterial{Key: keyRef(k), MaterialID: m.ID, ExpiresAt: m.ExpiresAt},
		InternalEvent{Name: "DeleteExpiredKeyMaterial", Key: k, KeyARN: s.KeyARN(k), At: now, Details: []Note{
			{"keyId", k.ID}, {"keyMaterialId", hex.EncodeToString(m.ID)},
		}})
}

// deleteKey deletes a key whose deletion is due.
func (s *Service) deleteKey(ctx context.Context, k *fsm.Key, now time.Time) error {
	defer s.changed(k)
	return s.proposeInternal(ctx, &fsm.DeleteKey{Key: keyRef(k), DeletionAt: k.DeletionAt},
		InternalEvent{Name: "DeleteKey", Key: k, KeyARN: s.KeyARN(k), At: now})
}

// proposeInternal proposes a change of the region's own. A refusal means that it is not due any more.
func (s *Service) proposeInternal(ctx context.Context, body fsm.Body, ev InternalEvent) error {
	var id fsm.CommandID
	if err := s.cfg.HSM.Random(ctx, id[:]); err != nil {
		return err
	}
	_, err := s.cfg.Cluster.Propose(ctx, fsm.Command{
		ID: id, Attempt: 1, Time: ev.At.UnixMilli(), Body: body, Audit: s.cfg.Record(ev),
	})
	return err
}
