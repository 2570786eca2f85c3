package workload

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/chaos/history"
)

// leaving is a multi-Region key of which each region schedules the deletion, takes it back and enables it again, for itself: a
// replica's end is its own region's business, and a primary waits for its replicas.
type leaving struct {
	key *regionsKey

	mu            sync.Mutex
	uses, unknown int // guarded by mu
}

// Bounds of one key's history, so that its check ends.
const (
	maxLeaving        = 450
	maxLeavingUnknown = 6
)

// setup makes the key in every region.
func (l *leaving) setup(ctx context.Context, w *regions, s *session) error {
	k, ok := w.newKey(s)
	if !ok {
		return fmt.Errorf("%s: no multi-Region key could be made", w.Name())
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for r := range s.t.Regions {
		for !k.holds(r) {
			if ctx.Err() != nil {
				return fmt.Errorf("%s: no replica of %s in %s: %w", w.Name(), k.id, s.t.Regions[r].Name, ctx.Err())
			}
			w.replicate(s, k, r)
		}
	}
	l.key = k
	return nil
}

// take reports whether the key may be used once more.
func (l *leaving) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uses++
	return l.uses <= maxLeaving && l.unknown < maxLeavingUnknown
}

func (l *leaving) step(s *session, d door) history.Op {
	id, in := &l.key.id, map[string]string{"leaving": "1"}
	write := func(kind string, f func(ctx context.Context) error) history.Op {
		return s.write(d, kind, *id, in, func(ctx context.Context, _ map[string]string) error { return f(ctx) })
	}
	var op history.Op
	switch weighted(s.rng, 1, 2, 2, 4) {
	case 0:
		op = write("ScheduleKeyDeletion", func(ctx context.Context) error {
			_, err := s.kms(d).ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
			return err
		})
	case 1:
		op = write("CancelKeyDeletion", func(ctx context.Context) error {
			_, err := s.kms(d).CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: id})
			return err
		})
	case 2:
		op = write("EnableKey", func(ctx context.Context) error {
			_, err := s.kms(d).EnableKey(ctx, &kms.EnableKeyInput{KeyId: id})
			return err
		})
	default:
		op = s.read(d, "Encrypt", *id, in, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: message})
			return err
		})
	}
	if op.Outcome == history.Unknown {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.unknown++
	}
	return op
}
