package fsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	memdb "github.com/hashicorp/go-memdb"
	"github.com/hashicorp/raft"
)

// ErrStopped reports an FSM that has met an entry which it could neither apply nor skip. The node must be stopped.
var ErrStopped = errors.New("fsm: stopped at an entry that cannot be applied: stop this node and see its log for the cause")

// Options are what an FSM needs from outside.
type Options struct {
	// Sink takes the audit record of each command that took effect, in log order, before the change can be read. It is
	// called on raft's apply goroutine; record is valid only during the call. After a restart raft replays the log since
	// the last snapshot, so the sink meets indexes again that it has already written. An error stops the FSM. Nil =
	// records are dropped (tools that only read a log).
	Sink func(index uint64, record []byte) error
	// SyncSink makes the records of all entries up to index durable. It is called before a snapshot is completed, since
	// raft may then drop these entries. An error fails the snapshot. Nil = nothing to do.
	SyncSink func(index uint64) error
	// OnEvent takes what caches must drop, in log order, after the change was published and before its proposer is
	// answered. It is called on raft's apply goroutine, must not block, and may call only State. Nil = nobody cares.
	OnEvent func(Event)
	// Fatal is told, once, why the FSM has stopped. It should end the process; if it returns, every later entry is
	// answered with ErrStopped and the state stays as it was. It must not call back into the FSM. Required.
	Fatal func(error)
	// Logger takes what operators may want to know. Nil = discarded.
	Logger *slog.Logger
}

// FSM is the state machine of one node. Apply, ApplyBatch, StoreConfiguration, Snapshot and Restore are for raft; State
// and Wait are for everybody, on any goroutine.
type FSM struct {
	options Options
	waiters waiters
	state   atomic.Pointer[State] // the published state, never nil
	stopped chan struct{}         // closed when the FSM stops

	mu       sync.Mutex // held while the state changes; raft calls one at a time, tools might not
	db       *memdb.MemDB
	interner *interner
	failure  error // why the FSM has stopped
}

// The interfaces of raft. ConfigurationStore makes every committed index but no-ops and barriers reach the FSM.
var (
	_ raft.BatchingFSM        = (*FSM)(nil)
	_ raft.ConfigurationStore = (*FSM)(nil)
)

// New returns an FSM with an empty state at index 0. It fails if Fatal is missing or the command table is broken.
func New(o Options) (*FSM, error) {
	if o.Fatal == nil {
		return nil, errors.New("fsm: Options.Fatal is required: an entry that cannot be applied must end the process")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if _, err := table(); err != nil {
		return nil, err
	}
	db, err := newDB()
	if err != nil {
		return nil, err
	}
	f := &FSM{options: o, db: db, interner: new(interner), stopped: make(chan struct{})}
	f.state.Store(emptyState(db))
	return f, nil
}

func emptyState(db *memdb.MemDB) *State {
	return &State{
		view:    view{txn: db.Txn(false), lookups: newLookups()},
		repeats: newRemembered(RememberedCommands, segmentSize),
	}
}

// segmentSize is a compromise: a lookup of a command id asks up to nine segments, and the oldest is kept in memory
// until its last entry is forgotten.
const segmentSize = RememberedCommands / 8

// State returns the latest published state, never nil. A linearizable read needs Wait with the index of a read round.
func (f *FSM) State() *State { return f.state.Load() }

// Wait returns a state whose index is at least the given one, as soon as there is one; or the context's error; or
// ErrStopped. Waiting leaves nothing behind.
func (f *FSM) Wait(ctx context.Context, index uint64) (*State, error) {
	if s := f.State(); s.index >= index {
		return s, nil
	}
	reached := func() bool { return f.State().index >= index }
	if err := f.waiters.wait(ctx, index, reached, f.stopped); err != nil {
		return nil, fmt.Errorf("fsm: waiting for index %d: %w", index, err)
	}
	return f.State(), nil
}

// Apply implements raft.FSM. The response is a Result, or an error once the FSM has stopped.
func (f *FSM) Apply(entry *raft.Log) any { return f.ApplyBatch([]*raft.Log{entry})[0] }

// ApplyBatch implements raft.BatchingFSM. The responses are as many as the entries: a Result for a command, nil for a
// configuration, an error for the entry at which the FSM stopped and all after it. The entries before that one are
// published together.
func (f *FSM) ApplyBatch(entries []*raft.Log) []any {
	f.mu.Lock()
	defer f.mu.Unlock()
	responses := make([]any, len(entries))
	if f.failure != nil {
		fill(responses, f.failure)
		return responses
	}
	d := newDraft(f.db, f.interner, f.State())
	for i, entry := range entries {
		response, err := f.applyEntry(d, entry)
		if err != nil {
			f.publish(d.commit(), d.events)
			f.stop(fmt.Errorf("entry %d: %w", entry.Index, err))
			fill(responses[i:], f.failure)
			return responses
		}
		responses[i] = response
	}
	f.publish(d.commit(), d.events)
	return responses
}

func fill(responses []any, err error) {
	for i := range responses {
		responses[i] = err
	}
}

func (f *FSM) applyEntry(d *draft, entry *raft.Log) (any, error) {
	if entry.Index <= d.index {
		return nil, fmt.Errorf("fsm: the log went back: entry %d after %d was applied", entry.Index, d.index)
	}
	switch entry.Type {
	case raft.LogCommand:
		result, err := d.step(entry.Index, entry.Data, f.options.Sink)
		if err != nil {
			return nil, err
		}
		d.index = entry.Index
		return result, nil
	case raft.LogConfiguration:
		cfg, err := decodeConfiguration(entry.Data)
		if err != nil {
			return nil, err
		}
		return nil, d.configure(entry.Index, cfg)
	}
	return nil, fmt.Errorf("fsm: entry of raft type %v", entry.Type)
}

func (d *draft) configure(index uint64, cfg raft.Configuration) error {
	if err := d.forgetRemoved(index, cfg); err != nil {
		return fmt.Errorf("fsm: configuration entry: %w", err)
	}
	d.index, d.cfgIndex, d.cfg = index, index, cfg.Clone()
	return nil
}

// decodeConfiguration turns the panic of raft.DecodeConfiguration into an error.
func decodeConfiguration(data []byte) (cfg raft.Configuration, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fsm: configuration entry: %v", r)
		}
	}()
	return raft.DecodeConfiguration(data), nil
}

// StoreConfiguration implements raft.ConfigurationStore: the index counts as applied, and the configuration is the one
// whose voters a read round asks.
func (f *FSM) StoreConfiguration(index uint64, cfg raft.Configuration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return
	}
	if applied := f.State().index; index <= applied {
		f.stop(fmt.Errorf("fsm: the log went back: configuration %d after %d was applied", index, applied))
		return
	}
	d := newDraft(f.db, f.interner, f.State())
	if err := d.configure(index, cfg); err != nil {
		f.stop(err)
		return
	}
	f.publish(d.commit(), nil)
}

// publish makes s the state for all readers, then tells caches, then wakes who waits for it. f.mu is held.
func (f *FSM) publish(s *State, events []Event) {
	f.state.Store(s)
	if f.options.OnEvent != nil {
		for _, e := range events {
			f.options.OnEvent(e)
		}
	}
	f.waiters.reach(s.index)
}

// stop ends the FSM's life. f.mu is held.
func (f *FSM) stop(cause error) {
	f.failure = fmt.Errorf("%w: %w", ErrStopped, cause)
	close(f.stopped)
	f.options.Logger.Error("state machine stopped", "error", cause)
	f.options.Fatal(f.failure)
}
