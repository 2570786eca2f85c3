package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Errors of a [Log]. Append and AppendCommitted wrap them.
var (
	// ErrNoSpace: no space can be reserved for the record, so nothing was written; the caller refuses the operation.
	// Freeing space on the volume mends it without a restart.
	ErrNoSpace = errors.New("audit: no space can be reserved for the record; free space on the audit volume")
	// ErrReserveExhausted: not even the reserve for committed records has room, nothing was written; the caller stops
	// applying. Once space is free, the same call succeeds. It wraps ErrNoSpace too.
	ErrReserveExhausted = errors.New("audit: the reserve for committed records is used up; free space on the audit volume")
	// ErrFailed: a write or sync on reserved space failed. The log takes nothing any more and the process has to end,
	// because after a failed sync nobody knows what the disk holds.
	ErrFailed = errors.New("audit: the log failed and needs a restart")
	// ErrBusy: more than 64 MiB of records wait for the disk; nothing was written, the caller refuses the operation.
	ErrBusy = errors.New("audit: too many records wait for the disk")
	// ErrClosed: the log is closed.
	ErrClosed = errors.New("audit: the log is closed")
)

// FsyncMode says when [Log.Append] returns.
type FsyncMode string

const (
	// FsyncInterval: once the record is written; the disk has it after at most Config.Interval plus one sync.
	FsyncInterval FsyncMode = "interval"
	// FsyncAlways: once the disk has the record. Callers that wait at the same time share one sync.
	FsyncAlways FsyncMode = "always"
)

// MinSegmentSize is the least Config.SegmentSize and Config.Reserve in bytes (1 MiB): a few records of full length.
const MinSegmentSize = 4 * MaxRecord

// Config describes a [Log]. Zero values take the defaults that stand behind them.
type Config struct {
	// Dir holds the segments and nothing else; it is made if missing. An own volume is best: whatever else fills it makes
	// this log refuse, and the other way round.
	Dir string
	// NodeID names this node in every line: 1 to 128 characters of [A-Za-z0-9._:/-]. Required. A directory belongs to one
	// node for ever, because the chain starts from its name.
	NodeID string
	// LogID names the Raft log whose indexes AppendCommitted carries, in the same characters; may be empty. It has to
	// change when indexes start anew (a restore into a new cluster), else their records would be taken for replays.
	LogID string

	// SegmentSize is what a segment holds in bytes, Reserve what it holds on top for committed records only. Both are
	// allocated before the first record is written, for the open segment and for the next one. Defaults 64 MiB and 8 MiB.
	SegmentSize int64
	Reserve     int64
	// SegmentAge closes a segment this long after its first record. Default 24 h.
	SegmentAge time.Duration

	// Fsync is FsyncInterval by default. Interval is the time between background syncs in both modes: committed records
	// are never synced one by one, since the Raft log has them too. Default 200 ms.
	Fsync    FsyncMode
	Interval time.Duration
	// CheckpointEvery is the time between signed checkpoints of the open segment, if records came. Default 1 min.
	CheckpointEvery time.Duration

	// MinFreeAmber and MinFreeRed are free bytes on the volume below which Status turns amber or red. Defaults: eight and
	// four times SegmentSize plus Reserve. KeepFree bytes of the volume are left to others: a reservation that would cut
	// into them counts as failed. Default 0.
	MinFreeAmber, MinFreeRed, KeepFree int64

	// Signer signs heads; nil leaves them unsigned, which Verify reports.
	Signer Signer
	// OnHead is told every signed head (unsigned without a Signer): of closed segments, of checkpoints (Head.Open), and
	// after Open once more the 32 newest closed ones. It commits the head to Raft, where a later checkpoint replaces an
	// earlier one and a closed head a checkpoint, but nothing ever a closed head: a different one for the same segment is a
	// sign of tampering. It is called by one goroutine at a time, again after an error, and has to end with ctx.
	OnHead func(ctx context.Context, h Head) error
	// Fatal is called once, in a goroutine of its own, when the log has failed (ErrFailed) after Open. The process has to
	// end then.
	Fatal func(error)

	Logger *slog.Logger     // default: discards
	Now    func() time.Time // default: time.Now

	// fs replaces the directory in tests, which also may go below the least sizes.
	fs    filesystem
	small bool
}

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.SegmentSize, 64<<20)
	setDefault(&c.Reserve, 8<<20)
	setDefault(&c.SegmentAge, 24*time.Hour)
	setDefault(&c.Fsync, FsyncInterval)
	setDefault(&c.Interval, 200*time.Millisecond)
	setDefault(&c.CheckpointEvery, time.Minute)
	setDefault(&c.MinFreeAmber, 8*(c.SegmentSize+c.Reserve))
	setDefault(&c.MinFreeRed, 4*(c.SegmentSize+c.Reserve))
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Fatal == nil {
		c.Fatal = func(error) {}
	}
	return c, c.check()
}

func setDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func (c *Config) check() error {
	switch {
	case c.Dir == "" && c.fs == nil:
		return errors.New("audit: the directory of the log is not set")
	case !isName(c.NodeID):
		return fmt.Errorf("audit: node id %q: use 1 to %d letters, digits or ._:/-", c.NodeID, maxName)
	case c.LogID != "" && !isName(c.LogID):
		return fmt.Errorf("audit: log id %q: use 1 to %d letters, digits or ._:/-", c.LogID, maxName)
	case (c.SegmentSize < MinSegmentSize || c.Reserve < MinSegmentSize) && !c.small:
		return fmt.Errorf("audit: segment size %d and reserve %d: each has to be at least %d bytes", c.SegmentSize, c.Reserve, MinSegmentSize)
	case c.Fsync != FsyncInterval && c.Fsync != FsyncAlways:
		return fmt.Errorf("audit: fsync %q: use %q or %q", c.Fsync, FsyncInterval, FsyncAlways)
	case c.SegmentAge < 0 || c.Interval < 0 || c.CheckpointEvery < 0 || c.KeepFree < 0:
		return errors.New("audit: times and sizes must not be negative")
	}
	return nil
}
