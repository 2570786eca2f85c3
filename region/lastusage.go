package region

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

// Bounds of usage reports: what a node sends at most, and how often the same key (design: GetKeyLastUsage costs no write per
// request and is exempt from linearizability).
const (
	usageEvery      = 10 * time.Second
	usageAgain      = 10 * time.Minute
	usageReportKeys = 700 // about 180 bytes each: under 128 KiB
	usageShards     = 64
	usageShardKeys  = 4096
)

// Usage remembers the last successful cryptographic operation on each key on this node and reports it to the region now and
// then. What a node knows and has not reported is lost with it. It is safe for concurrent use.
type Usage struct{ shards [usageShards]usageShard }

type usageShard struct {
	mu   sync.Mutex
	keys map[fsm.KeyRef]*keyUsage
}

type keyUsage struct {
	last     Use
	reported time.Time // when it was last sent
	sent     bool      // last has been sent
}

// NewUsage returns an empty memory.
func NewUsage() *Usage {
	u := &Usage{}
	for i := range u.shards {
		u.shards[i].keys = make(map[fsm.KeyRef]*keyUsage)
	}
	return u
}

func (u *Usage) shard(keyID string) *usageShard {
	h := uint32(2166136261)
	for i := range len(keyID) {
		h = (h ^ uint32(keyID[i])) * 16777619
	}
	return &u.shards[h%usageShards]
}

// Observe takes a use. It costs a short lock on one of many shards.
func (u *Usage) Observe(use Use) {
	sh, ref := u.shard(use.KeyID), fsm.KeyRef{Account: use.Account, ID: use.KeyID}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	k := sh.keys[ref]
	if k == nil {
		if len(sh.keys) >= usageShardKeys {
			sh.evict()
		}
		k = &keyUsage{}
		sh.keys[ref] = k
	}
	if !use.At.Before(k.last.At) {
		k.last, k.sent = use, false
	}
}

// evict drops what was reported, and if that makes too little room, anything. It makes room for many, since it looks at all.
func (s *usageShard) evict() {
	maps.DeleteFunc(s.keys, func(_ fsm.KeyRef, k *keyUsage) bool { return k.sent })
	for ref := range s.keys {
		if len(s.keys) <= usageShardKeys-usageShardKeys/8 {
			return
		}
		delete(s.keys, ref)
	}
}

// last is what this node knows of a key, false if nothing.
func (u *Usage) last(ref fsm.KeyRef) (Use, bool) {
	sh := u.shard(ref.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if k := sh.keys[ref]; k != nil {
		return k.last, true
	}
	return Use{}, false
}

// due takes the keys to report: not again within usageAgain, those that waited longest first.
func (u *Usage) due(now time.Time) []*keyUsage {
	var due []*keyUsage
	for i := range u.shards {
		sh := &u.shards[i]
		sh.mu.Lock()
		for _, k := range sh.keys {
			if !k.sent && now.Sub(k.reported) >= usageAgain {
				due = append(due, &keyUsage{last: k.last, reported: k.reported})
			}
		}
		sh.mu.Unlock()
	}
	slices.SortFunc(due, func(a, b *keyUsage) int {
		if c := a.reported.Compare(b.reported); c != 0 {
			return c
		}
		return a.last.At.Compare(b.last.At)
	})
	return due[:min(len(due), usageReportKeys)]
}

// sent marks what was reported.
func (u *Usage) sent(reported []*keyUsage, now time.Time) {
	for _, r := range reported {
		sh := u.shard(r.last.KeyID)
		sh.mu.Lock()
		if k := sh.keys[fsm.KeyRef{Account: r.last.Account, ID: r.last.KeyID}]; k != nil {
			k.reported, k.sent = now, k.last == r.last
		}
		sh.mu.Unlock()
	}
}

// ReportUsage reports this node's uses until ctx ends.
func (s *Service) ReportUsage(ctx context.Context) {
	tick := time.NewTicker(usageEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.reportUsage(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("usage was not reported and will be", "error", err)
		}
	}
}

func (s *Service) reportUsage(ctx context.Context) error {
	now := s.Now()
	due := s.cfg.Usage.due(now)
	if len(due) == 0 {
		return nil
	}
	body := &fsm.LastUsage{Uses: make([]fsm.KeyUse, len(due))}
	for i, d := range due {
		u := d.last
		body.Uses[i] = fsm.KeyUse{
			Account: u.Account, KeyID: u.KeyID, At: u.At.UnixMilli(), Operation: u.Operation, EventID: u.EventID, RequestID: u.RequestID,
		}
	}
	if err := s.proposeSetup(ctx, body); err != nil {
		return err
	}
	s.cfg.Usage.sent(due, now)
	return nil
}

// KeyLastUsageData is the last use of a key (spec 01 DEL-18).
type KeyLastUsageData struct {
	Operation         shape.Opt[shape.KeyLastUsageTrackingOperation] `wire:"Operation"`
	Timestamp         shape.Opt[time.Time]                           `wire:"Timestamp"`
	CloudTrailEventID shape.Opt[string]                              `wire:"CloudTrailEventId"`
	KmsRequestID      shape.Opt[string]                              `wire:"KmsRequestId"`
}

// GetKeyLastUsageOutput tells when a key was last used; KeyLastUsage is empty if it was not since TrackingStartDate.
type GetKeyLastUsageOutput struct {
	KeyID             string            `wire:"KeyId"`
	KeyLastUsage      *KeyLastUsageData `wire:"KeyLastUsage"`
	TrackingStartDate time.Time         `wire:"TrackingStartDate"`
	KeyCreationDate   time.Time         `wire:"KeyCreationDate"`
}

// GetKeyLastUsage merges what the region's nodes reported with what this node knows. It may miss uses on other nodes of the last
// ten minutes (spec 10 GLU-01).
func (s *Service) GetKeyLastUsage(_ context.Context, c *Call, _ *KeyInput) (*GetKeyLastUsageOutput, error) {
	k := c.Key()
	out := &GetKeyLastUsageOutput{
		KeyID: k.ID, KeyLastUsage: &KeyLastUsageData{}, KeyCreationDate: millis(k.CreatedAt),
		TrackingStartDate: millis(trackedSince(c.State, k)),
	}
	if last := s.lastUse(c.State, k); last != nil {
		out.KeyLastUsage = &KeyLastUsageData{
			Operation: shape.Some(shape.KeyLastUsageTrackingOperation(last.Operation)), Timestamp: shape.Some(millis(last.At)),
			CloudTrailEventID: shape.Some(last.EventID), KmsRequestID: shape.Some(last.RequestID),
		}
	}
	return out, nil
}

// trackedSince is since when the uses of a key are recorded.
func trackedSince(st *fsm.State, k *fsm.Key) int64 { return max(k.CreatedAt, st.Region().CreatedAt) }

// lastUse merges what the nodes have reported of a key with what this node knows, nil if it was never used.
func (s *Service) lastUse(st *fsm.State, k *fsm.Key) *fsm.KeyUse {
	last := st.KeyLastUse(k.Account, k.ID)
	if own, ok := s.cfg.Usage.last(keyRef(k)); ok && (last == nil || own.At.UnixMilli() >= last.At) {
		return &fsm.KeyUse{At: own.At.UnixMilli(), Operation: own.Operation, EventID: own.EventID, RequestID: own.RequestID}
	}
	return last
}

// TrailingDays is the number of whole days for which a key was not used (spec 05 KCK-14).
func (s *Service) TrailingDays(st *fsm.State, k *fsm.Key, now time.Time) int64 {
	since := trackedSince(st, k)
	if last := s.lastUse(st, k); last != nil {
		since = max(since, last.At)
	}
	return max(0, int64(now.Sub(millis(since))/(24*time.Hour)))
}
