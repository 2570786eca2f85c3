package audit

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Level grades a [Status].
type Level int

// Levels. Red comes long before records are refused, while the open segment still has room.
const (
	Green Level = iota
	Amber
	Red
)

func (l Level) String() string {
	switch l {
	case Green:
		return "green"
	case Amber:
		return "amber"
	}
	return "red"
}

// Status is the state of a log, for health checks and metrics. Sizes are in bytes.
type Status struct {
	Level   Level
	Reasons []string // in words, the worst first; empty when green

	Free, Total   int64 // of the volume, as of a second ago at most
	Reserves      bool  // the filesystem reserves space for segments
	SpareReady    bool  // the next segment is reserved
	SegmentLeft   int64 // room in the open segment for every record
	CommittedLeft int64 // room in the open segment for committed records, the reserve included
	Refusing      bool  // Append returns ErrNoSpace at present

	Segment   uint64 // number of the open segment, 0 if there is none
	LastSeq   uint64
	LastIndex uint64

	// Counters since Open.
	Records, Bytes, Writes, Syncs, Refused uint64

	SyncLag      time.Duration // age of the oldest record that is not yet synced
	PendingHeads int           // closed segments whose head is not yet signed and announced

	LastError     string // the last failure, also a mended one; "" if none
	LastErrorTime time.Time
}

// stats is what the writer and the tasks report. It has a lock of its own, so that Status answers while the disk stalls.
type stats struct {
	mu sync.Mutex

	free, total int64
	seg         *segment // only fields that never change are read
	off         int64
	seq, index  uint64
	syncedSeq   uint64
	dirtySince  time.Time // zero when everything is synced

	records, bytes, writes, syncs, refused uint64

	refusing  bool
	lost      string // what happened to an open segment; stays until the next Open
	damaged   string // what Open found; likewise
	lastErr   error
	lastErrAt time.Time
}

func (s *stats) begin(at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off, s.seq, s.index, s.syncedSeq = at.off, at.seq, at.index, at.seq
}

// opened notes the open segment and where its records end.
func (s *stats) opened(seg *segment, off int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seg, s.off = seg, off
	s.refusing = false
}

// wrote counts a successful write of size bytes up to l.at; l.w is held.
func (s *stats) wrote(l *Log, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.bytes += uint64(size)
	s.records += l.at.seq - l.flushed.seq
	s.off, s.seq, s.index = l.at.off, l.at.seq, l.at.index
	if s.dirtySince.IsZero() {
		s.dirtySince = l.cfg.Now()
	}
	if l.seg.soft {
		s.refusing = false
	}
}

// synced notes that the disk has everything up to seq; what was written after start may be missing.
func (s *stats) synced(seq uint64, start time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncs++
	s.syncedSeq = max(s.syncedSeq, seq)
	if s.syncedSeq >= s.seq {
		start = time.Time{}
	}
	s.dirtySince = start
}

func (s *stats) behind(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.syncedSeq < seq
}

func (s *stats) lastIndex() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index
}

func (s *stats) measured(free, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free, s.total = free, total
}

func (s *stats) refuse(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	if errors.Is(err, ErrNoSpace) {
		s.refusing = true
		s.lastErr, s.lastErrAt = err, now
	}
}

func (s *stats) failed(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastErr, s.lastErrAt = err, now
}

func (s *stats) lose(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = what
}

func (s *stats) damage(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damaged = what
}

// Status tells how the log is. It never waits for the disk.
func (l *Log) Status() Status {
	var g grading
	st := l.st.snapshot(l.cfg.Now(), &g)
	spare := l.space.state()
	st.SpareReady = spare.ready
	st.Reserves = st.Reserves && !spare.soft
	st.Refusing = !spare.ready && (st.Refusing || st.Segment == 0)
	var headErr error
	st.PendingHeads, headErr = l.heads.state()
	l.grade(&g, &st, spare.err, headErr)
	st.Level, st.Reasons = g.result()
	return st
}

func (s *stats) snapshot(now time.Time, g *grading) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Free: s.free, Total: s.total, Refusing: s.refusing, LastSeq: s.seq, LastIndex: s.index, Reserves: true,
		Records: s.records, Bytes: s.bytes, Writes: s.writes, Syncs: s.syncs, Refused: s.refused, LastErrorTime: s.lastErrAt,
	}
	if s.lastErr != nil {
		st.LastError = s.lastErr.Error()
	}
	if s.seg != nil {
		st.Segment, st.Reserves = s.seg.number, !s.seg.soft
		st.SegmentLeft, st.CommittedLeft = max(0, s.seg.limit-s.off), max(0, s.seg.hard-s.off)
	}
	if !s.dirtySince.IsZero() {
		st.SyncLag = max(0, now.Sub(s.dirtySince))
	}
	if s.lost != "" {
		g.add(Red, "%s", s.lost)
	}
	if s.damaged != "" {
		g.add(Amber, "%s", s.damaged)
	}
	return st
}

// grading collects reasons.
type grading struct{ red, amber []string }

func (g *grading) add(level Level, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if level == Red {
		g.red = append(g.red, reason)
	} else {
		g.amber = append(g.amber, reason)
	}
}

// result returns the worst level and its reasons first.
func (g *grading) result() (Level, []string) {
	switch {
	case len(g.red) > 0:
		return Red, append(g.red, g.amber...)
	case len(g.amber) > 0:
		return Amber, g.amber
	}
	return Green, nil
}

// A sync that takes this long beyond the interval is worth a warning, or an alarm.
const (
	lagAmber = 5 * time.Second
	lagRed   = 30 * time.Second
)

// grade adds what the numbers say.
func (l *Log) grade(g *grading, st *Status, spareErr, headErr error) {
	if err := l.failure(); err != nil {
		g.add(Red, "%v", err)
	}
	switch {
	case st.Refusing:
		g.add(Red, "records are refused because no space can be reserved; %d bytes are left for committed changes: free space on the audit volume (%v)", st.CommittedLeft, spareErr)
	case !st.SpareReady && spareErr != nil:
		g.add(Red, "the next segment cannot be reserved; records will be refused after %d more bytes: free space on the audit volume (%v)", st.SegmentLeft, spareErr)
	}
	const low = "the audit volume has %d bytes free, less than %d: archive closed segments or enlarge it"
	if st.Free < l.cfg.MinFreeRed {
		g.add(Red, low, st.Free, l.cfg.MinFreeRed)
	} else if st.Free < l.cfg.MinFreeAmber {
		g.add(Amber, low, st.Free, l.cfg.MinFreeAmber)
	}
	const lag = "records have waited %v for the disk: the audit volume stalls"
	if late := st.SyncLag - l.cfg.Interval; late > lagRed {
		g.add(Red, lag, st.SyncLag.Round(time.Second))
	} else if late > lagAmber {
		g.add(Amber, lag, st.SyncLag.Round(time.Second))
	}
	if headErr != nil {
		g.add(Amber, "%d segment heads wait to be signed, stored and announced: %v", st.PendingHeads, headErr)
	}
	if !st.Reserves {
		g.add(Amber, "the filesystem cannot reserve space, so that a full volume is met late: use ext4, XFS or tmpfs on Linux")
	}
}
