package multiregion

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/fsm"
)

// Pull takes over what a region has changed since the last time, or, with all or where the position says nothing, what differs.
func (e *Engine) Pull(ctx context.Context, region string, all bool) error {
	st := e.cfg.Cluster.State()
	o := st.OtherRegion(region)
	if o == nil || st.Region() == nil {
		return nil
	}
	unheard := !st.Heard(o) || o.Forgets < st.Forgets()
	if all || unheard || o.Position == 0 {
		return e.compare(ctx, region)
	}
	p := e.peer(region)
	r := &request{Kind: kindPull, Position: p.since(st, o)}
	taken := false
	var left incomplete
	for {
		asked := time.Now()
		a, err := e.call(ctx, region, r)
		if err != nil {
			return err
		}
		if a.Incarnation != o.Incarnation {
			return e.compare(ctx, region) // positions of another life say nothing
		}
		if r.Cursor == nil {
			e.misses(region, a.Left)
		}
		if err := left.add(e.take(ctx, region, a.Incarnation, a.Docs)); err != nil {
			return err
		}
		e.took(region, a, asked)
		taken = taken || len(a.Docs) > 0
		if a.Next == nil {
			if !taken && a.Position < o.Position+maxBehind {
				p.Lock()
				p.pulled = pulled{st.Region().Incarnation(), o.Incarnation, a.Position}
				p.Unlock()
				return nil // idle regions write nothing
			}
			p.lacks(left.n, false)
			// What was left out is not asked for here again, or it would have everything told anew without end.
			return errors.Join(left.err(), e.propose(ctx, &fsm.MarkFeed{Region: region, Incarnation: a.Incarnation, Position: a.Position}))
		}
		r.Cursor = a.Next
	}
}

// maxBehind is how far the recorded position may fall behind while there is nothing to take over.
const maxBehind = 100_000

// compare finds out what differs between what this region knows and what another one tells of the keys that both share, and takes
// that over. Digests of buckets, then the versions in those that differ, then the documents of the keys that are newer.
func (e *Engine) compare(ctx context.Context, region string) error {
	st, err := e.cfg.Cluster.View(ctx)
	if err != nil {
		return err
	}
	r := &request{Kind: kindCompare, Buckets: digest(st, region)}
	mark := &fsm.MarkFeed{Region: region, Heard: true, HeardIn: st.Region().Incarnation()}
	var left incomplete
	for first := true; ; first = false {
		a, err := e.call(ctx, region, r)
		if err != nil {
			return err
		}
		if first {
			mark.Incarnation, mark.Position, mark.Forgets = a.Incarnation, a.Position, a.Forgets
			mark.Lives = a.Lives
		} else if a.Incarnation != mark.Incarnation {
			return fmt.Errorf("region %s began a new incarnation during a comparison", region)
		}
		if err := left.add(e.fetch(ctx, region, a.Incarnation, a.Entries)); err != nil {
			return err
		}
		if a.From == 0 {
			break
		}
		r.From = a.From
	}
	e.peer(region).lacks(left.n, true)
	if left.n > 0 {
		mark.Heard, mark.HeardIn, mark.Forgets, mark.Lives = false, 0, 0, nil // not everything was heard
	}
	return errors.Join(left.err(), e.propose(ctx, mark))
}

// incomplete counts the keys whose news could not be taken over for want of their material, and has the error of one of them. They hold
// up none of the others. What waits for them asks again every second: a replica that is being made, a rotation under way; and a
// comparison finds them all.
type incomplete struct {
	n     int
	cause error
}

func (i *incomplete) Error() string { return fmt.Sprintf("%d keys lack material: %v", i.n, i.cause) }
func (i *incomplete) Unwrap() error { return i.cause }

// add counts what is incomplete, and returns every other error.
func (i *incomplete) add(err error) error {
	var more *incomplete
	if !errors.As(err, &more) {
		return err
	}
	i.n, i.cause = i.n+more.n, more.cause
	return nil
}

// err is nil if nothing is incomplete.
func (i *incomplete) err() error {
	if i.n == 0 {
		return nil
	}
	return i
}

// fetch asks for the documents of entries that tell something new.
func (e *Engine) fetch(ctx context.Context, region string, incarnation uint64, entries []entry) error {
	st := e.cfg.Cluster.State()
	var left incomplete
	var keys []fsm.KeyRef
	for i := range entries {
		if en := &entries[i]; news(st, region, en) {
			keys = append(keys, fsm.KeyRef{Account: en.Account, ID: en.ID})
		}
	}
	for len(keys) > 0 {
		part := keys[:min(len(keys), maxDocs)]
		keys = keys[len(part):]
		for len(part) > 0 {
			asked := time.Now()
			a, err := e.call(ctx, region, &request{Kind: kindTell, Keys: part})
			if err != nil {
				return err
			}
			if a.Incarnation != incarnation {
				return fmt.Errorf("region %s began a new incarnation during a comparison", region)
			}
			if part, err = rest(part, a); err != nil {
				return fmt.Errorf("region %s: %w", region, err)
			}
			if err := left.add(e.take(ctx, region, incarnation, a.Docs)); err != nil {
				return err
			}
			e.took(region, a, asked)
		}
	}
	return left.err()
}

// rest is what of the keys an answer that was too large has left out. The documents are in the order of asking until take has them.
func rest(keys []fsm.KeyRef, a *answer) ([]fsm.KeyRef, error) {
	if len(a.Next) == 0 {
		return nil, nil
	}
	i := -1
	if n := len(a.Docs); n > 0 {
		last := &a.Docs[n-1]
		i = slices.IndexFunc(keys, func(k fsm.KeyRef) bool { return k.Account == last.Account && k.ID == last.ID })
	}
	if i < 0 {
		return nil, errors.New("an answer that ends with none of the keys that it is about")
	}
	return keys[i+1:], nil
}

// news tells whether another region's entry says more than this region knows.
func news(st *fsm.State, region string, en *entry) bool {
	k := st.Key(en.Account, en.ID)
	switch {
	case k == nil:
		end := st.ReplicaEnd(en.Account, en.ID)
		return !en.Gone && (end == nil || end.Seen.Compare(en.Version) < 0)
	case k.Set == nil:
		return !en.Gone
	case en.Gone:
		m := k.Set.Member(region)
		return m != nil && !m.Gone || k.Set.Updating == region
	}
	return k.Set.Version.Compare(en.Version) < 0
}

// atOnce is how many commands' worth of documents are taken over at a time: while material is on its way for some, others are committed.
const atOnce = 4

// take takes documents over, with the material that this region lacks. It succeeds once there is nothing more of them to take over; an
// *incomplete says that material is lacking for some of them alone.
func (e *Engine) take(ctx context.Context, region string, incarnation uint64, docs []fsm.KeyDoc) error {
	slices.SortFunc(docs, func(a, b fsm.KeyDoc) int { return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.ID, b.ID)) })
	docs = slices.CompactFunc(docs, func(a, b fsm.KeyDoc) bool { return a.Account == b.Account && a.ID == b.ID })
	var parts [][]fsm.KeyDoc
	for len(docs) > 0 {
		n := batch(docs)
		parts = append(parts, docs[:n])
		docs = docs[n:]
	}
	errs := make([]error, len(parts))
	var next atomic.Int64
	var work sync.WaitGroup
	for range min(len(parts), atOnce) {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(parts)); i = next.Add(1) - 1 {
				errs[i] = e.takeBatch(ctx, region, incarnation, parts[i])
			}
		})
	}
	work.Wait()
	var left incomplete
	for _, err := range errs {
		if err := left.add(err); err != nil {
			return err
		}
	}
	return left.err()
}

// batch is how many documents fit into one command, with the material that may come with them.
func batch(docs []fsm.KeyDoc) int {
	const room = fsm.MaxCommandSize / 2
	size := 0
	for i := range docs {
		size += docSize(&docs[i]) + 1024
		if i > 0 && size > room || i >= maxWanted {
			return i
		}
	}
	return len(docs)
}

// docSize is about how many bytes a document takes.
func docSize(d *fsm.KeyDoc) int {
	n := 256 + 512*len(d.Materials)
	for i := range d.Materials {
		n += len(d.Materials[i].Public)
	}
	n += 2 * len(d.Handover)
	for i := range d.Members {
		n += 64
		if f := d.Members[i].New; f != nil {
			n += len(f.Policy) + 2*len(f.Record) + len(f.Description) + 96*len(f.Tags) + 96*len(f.Principals)
		}
	}
	return n
}

func (e *Engine) takeBatch(ctx context.Context, region string, incarnation uint64, docs []fsm.KeyDoc) error {
	if err := e.sync(ctx, region, incarnation, docs); err != nil {
		return err
	}
	st := e.cfg.Cluster.State()
	var wanted []Wanted
	var lacking []fsm.KeyDoc
	for i := range docs {
		d := &docs[i]
		ids := st.Lacks(d)
		if len(ids) == 0 {
			continue
		}
		lacking = append(lacking, *d)
		for _, id := range ids {
			wanted = append(wanted, Wanted{Account: d.Account, ID: d.ID, Material: id, Version: d.Version})
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	var left incomplete
	if err := left.add(e.fetchMaterials(ctx, region, wanted, lacking)); err != nil {
		return err
	}
	for len(lacking) > 0 {
		n := batch(lacking)
		if err := e.sync(ctx, region, incarnation, lacking[:n]); err != nil {
			return err
		}
		lacking = lacking[n:]
	}
	return left.err()
}

// fetchMaterials asks for materials and puts them into the documents.
func (e *Engine) fetchMaterials(ctx context.Context, region string, wanted []Wanted, docs []fsm.KeyDoc) error {
	for i := range docs {
		docs[i].Materials = slices.Clone(docs[i].Materials)
	}
	var left incomplete
	for len(wanted) > 0 {
		part := wanted[:min(len(wanted), maxWanted)]
		wanted = wanted[len(part):]
		nonce := make([]byte, nonceSize)
		rand.Read(nonce)
		shared := e.cfg.Materials.TakesShared(e.cfg.Cluster.State())
		a, err := e.call(ctx, region, &request{Kind: kindMaterials, Nonce: nonce, Wanted: part, Shared: shared})
		if err != nil {
			return fmt.Errorf("material from region %s: %w", region, err)
		}
		st := e.cfg.Cluster.State()
		o := st.OtherRegion(region)
		switch {
		case a.Bundle == nil || o == nil || o.Incarnation != a.Incarnation:
			return fmt.Errorf("region %s handed out no material of its present incarnation", region)
		case !a.Bundle.answers(part):
			return fmt.Errorf("region %s handed out other material than was asked for", region)
		}
		got, err := e.cfg.Materials.TakeIn(ctx, st, o, nonce, a.Bundle)
		if err != nil {
			return fmt.Errorf("material from region %s: %w", region, err)
		}
		if n := len(part) - len(got); n > 0 {
			_ = left.add(&incomplete{n, fmt.Errorf("region %s has %d of %d materials", region, len(got), len(part))})
		}
		for i := range got {
			if err := got[i].Err; err != nil {
				_ = left.add(&incomplete{1, fmt.Errorf("material from region %s: %w", region, err)})
				continue
			}
			fill(docs, &a.Bundle.Items[i], &got[i].Material)
		}
	}
	return left.err()
}

func fill(docs []fsm.KeyDoc, it *Item, m *fsm.Material) {
	// take has the documents in order, one of each key.
	i, ok := slices.BinarySearchFunc(docs, it, func(d fsm.KeyDoc, it *Item) int {
		return cmp.Or(cmp.Compare(d.Account, it.Account), cmp.Compare(d.ID, it.ID))
	})
	if !ok || it.Version.Compare(docs[i].Version) < 0 {
		return
	}
	for j := range docs[i].Materials {
		if f := &docs[i].Materials[j]; bytes.Equal(f.ID, it.Material) {
			f.Domain, f.Blob, f.Public = m.Domain, m.Blob, m.Public
		}
	}
}

// syncTries is how often documents are judged anew because a key has changed in between.
const syncTries = 8

// sync proposes the documents that have an effect. What a change is recorded as depends on the key as it was, and the same news may be
// on its way twice, by a pull and by an answer to a tell: a command whose keys have changed meanwhile is refused and made again.
func (e *Engine) sync(ctx context.Context, region string, incarnation uint64, docs []fsm.KeyDoc) error {
	for range syncTries {
		cmd, ok := e.plan(region, incarnation, docs)
		if !ok {
			return nil
		}
		res, err := e.cfg.Cluster.Propose(ctx, cmd)
		if err != nil {
			return err
		}
		if res.Code != fsm.Stale {
			e.Changed()
			return nil
		}
	}
	return fmt.Errorf("keys shared with region %s change all the time", region)
}

// plan is the command that takes over what has an effect on this node's state.
func (e *Engine) plan(region string, incarnation uint64, docs []fsm.KeyDoc) (cmd fsm.Command, ok bool) {
	st := e.cfg.Cluster.State()
	body := &fsm.SyncKeys{Region: region, Incarnation: incarnation}
	var audit [][]byte
	cmd = command(st, body)
	for i := range docs {
		d := &docs[i]
		if !st.Wants(region, incarnation, d) {
			continue
		}
		body.Docs = append(body.Docs, *d)
		records := e.records(st, d)
		if len(records) == 0 {
			continue
		}
		audit = append(audit, records...)
		read := fsm.Read{Doc: fsm.DocKey, Account: d.Account, Name: d.ID}
		if k := st.Key(d.Account, d.ID); k != nil {
			read.Version = k.Version
		}
		cmd.Reads = append(cmd.Reads, read)
	}
	cmd.Audit = bytes.Join(audit, []byte{'\n'})
	return cmd, len(body.Docs) > 0
}

// records are the audit records of taking a document over: that of the creation, with the identity of whoever asked for it, or that of
// a synchronization.
func (e *Engine) records(st *fsm.State, d *fsm.KeyDoc) [][]byte {
	k := st.Key(d.Account, d.ID)
	switch {
	case d.Gone:
		return nil
	case k == nil:
		for i := range d.Members {
			if m := &d.Members[i]; m.Region == st.Region().Name && m.New != nil && len(m.New.Record) > 0 {
				return [][]byte{m.New.Record}
			}
		}
		return nil
	case k.Set != nil && d.Primary == st.Region().Name && k.Set.Primary != d.Primary && len(d.Handover) > 0:
		return [][]byte{d.Handover}
	case k.Set != nil && d.Version.Compare(k.Set.Version) > 0 && e.cfg.Synchronized != nil:
		return [][]byte{e.cfg.Synchronized(d.Account, d.ID, d.Primary)}
	}
	return nil
}
