package audit

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// reservation is a file with the space of a whole segment.
type reservation struct {
	f    file
	soft bool // the filesystem cannot reserve; the space was only seen to be free
}

// space keeps the next segment reserved, so that the log knows long before it has to refuse.
type space struct {
	mu      sync.Mutex
	spare   reservation // f is nil if there is none
	err     error       // why there is none
	retryAt time.Time   // no attempt before that from the path of a request

	shown atomic.Pointer[spareState] // copy for those who must not wait while space is being reserved
}

type spareState struct {
	ready, soft bool
	err         error // why there is no spare
}

// retryReserve is the time between attempts to reserve while a volume is full.
const retryReserve = 250 * time.Millisecond

// takeSpare hands out the reserved file, still under the name spareName, or reserves one now.
func (l *Log) takeSpare() (reservation, error) {
	s := &l.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spare.f == nil {
		if now := l.cfg.Now(); s.err == nil || !now.Before(s.retryAt) {
			l.fillSpare(now)
		}
	}
	if s.spare.f == nil {
		return reservation{}, s.err
	}
	r := s.spare
	s.set(reservation{}, nil)
	return r, nil
}

func (s *space) putBack(r reservation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(r, nil)
}

// set changes the spare; s.mu is held.
func (s *space) set(r reservation, err error) {
	s.spare, s.err = r, err
	s.shown.Store(&spareState{r.f != nil, r.soft, err})
}

// provide reserves the next segment if that is not yet done.
func (l *Log) provide() {
	l.space.mu.Lock()
	defer l.space.mu.Unlock()
	if l.space.spare.f == nil {
		l.fillSpare(l.cfg.Now())
	}
}

// fillSpare sets the spare or the reason why there is none. l.space.mu is held.
func (l *Log) fillSpare(now time.Time) {
	s := &l.space
	had := s.err
	s.set(l.reserveSpare())
	s.retryAt = now.Add(retryReserve)
	switch {
	case s.err != nil && had == nil:
		l.cfg.Logger.Error("the next audit segment cannot be reserved; records will be refused when the open one is full", "error", s.err)
		l.st.failed(s.err, now)
	case s.err == nil && had != nil:
		l.cfg.Logger.Info("the next audit segment is reserved again")
	}
}

// reserveSpare makes the spare file, or takes over the one of an earlier run.
func (l *Log) reserveSpare() (reservation, error) {
	size := l.cfg.SegmentSize + l.cfg.Reserve
	if r, err := l.oldSpare(size); err == nil {
		return r, nil
	}
	if err := l.fs.remove(spareName); err != nil {
		return reservation{}, fmt.Errorf("removing an unusable spare segment: %w", err)
	}
	available, _, err := l.fs.free()
	if err != nil {
		return reservation{}, fmt.Errorf("asking for the free space: %w", err)
	}
	if available-size < l.cfg.KeepFree {
		return reservation{}, fmt.Errorf("reserving %d bytes of %d free ones would leave less than %d: %w", size, available, l.cfg.KeepFree, syscall.ENOSPC)
	}
	f, err := l.fs.create(spareName)
	if err != nil {
		return reservation{}, fmt.Errorf("making the spare segment: %w", err)
	}
	soft, err := reserve(f, size)
	if err == nil {
		err = l.fs.syncDir()
	}
	if err != nil {
		return reservation{}, errors.Join(fmt.Errorf("reserving %d bytes: %w", size, err), f.close(), l.fs.remove(spareName))
	}
	return reservation{f, soft}, nil
}

// oldSpare opens the spare file that an earlier run left.
func (l *Log) oldSpare(size int64) (reservation, error) {
	f, err := l.fs.open(spareName)
	if err != nil {
		return reservation{}, err
	}
	id, err := f.id()
	if err == nil && id.size != 0 {
		err = errors.New("the spare segment is not empty")
	}
	soft := false
	if err == nil {
		soft, err = reserve(f, size)
	}
	if err == nil && soft {
		// Nothing was reserved: the check of the free space has to be made anew.
		err = errNoReserve
	}
	if err != nil {
		return reservation{}, errors.Join(err, f.close())
	}
	return reservation{f, soft}, nil
}

func reserve(f file, size int64) (soft bool, err error) {
	err = f.reserve(size)
	if errors.Is(err, errNoReserve) {
		return true, nil
	}
	return false, err
}

func (s *space) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spare.f != nil {
		s.spare.f.close()
	}
	s.set(reservation{}, nil)
}

// state tells whether the next segment is reserved, without waiting.
func (s *space) state() spareState {
	if p := s.shown.Load(); p != nil {
		return *p
	}
	return spareState{}
}
