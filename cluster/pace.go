package cluster

import (
	"errors"
	"sync/atomic"
	"time"
)

// pace keeps work that can wait, the writing of snapshots and the deletion of old log entries, from holding up the log
// on the same disk. Such work is done in pieces that are on the disk before the next begins, so that a write of the log
// waits for one piece at most. After a piece in which the log was written it pauses for as long as the piece took: the
// log has half of the disk's time. While nobody writes the log there are no pauses: a node that installs a snapshot
// takes it as fast as it comes. The zero value never ends and knows of no writes.
type pace struct {
	begun atomic.Uint64   // writes of the log so far
	under atomic.Int64    // writes of the log under way
	ended <-chan struct{} // no piece is begun any more
}

// maxPause bounds one pause, so that such work ends on a disk that is slow for everybody.
const maxPause = time.Second

// errEnding is what a piece that was not begun returns.
var errEnding = errors.New("cluster: the node is closing")

// urgent runs a write of the log.
func (p *pace) urgent(f func()) {
	p.begun.Add(1)
	p.under.Add(1)
	defer p.under.Add(-1)
	f()
}

// piece runs one piece of work that can wait, and the pause after it. It returns f's error, or errEnding.
func (p *pace) piece(f func() error) error {
	select {
	case <-p.ended:
		return errEnding
	default:
	}
	before, contended := p.begun.Load(), p.under.Load() > 0
	start := time.Now()
	if err := f(); err != nil {
		return err
	}
	if !contended && p.begun.Load() == before {
		return nil
	}
	t := time.NewTimer(min(time.Since(start), maxPause))
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ended:
	}
	return nil
}
