package multiregion

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/link"
)

// Serve implements link.Handler.
func (e *Engine) Serve(ctx context.Context, from string, payload []byte) ([]byte, error) {
	r, err := decodeRequest(payload)
	if err != nil {
		return nil, err
	}
	st, err := e.cfg.Cluster.View(ctx)
	if err != nil {
		return nil, errors.New("the region cannot read its state now")
	}
	o := st.OtherRegion(from)
	switch {
	case st.Region() == nil || st.Region().Reborn || o == nil || o.State != fsm.RegionFederated:
		return nil, errors.New("the regions are not federated")
	case r.Incarnation < o.Incarnation:
		return nil, fmt.Errorf("region %s has begun a new incarnation; this one has no say any more", from)
	}
	if r.Incarnation > o.Incarnation {
		// Before the new life is told anything, the old one is fenced off: nothing of it that is still under way counts any more.
		if err := e.propose(ctx, &fsm.MarkFeed{Region: from, Incarnation: r.Incarnation}); err != nil {
			return nil, errors.New("the region cannot write now")
		}
		if st, err = e.cfg.Cluster.View(ctx); err != nil {
			return nil, errors.New("the region cannot read its state now")
		}
	}
	if err := e.follows(ctx, st, from, r); err != nil {
		return nil, errors.New("the region cannot write now")
	}
	a, err := e.serve(ctx, st, from, r)
	if err != nil {
		return nil, err
	}
	e.reportAge(st, from, r, a)
	a.Sessions = fsm.SessionKeysDigest(st.OwnSessionKeys())
	a.Incarnation, a.Forgets = st.Region().Incarnation(), st.Forgets()
	return encode(a)
}

func (e *Engine) serve(ctx context.Context, st *fsm.State, from string, r *request) (*answer, error) {
	switch r.Kind {
	case kindPoke:
		poke(e.peer(from).wake)
		poke(e.homeNews)
		return &answer{}, nil
	case kindIdentities:
		return e.tellIdentities(ctx, st, from, r)
	case kindDecide:
		return e.decide(ctx, st, from, r)
	case kindPull:
		return pullAnswer(st, from, r)
	case kindCompare:
		return compareAnswer(st, from, r), nil
	case kindTell:
		return e.tellAnswer(ctx, st, from, r)
	case kindMaterials:
		b, err := e.cfg.Materials.HandOut(ctx, st, st.OtherRegion(from), r.Nonce, r.Wanted, r.Shared)
		if err != nil {
			e.log.Warn("multi-Region keys: cannot hand out material", "region", from, "error", err)
			return nil, errors.New("the region cannot hand out the material now")
		}
		return &answer{Bundle: b}, nil
	case kindSessions:
		if e.cfg.Sessions == nil {
			return nil, errors.New("the region hands out no session keys")
		}
		b, err := e.cfg.Sessions.HandOutSessionKeys(ctx, st, st.OtherRegion(from), r.Nonce)
		if err != nil {
			e.log.Warn("sessions: cannot hand out session keys", "region", from, "error", err)
			return nil, errors.New("the region cannot hand out its session keys now")
		}
		return &answer{SessionBundle: b}, nil
	case kindAsk:
		if e.cfg.Ask == nil {
			return nil, errors.New("the region answers no questions")
		}
		reply, err := e.cfg.Ask(ctx, from, r.Question)
		return &answer{Reply: reply}, err
	}
	return nil, fmt.Errorf("a request of kind %d, which this version does not know: upgrade the older region", r.Kind)
}

// Digest implements link.Handler.
func (e *Engine) Digest(from string, digest []byte) {
	incarnation, rest, ok := link.Incarnation(digest)
	st := e.cfg.Cluster.State()
	o := st.OtherRegion(from)
	if !ok || len(rest) != 8 || o == nil || st.Region() == nil || incarnation < o.Incarnation {
		return
	}
	if incarnation > o.Incarnation || binary.BigEndian.Uint64(rest) > e.peer(from).since(st, o) {
		poke(e.peer(from).wake)
	}
}

// concerns tells whether another region has to learn of a key.
func concerns(k *fsm.Key, region string) bool { return k.Set != nil && k.Set.Member(region) != nil }

func endConcerns(end *fsm.ReplicaEnd, region string) bool {
	return slices.Contains(end.Members, region)
}

// part collects documents until a message is full.
type part struct {
	docs []fsm.KeyDoc
	size int
}

func (p *part) add(d *fsm.KeyDoc) {
	p.docs = append(p.docs, *d)
	p.size += docSize(d)
}

func (p *part) full() bool { return len(p.docs) >= maxDocs || p.size >= partBytes }

// A cursor of kindPull is the index of the state that the first part was read from (8 bytes), 0 for keys or 1 for ends (1 byte), and
// where to go on: index (8 bytes), account, NUL, key id.
func pullAnswer(st *fsm.State, from string, r *request) (*answer, error) {
	at, position, ends, ref := st.Index(), r.Position, false, fsm.KeyRef{}
	if r.Cursor != nil {
		var ok bool
		if at, ends, position, ref, ok = parseCursor(r.Cursor); !ok {
			return nil, errors.New("unreadable cursor")
		}
	}
	var p part
	if !ends {
		for k := range st.SetChanges(position, ref) {
			if !concerns(k, from) {
				continue
			}
			p.add(st.Doc(k))
			if p.full() {
				return &answer{Docs: p.docs, Next: cursor(at, false, k.Set.ChangedAt, k.Account, k.ID)}, nil
			}
		}
		position, ref = r.Position, fsm.KeyRef{}
	}
	for end := range st.EndChanges(position, ref) {
		if !endConcerns(end, from) {
			continue
		}
		p.add(st.EndDoc(end))
		if p.full() {
			return &answer{Docs: p.docs, Next: cursor(at, true, end.ChangedAt, end.Account, end.ID)}, nil
		}
	}
	return &answer{Docs: p.docs, Position: at}, nil
}

func cursor(at uint64, ends bool, index uint64, account, id string) []byte {
	b := binary.BigEndian.AppendUint64(nil, at)
	if ends {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.BigEndian.AppendUint64(b, index)
	return append(append(append(b, account...), 0), id...)
}

func parseCursor(b []byte) (at uint64, ends bool, index uint64, ref fsm.KeyRef, ok bool) {
	const fixed = 8 + 1 + 8
	if len(b) < fixed+12+1+1 || len(b) > fixed+12+1+64 || b[8] > 1 || b[fixed+12] != 0 {
		return 0, false, 0, ref, false
	}
	ref = fsm.KeyRef{Account: string(b[fixed : fixed+12]), ID: string(b[fixed+13:])}
	return binary.BigEndian.Uint64(b), b[8] == 1, binary.BigEndian.Uint64(b[9:]), ref, true
}

// bucketOf spreads keys over the buckets; hash is what the key adds to its bucket.
func bucketOf(account, id string, v fsm.SetVersion, gone bool) (bucket int, hash uint64) {
	b := append(append(append(make([]byte, 0, 96), account...), 0), id...)
	where := sha256.Sum256(b)
	b = binary.BigEndian.AppendUint64(b, v.Term)
	b = binary.BigEndian.AppendUint64(b, v.Index)
	if gone {
		b = append(b, 1)
	}
	what := sha256.Sum256(b)
	return int(binary.BigEndian.Uint16(where[:])) % bucketCount, binary.BigEndian.Uint64(what[:])
}

// shared yields what a region has to tell another one of the keys that they share.
func shared(st *fsm.State, other string) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for k := range st.SetChanges(0, fsm.KeyRef{}) {
			if concerns(k, other) && !yield(entry{k.Account, k.ID, k.Set.Version, false}) {
				return
			}
		}
		for end := range st.EndChanges(0, fsm.KeyRef{}) {
			if endConcerns(end, other) && !yield(entry{end.Account, end.ID, end.Seen, true}) {
				return
			}
		}
	}
}

// digest is the sum of what is shared with another region, in buckets.
func digest(st *fsm.State, other string) []uint64 {
	sums := make([]uint64, bucketCount)
	for en := range shared(st, other) {
		b, h := bucketOf(en.Account, en.ID, en.Version, en.Gone)
		sums[b] ^= h
	}
	return sums
}

// compareAnswer lists what is in the buckets that differ, from a bucket on, as many whole buckets as fit.
func compareAnswer(st *fsm.State, from string, r *request) *answer {
	mine := digest(st, from)
	var differ [bucketCount]bool
	differs := false
	for i := range mine {
		differ[i] = i >= r.From && mine[i] != r.Buckets[i]
		differs = differs || differ[i]
	}
	a := &answer{Position: st.Index(), Lives: st.Lives()}
	if !differs {
		return a
	}
	lists := make([][]entry, bucketCount)
	for en := range shared(st, from) {
		if b, _ := bucketOf(en.Account, en.ID, en.Version, en.Gone); differ[b] {
			lists[b] = append(lists[b], en)
		}
	}
	for b, list := range lists {
		if len(a.Entries) > 0 && len(a.Entries)+len(list) > maxEntries {
			a.From = b
			break
		}
		a.Entries = append(a.Entries, list[:min(len(list), maxEntries)]...)
	}
	return a
}

// tellAnswer takes over what the other region says of some keys and says how they are here.
func (e *Engine) tellAnswer(ctx context.Context, st *fsm.State, from string, r *request) (*answer, error) {
	keys := r.Keys
	if len(r.Docs) > 0 {
		if err := e.take(ctx, from, r.Incarnation, r.Docs); err != nil {
			e.log.Info("multi-Region keys: what the region told cannot be taken over yet", "region", from, "error", err)
		}
		for i := range r.Docs {
			keys = append(keys, fsm.KeyRef{Account: r.Docs[i].Account, ID: r.Docs[i].ID})
		}
		var err error
		if st, err = e.cfg.Cluster.View(ctx); err != nil {
			return nil, errors.New("the region cannot read its state now")
		}
	}
	var p part
	for _, ref := range keys {
		var d *fsm.KeyDoc
		if k := st.Key(ref.Account, ref.ID); k != nil && concerns(k, from) {
			d = st.Doc(k)
		} else if end := st.ReplicaEnd(ref.Account, ref.ID); k == nil && end != nil {
			d = st.EndDoc(end)
		}
		if d == nil {
			continue
		}
		p.add(d)
		if p.full() {
			return &answer{Docs: p.docs, Next: []byte{1}}, nil
		}
	}
	return &answer{Docs: p.docs}, nil
}
