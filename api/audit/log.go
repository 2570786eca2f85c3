package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Log is a node's audit log, open for writing. All methods may be called concurrently. Three locks, taken in the order
// syncMu, w, mu (Append tries w while it holds mu, but never waits for it there).
type Log struct {
	cfg  Config
	fs   filesystem
	held io.Closer // the directory's lock

	mu       sync.Mutex
	queue    *batch // records that wait for the next writer; nil if none; under mu
	draining bool   // a goroutine writes the queue out; under mu
	closed   bool   // under mu
	drainers sync.WaitGroup

	// w is the writer's role: who holds it may write to the open segment.
	w       sync.Mutex
	seg     *segment // nil while no space could be reserved for one; under w
	number  uint64   // of the newest segment; under w
	at      place    // after the last encoded record; under w
	flushed place    // after the last record that is in the file; under w
	out     []byte   // encoded, not yet in the file; under w
	hash    *hasher  // under w
	recs    [][]byte // scratch; under w
	spare   []byte   // buffer of a past batch, for the next one; under mu

	syncMu sync.Mutex // held while the open segment is synced in the background and while a finished one is closed

	space  space
	heads  headQueue
	st     stats
	failed atomic.Pointer[error]

	stop     context.CancelFunc
	tasks    sync.WaitGroup // sync, keeper
	settling sync.WaitGroup // finished segments on their way to their heads
	signing  sync.WaitGroup
	cancel   context.CancelFunc // of the signing task
}

// segment is an open file of the log.
type segment struct {
	number uint64
	name   string
	f      file
	limit  int64     // end of the space that every record may use
	hard   int64     // end of the space that committed records may use
	soft   bool      // the filesystem could not reserve: ENOSPC is possible and not fatal
	since  time.Time // of the first record
	lost   bool      // the file was deleted, replaced or cut from outside
}

// Open opens the log in cfg.Dir, or begins it. It repairs what a crash left (see the package comment, Recovery), makes
// what it found durable, and reserves space. A full volume does not keep it from opening: Status is red then and records
// are refused until there is space.
func Open(cfg Config) (*Log, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	fsys := cfg.fs
	if fsys == nil {
		if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
			return nil, fmt.Errorf("audit: making the log's directory: %w", err)
		}
		fsys = dirFS{cfg.Dir}
	}
	held, err := fsys.lock()
	if err != nil {
		return nil, fmt.Errorf("audit: locking %s: %w", cfg.Dir, err)
	}
	l := &Log{cfg: cfg, fs: fsys, held: held, hash: newHasher()}
	l.heads.init()
	if err := l.start(); err != nil {
		if l.seg != nil {
			l.seg.f.close()
		}
		l.space.close()
		return nil, errors.Join(err, held.Close())
	}
	return l, nil
}

func (l *Log) start() error {
	fatal := l.cfg.Fatal
	l.cfg.Fatal = func(error) {} // until Open has succeeded, its error says it
	if err := l.recover(); err != nil {
		return err
	}
	l.flushed = l.at
	l.st.begin(l.at)
	l.measure()
	if l.seg == nil {
		if err := l.nextSegment(); err != nil && !errors.Is(err, ErrNoSpace) {
			return err
		}
	}
	l.provide()
	l.cfg.Fatal = fatal
	ctx, stop := context.WithCancel(context.Background())
	signing, cancel := context.WithCancel(context.Background())
	l.stop, l.cancel = stop, cancel
	l.tasks.Go(func() { l.syncTask(ctx) })
	l.tasks.Go(func() { l.keeperTask(ctx) })
	l.signing.Go(func() { l.headTask(signing) })
	return nil
}

// Close writes out what waits, closes the open segment with its head and waits until that head and all older ones are
// signed and announced, or ctx ends; heads that are left over then are signed after the next Open. Calls that come
// later return ErrClosed. Only the first call does anything.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	l.drainers.Wait()
	l.stop()
	l.tasks.Wait()

	err := l.closeSegment()
	l.settling.Wait()
	waitErr := l.heads.wait(ctx)
	l.cancel()
	l.signing.Wait()
	l.space.close()
	return errors.Join(err, waitErr, l.held.Close())
}

// closeSegment ends the open segment without opening another. An empty one stays as the open segment of the next Open.
func (l *Log) closeSegment() error {
	l.w.Lock()
	defer l.w.Unlock()
	if l.seg == nil {
		return nil
	}
	if err := l.failure(); err != nil {
		return errors.Join(err, l.seg.f.close())
	}
	if l.at.records == 0 {
		err := l.seg.f.close()
		l.seg = nil
		return err
	}
	if err := l.seg.f.sync(); err != nil {
		return l.die(fmt.Errorf("syncing %s: %w", l.seg.name, err))
	}
	l.st.synced(l.at.seq, time.Time{})
	l.finish()
	l.seg = nil
	return nil
}

// failure returns why the log takes nothing any more, or nil.
func (l *Log) failure() error {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// die records the first fatal error, tells the owner, and returns it.
func (l *Log) die(cause error) error {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	if l.failed.CompareAndSwap(nil, &err) {
		l.cfg.Logger.Error("the audit log failed; the process has to end", "error", cause)
		l.st.failed(err, l.cfg.Now())
		go l.cfg.Fatal(err)
	}
	return l.failure()
}

// LastIndex returns the highest Raft index (of Config.LogID) whose records the log holds; 0 if none. After Open those
// are on the disk. Later they are after the next [Log.Sync].
func (l *Log) LastIndex() uint64 { return l.st.lastIndex() }
