package cluster

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Storage is what a node keeps for Raft: the log, the term and the vote. A write that returns nil is on the disk.
// Config.WrapStorage may put a layer around the real one, to stall it or to let it fail.
type Storage interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// keyCurrentTerm is the name under which the library stores its term.
const keyCurrentTerm = "CurrentTerm"

// notFound is the text by which the library recognizes an absent value (raft api.go, NewRaft): it compares the text, so
// such an error must pass unwrapped.
const notFound = "not found"

// guard stands between the library and Storage. The library survives errors of its store, and must not: a follower that
// truncated its log and then failed to append keeps a wrong last index, and after a failed fsync the next one may succeed
// although the kernel has dropped the pages. So the first error ends all work with the store for good: it is reported
// (lifeline.fail), and the goroutine that wrote ends with runtime.Goexit, as if the process had been killed in the middle
// of the write. Its deferred functions run, which in the library answer waiting callers with "leadership lost" (an
// unknown outcome) and peers with "no", stop replication, and let Shutdown return; nothing is ever answered as done.
type guard struct {
	inner Storage
	life  *lifeline
	pace  *pace
	base  time.Time // what busy counts from, by the monotonic clock

	// last is the index of the last entry stored. It is set before the library's own last index, which is set before
	// anybody is told of the entry, so reading it instead (without the library's mutex) misses no acknowledged entry.
	last atomic.Uint64
	// term is the highest term stored; written by the library's main goroutine only.
	term atomic.Uint64

	writes  atomic.Uint64 // committed transactions of any kind
	entries atomic.Uint64 // log entries stored
	bytes   atomic.Uint64 // their data
	busy    atomic.Int64  // start of the write under way, nanoseconds since base, 0 = none
	slowest atomic.Int64  // longest write so far, nanoseconds
	closed  atomic.Bool
}

// newGuard reads where the store stands. Errors here are returned, not fatal: Open has promised nothing yet.
func newGuard(inner Storage, life *lifeline, p *pace) (*guard, error) {
	g := &guard{inner: inner, life: life, pace: p, base: time.Now()}
	last, err := inner.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("cluster: read the log's last index: %w", err)
	}
	g.last.Store(last)
	term, err := inner.GetUint64([]byte(keyCurrentTerm))
	if err != nil && err.Error() != notFound {
		return nil, fmt.Errorf("cluster: read the term: %w", err)
	}
	g.term.Store(term)
	return g, nil
}

// write runs one write of the store that somebody waits for. It returns only if the write succeeded.
func (g *guard) write(what string, f func() error) {
	g.pace.urgent(func() { g.commit(what, f) })
}

// commit runs one write of the store. It returns only if the write succeeded.
func (g *guard) commit(what string, f func() error) {
	if g.life.stopped() || g.closed.Load() {
		runtime.Goexit()
	}
	start := max(1, int64(time.Since(g.base)))
	g.busy.Store(start)
	err := f()
	g.busy.CompareAndSwap(start, 0)
	raise(&g.slowest, int64(time.Since(g.base))-start)
	g.end("write", what, err)
	g.writes.Add(1)
}

// end ends the goroutine if err is one that a store must not have.
func (g *guard) end(verb, what string, err error) {
	if err == nil {
		return
	}
	if !g.closed.Load() {
		g.life.fail(fmt.Errorf("cluster: %s %s: %w", verb, what, err))
	}
	runtime.Goexit()
}

// StoreLogs implements raft.LogStore. It returns nil or not at all.
func (g *guard) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	g.write("log entries", func() error { return g.inner.StoreLogs(logs) })
	n := 0
	for _, l := range logs {
		n += len(l.Data)
	}
	g.entries.Add(uint64(len(logs)))
	g.bytes.Add(uint64(n))
	g.last.Store(logs[len(logs)-1].Index)
	return nil
}

// StoreLog implements raft.LogStore.
func (g *guard) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// DeleteRange implements raft.LogStore. last is left alone: after a truncation the library stores the entries that take
// the place at once, and a last index that is too high for a moment only makes a read wait.
//
// The start of the log, which a snapshot has made needless, goes in steps: after a million entries one transaction would
// hold up every other write for seconds. Each step leaves a log without gaps. Its end goes at once.
func (g *guard) DeleteRange(from, to uint64) error {
	first, _ := g.FirstIndex()
	last, _ := g.LastIndex()
	if from == first && to < last {
		g.compact(from, to)
		return nil
	}
	g.write("log truncation", func() error { return g.inner.DeleteRange(from, to) })
	return nil
}

// compactStep is how many entries of the log's start are deleted in one transaction.
const compactStep = 512

// compact deletes the start of the log up to an index. If the node closes meanwhile the rest stays for the next time.
func (g *guard) compact(from, to uint64) {
	for from <= to {
		end := min(to, from+compactStep-1)
		if g.pace.piece(func() error {
			g.commit("log truncation", func() error { return g.inner.DeleteRange(from, end) })
			return nil
		}) != nil {
			return
		}
		next, _ := g.FirstIndex()
		from = max(next, end+1) // the log may have a hole that a snapshot fills
	}
}

// Set implements raft.StableStore.
func (g *guard) Set(key, val []byte) error {
	g.write("vote", func() error { return g.inner.Set(key, val) })
	return nil
}

// SetUint64 implements raft.StableStore. A falling term would let the node vote twice in one term: that is fatal too.
func (g *guard) SetUint64(key []byte, val uint64) error {
	if string(key) == keyCurrentTerm {
		if old := g.term.Load(); val < old {
			g.end("write", "term", fmt.Errorf("the term would fall from %d to %d; this is a fault of the program, please report it", old, val))
		}
	}
	g.write("term", func() error { return g.inner.SetUint64(key, val) })
	if string(key) == keyCurrentTerm {
		g.term.Store(val)
	}
	return nil
}

// Get implements raft.StableStore.
func (g *guard) Get(key []byte) ([]byte, error) {
	v, err := g.inner.Get(key)
	if err != nil && err.Error() != notFound {
		g.end("read", "stored value", err)
	}
	return v, err
}

// GetUint64 implements raft.StableStore.
func (g *guard) GetUint64(key []byte) (uint64, error) {
	v, err := g.inner.GetUint64(key)
	if err != nil && err.Error() != notFound {
		g.end("read", "stored value", err)
	}
	return v, err
}

// GetLog implements raft.LogStore. An entry that is there but cannot be read means a damaged file.
func (g *guard) GetLog(index uint64, l *raft.Log) error {
	err := g.inner.GetLog(index, l)
	if err == nil || errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	g.end("read", fmt.Sprintf("log entry %d", index), err)
	return err
}

// FirstIndex implements raft.LogStore.
func (g *guard) FirstIndex() (uint64, error) {
	i, err := g.inner.FirstIndex()
	g.end("read", "first log index", err)
	return i, nil
}

// LastIndex implements raft.LogStore.
func (g *guard) LastIndex() (uint64, error) {
	i, err := g.inner.LastIndex()
	g.end("read", "last log index", err)
	return i, nil
}

// stall is how long the write under way has taken, 0 if none is.
func (g *guard) stall() time.Duration {
	start := g.busy.Load()
	if start == 0 {
		return 0
	}
	return time.Since(g.base) - time.Duration(start)
}

// raise lifts a to v if it is lower.
func raise(a *atomic.Int64, v int64) {
	for old := a.Load(); old < v; old = a.Load() {
		if a.CompareAndSwap(old, v) {
			return
		}
	}
}

// close closes the store; stragglers of the library that come later end quietly.
func (g *guard) close() error {
	if g.closed.Swap(true) {
		return nil
	}
	return g.inner.Close()
}
