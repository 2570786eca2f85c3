package fsm

import (
	"fmt"

	memdb "github.com/hashicorp/go-memdb"
	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm/planted"
)

// draft is the state that a batch of entries is making. It is published as one State.
type draft struct {
	view     // the write transaction
	db       *memdb.MemDB
	interner *interner
	events   []Event

	index    uint64
	cfgIndex uint64
	cfg      raft.Configuration
	now      int64
	region   *Region
	quotas   Quotas
	repeats  remembered
}

func newDraft(db *memdb.MemDB, in *interner, s *State) *draft {
	return &draft{
		view: view{txn: db.Txn(true), lookups: s.lookups}, db: db, interner: in,
		index: s.index, cfgIndex: s.cfgIndex, cfg: s.cfg,
		now: s.now, region: s.region, quotas: s.quotas, repeats: s.repeats,
	}
}

// commit makes the draft a State. The draft must not be used afterwards.
func (d *draft) commit() *State {
	d.txn.Commit()
	return &State{
		view:  view{txn: d.db.Txn(false), lookups: d.lookups},
		index: d.index, cfgIndex: d.cfgIndex, cfg: d.cfg,
		now: d.now, region: d.region, quotas: d.quotas, repeats: d.repeats,
	}
}

// tx is one command on its way into a draft. It reads the draft and stages changes, which reach the draft only once
// the command has taken effect and its audit record is written: a refused command cannot leave anything behind.
type tx struct {
	view    // of the draft, without what the command has staged
	d       *draft
	index   uint64 // of the command's log entry
	time    int64  // of the command
	now     int64  // region time, if the command takes effect
	changes []change
	events  []Event
	region  *Region // nil unless the command changes it
	quotas  *Quotas // nil unless the command changes them
}

// change is one row to be put, or to be removed.
type change struct {
	table  string
	row    any
	remove bool
}

// put stages a row. It must be new or a copy: rows of the state are shared with readers.
func (t *tx) put(table string, row any) {
	t.changes = append(t.changes, change{table, row, false})
}

func (t *tx) remove(table string, row any) {
	t.changes = append(t.changes, change{table, row, true})
}

// putKey stages a key that the command has changed.
func (t *tx) putKey(k *Key) {
	k.Version = t.index
	t.put(tableKeys, k)
}

func (t *tx) event(kind EventKind, account, id string, material []byte) {
	t.events = append(t.events, Event{Kind: kind, Index: t.index, Account: account, ID: id, MaterialID: material})
}

// regionRow is the row that the command leaves of the region, to be changed.
func (t *tx) regionRow() *Region {
	if t.region == nil {
		r := *t.d.region
		t.region = &r
	}
	return t.region
}

// flush moves the staged changes into the draft.
func (t *tx) flush() error {
	for i := range t.changes {
		c := &t.changes[i]
		var err error
		if c.remove {
			err = t.txn.Delete(c.table, c.row)
		} else {
			err = t.txn.Insert(c.table, c.row)
		}
		if err != nil {
			return fmt.Errorf("fsm: table %s: %w", c.table, err)
		}
	}
	if t.region != nil {
		t.d.region = t.region
	}
	if t.quotas != nil {
		t.d.quotas = *t.quotas
	}
	t.d.now = t.now
	t.d.events = append(t.d.events, t.events...)
	return nil
}

// A jump of region time by more than holdAfter keeps anything from being destroyed for holdFor, so that a clock that was wrong
// for a moment, or a long stop, does not end waiting periods that nobody could watch. Milliseconds.
const (
	holdAfter = 24 * 60 * 60 * 1000
	holdFor   = 24 * 60 * 60 * 1000
)

// holdAfterJump begins a hold if the command carries region time on too far. A new region has no time to jump from.
func (t *tx) holdAfterJump() {
	if t.d.region == nil || t.now-t.d.now <= holdAfter {
		return
	}
	t.regionRow().HoldUntil = t.now + holdFor
}

// held tells whether nothing may be destroyed at the command's time: during a hold, or by the very command that jumps.
func (t *tx) held() bool {
	return t.d.region != nil && (t.now-t.d.now > holdAfter || t.now < t.d.region.HoldUntil)
}

// outcome is what an apply function says: OK, or a refusal with the condition that failed.
type outcome struct {
	code    Code
	detail  string
	objects []string
}

func done(objects ...string) outcome { return outcome{objects: objects} }
func stale(detail string) outcome    { return outcome{code: Stale, detail: detail} }
func conflict(detail string) outcome { return outcome{code: Conflict, detail: detail} }
func notReady(detail string) outcome { return outcome{code: NotReady, detail: detail} }
func (o outcome) ok() bool           { return o.code == OK }
func (o outcome) result(i uint64) Result {
	return Result{Code: o.code, Index: i, Objects: o.objects, Detail: o.detail}
}

// step applies one command of the log at its index. Only an entry that cannot be read or recorded is an error.
func (d *draft) step(index uint64, data []byte, sink func(uint64, []byte) error) (Result, error) {
	c, row, err := decode(data)
	if err != nil {
		return Result{}, err
	}
	if r, ok := d.repeat(row, &c); ok {
		return Result{Index: r.Index, Objects: r.Objects, Repeat: true}, nil
	}
	t := &tx{view: d.view, d: d, index: index, time: c.Time, now: max(d.now, c.Time)}
	out := t.judge(row, &c)
	if !out.ok() {
		return out.result(index), nil
	}
	t.holdAfterJump()
	if len(c.Audit) > 0 && sink != nil {
		if err := sink(index, c.Audit); err != nil {
			return Result{}, fmt.Errorf("fsm: audit record of entry %d: %w", index, err)
		}
	}
	if err := t.flush(); err != nil {
		return Result{}, err
	}
	if row.remember && c.ID != (CommandID{}) {
		d.repeats = d.repeats.add(c.ID, Remembered{c.Signature, index, out.objects, c.Settles})
	}
	return out.result(index), nil
}

func (d *draft) repeat(row *commandRow, c *Command) (Remembered, bool) {
	if !row.remember || planted.Bug(planted.IgnoreRetryIDs) {
		return Remembered{}, false
	}
	return d.repeats.repeat(c.ID, c.Attempt, c.Signature)
}

// judge decides a command: whether its body is one that any node would apply, the region is there, the documents are
// those that the decision was based on, and the conditions of its kind hold.
func (t *tx) judge(row *commandRow, c *Command) outcome {
	if err := row.check(c.Body); err != nil {
		return conflict(err.Error())
	}
	if t.d.region == nil && !row.initial {
		return notReady("the region is not initialized")
	}
	for i := range c.Reads {
		if planted.Bug(planted.SkipReadSet) {
			break
		}
		if t.version(c.Reads[i]) != c.Reads[i].Version {
			return stale("a document of the read set has changed")
		}
	}
	if out := t.elsewhere(row); !out.ok() {
		return out
	}
	out := row.apply(t, c.Body)
	if out.ok() && row.identity && t.d.region != nil && t.d.region.SharedFrom != 0 {
		t.event(EventIdentities, "", "", nil)
	}
	return out
}
