package region

import (
	"context"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

// KeyInput is the request of operations that take a key id or key ARN and nothing else.
type KeyInput struct {
	KeyID string `wire:"KeyId,required" is:"KeyIdType"`
}

// Resolve implements Input.
func (in *KeyInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// EnableKey lets a disabled key be used again (spec 10 ENA).
func (s *Service) EnableKey(ctx context.Context, c *Call, _ *KeyInput) (*None, error) {
	return s.change(ctx, c, &fsm.SetEnabled{Key: keyRef(c.Key()), Enabled: true})
}

// DisableKey stops all cryptographic use of a key; once it is acknowledged no node performs any (spec 01 ENA-02).
func (s *Service) DisableKey(ctx context.Context, c *Call, _ *KeyInput) (*None, error) {
	return s.change(ctx, c, &fsm.SetEnabled{Key: keyRef(c.Key()), Enabled: false})
}

// ScheduleKeyDeletionInput starts a waiting period. Outside 7 to 30 days it is refused although the shape allows more
// (spec 01 DEL-02).
type ScheduleKeyDeletionInput struct {
	KeyID               string `wire:"KeyId,required" is:"KeyIdType"`
	PendingWindowInDays int32  `wire:"PendingWindowInDays" range:"7..30" default:"30"`
}

// Resolve implements Input.
func (in *ScheduleKeyDeletionInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{PendingWindowDays: in.PendingWindowInDays})
}

// ScheduleKeyDeletionOutput tells when the key will be deleted.
type ScheduleKeyDeletionOutput struct {
	KeyID               string               `wire:"KeyId"` // the ARN (spec 01 KID-07)
	DeletionDate        shape.Opt[time.Time] `wire:"DeletionDate"`
	KeyState            shape.KeyState       `wire:"KeyState"`
	PendingWindowInDays int32                `wire:"PendingWindowInDays"`
}

// ScheduleKeyDeletion starts the waiting period after which the key is deleted for good (spec 01 DEL).
func (s *Service) ScheduleKeyDeletion(ctx context.Context, c *Call, in *ScheduleKeyDeletionInput) (*ScheduleKeyDeletionOutput, error) {
	at := c.Now.Add(time.Duration(in.PendingWindowInDays) * day).UnixMilli()
	var body fsm.Body = &fsm.ScheduleDeletion{Key: keyRef(c.Key()), DeletionAt: at, WindowDays: int(in.PendingWindowInDays)}
	if k := c.Key(); k.Set != nil && !k.Replica() && len(k.Set.Members) > 1 {
		at, body = 0, &fsm.ScheduleSetDeletion{Key: keyRef(k), WindowDays: int(in.PendingWindowInDays)}
	}
	out := s.scheduled(c.Key(), at, in.PendingWindowInDays)
	res, err := s.propose(ctx, c, body, out)
	if err != nil {
		return nil, err
	}
	if res.Repeat {
		return s.ScheduleKeyDeletionAgain(ctx, c, in)
	}
	return out, nil
}

// ScheduleKeyDeletionAgain answers a repeated ScheduleKeyDeletion with the date that the first attempt set. If somebody has cancelled the
// deletion in between, that date is gone, and the answer is the date as of now: SDKs rely on there being one.
func (s *Service) ScheduleKeyDeletionAgain(_ context.Context, c *Call, in *ScheduleKeyDeletionInput) (*ScheduleKeyDeletionOutput, error) {
	k, err := s.again(c, in.KeyID)
	if err != nil {
		return nil, err
	}
	at := k.DeletionAt
	if !k.Ending() {
		at = c.Now.Add(time.Duration(in.PendingWindowInDays) * day).UnixMilli()
	}
	return s.scheduled(k, at, in.PendingWindowInDays), nil
}

func (s *Service) scheduled(k *fsm.Key, at int64, days int32) *ScheduleKeyDeletionOutput {
	out := &ScheduleKeyDeletionOutput{KeyID: s.KeyARN(k), KeyState: shape.KeyStatePendingDeletion, PendingWindowInDays: days}
	if at != 0 {
		out.DeletionDate = shape.Some(millis(at))
	} else {
		out.KeyState = shape.KeyStatePendingReplicaDeletion
	}
	return out
}

// KeyOutput is the answer of operations that return the key's ARN alone.
type KeyOutput struct {
	KeyID string `wire:"KeyId"`
}

// CancelKeyDeletion takes a pending deletion back; the key is then disabled (spec 01 DEL-10).
func (s *Service) CancelKeyDeletion(ctx context.Context, c *Call, _ *KeyInput) (*KeyOutput, error) {
	out := &KeyOutput{KeyID: s.KeyARN(c.Key())}
	if _, err := s.propose(ctx, c, &fsm.CancelDeletion{Key: keyRef(c.Key())}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// KeyOutputAgain answers a repeated change whose answer is the key's ARN.
func (s *Service) KeyOutputAgain(_ context.Context, c *Call, in *KeyInput) (*KeyOutput, error) {
	k, err := s.again(c, in.KeyID)
	if err != nil {
		return nil, err
	}
	return &KeyOutput{KeyID: s.KeyARN(k)}, nil
}

// again finds the key of a repeated change in this node's state, which holds the change.
func (s *Service) again(c *Call, id string) (*fsm.Key, error) {
	r := s.NewResolver(c, c.Operation, false, false)
	r.Call.State = s.cfg.Cluster.State()
	t, err := r.Find(id)
	if err != nil {
		return nil, err
	}
	return t.Key, nil
}
