package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// recover finds the end of the log. It sets l.at, l.number and, if the newest segment is still open, l.seg.
func (l *Log) recover() error {
	names, err := l.fs.names()
	if err != nil {
		return fmt.Errorf("audit: listing the log: %w", err)
	}
	dir := list(names)
	for _, name := range dir.tmp {
		if err := l.fs.remove(name); err != nil {
			return fmt.Errorf("audit: removing what a crash left: %w", err)
		}
	}
	l.at.chain = genesis(l.cfg.NodeID)
	known := true // whether l.at continues at the next slot
	var closed []*headItem
	for i, s := range dir.slots {
		if len(s.segments) > 1 || len(s.heads) > 1 {
			return fmt.Errorf("audit: segment %d exists more than once (%s): move all but the right one away", s.number, strings.Join(append(s.segments, s.heads...), ", "))
		}
		known = known && s.number == l.number+1
		l.number = s.number
		l.at = l.at.next()
		item, err := l.recoverSlot(s, i == len(dir.slots)-1, known)
		if err != nil {
			return err
		}
		if item != nil {
			closed = append(closed, item)
		}
		known = true
	}
	// The newest heads are announced once more: a crash may have come between a signature and its commit.
	for _, item := range closed[max(0, len(closed)-announceAgain):] {
		if item.announced {
			item.announced = false
			l.heads.push(item)
		}
	}
	return nil
}

// announceAgain is how many of the newest closed heads are announced after each Open.
const announceAgain = 32

// recoverSlot moves l.at to the end of one segment. It returns the segment's head if it is closed; heads that are not
// yet signed are queued, others are marked as announced.
func (l *Log) recoverSlot(s slot, last, known bool) (*headItem, error) {
	if name := s.head(); name != "" {
		item, err := l.recoverHead(s, name)
		if item != nil || err != nil {
			return item, err
		}
	}
	name := s.segment()
	if name == "" {
		return nil, nil
	}
	f, err := l.fs.open(name)
	if err != nil {
		return nil, fmt.Errorf("audit: opening %s: %w", name, err)
	}
	id, err := f.id()
	var found scanned
	if err == nil {
		found, err = l.scan(f, id.size, known)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("audit: reading %s: %w", name, err), f.close())
	}
	l.at = found.good
	if found.damage > 0 {
		l.damaged(fmt.Sprintf("segment %s does not follow from its hash chain at line %d: run trent audit verify", name, found.damage))
	}
	if last && s.head() == "" {
		return nil, l.reopen(s.number, name, f, id.size, found)
	}
	if err := f.close(); err != nil {
		return nil, err
	}
	if found.good.off < id.size {
		l.damaged(fmt.Sprintf("segment %s has %d bytes after its last good record: run trent audit verify", name, id.size-found.good.off))
	}
	if s.head() != "" || l.at.records == 0 {
		return nil, nil // an unreadable head stays as evidence
	}
	item := &headItem{segment: s.number, head: l.at.head(l.cfg.NodeID, l.cfg.LogID, s.number, name, false), done: make(chan struct{})}
	l.heads.push(item)
	return item, nil
}

// recoverHead takes the end of a closed segment from its head; nil if the head cannot be read.
func (l *Log) recoverHead(s slot, name string) (*headItem, error) {
	data, err := l.fs.read(name, maxHead+1)
	if err != nil {
		return nil, fmt.Errorf("audit: reading %s: %w", name, err)
	}
	h, err := ParseHead(data)
	if err == nil && (h.Segment != s.number || headName(h.File) != name || h.Open) {
		err = errors.New("it belongs to another segment")
	}
	if err != nil {
		l.damaged(fmt.Sprintf("the head %s is unusable (%v): run trent audit verify", name, err))
		return nil, nil
	}
	if h.Node != l.cfg.NodeID {
		return nil, fmt.Errorf("audit: %s holds the log of node %s, this is node %s: give each node a directory of its own", l.cfg.Dir, h.Node, l.cfg.NodeID)
	}
	l.at = placeOf(h, l.cfg.LogID)
	item := &headItem{segment: s.number, head: h, stored: true, announced: true, done: make(chan struct{})}
	if l.cfg.Signer != nil && !h.Signed() {
		item.announced = false
		l.heads.push(item)
	}
	return item, nil
}

func (l *Log) damaged(what string) {
	l.cfg.Logger.Error("the audit log is damaged", "what", what)
	l.st.damage(what)
}

// reopen makes the newest segment the open one again, after cutting what a crash left behind its last good record.
func (l *Log) reopen(number uint64, name string, f file, size int64, found scanned) error {
	err := l.cutTail(name, f, size, found)
	if err == nil {
		// What was only in the kernel's cache counts from now on.
		err = f.sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("audit: repairing %s: %w", name, err), f.close())
	}
	soft, err := reserve(f, l.cfg.SegmentSize+l.cfg.Reserve)
	l.use(number, name, reservation{f, soft})
	if err != nil {
		// Without reserved space the segment counts as full; the next record goes to a new one, or is refused.
		l.warn("reserving space for the open audit segment", err, "segment", name)
		l.seg.limit, l.seg.hard = l.at.off, l.at.off
	}
	return nil
}

// cutTail removes the bytes after the last good record. An incomplete last line is what every crash leaves; anything
// else is kept in a .torn file, in case somebody has to see it.
func (l *Log) cutTail(name string, f file, size int64, found scanned) error {
	tail := size - found.good.off
	if tail <= 0 {
		return nil
	}
	if found.incomplete {
		l.cfg.Logger.Warn("cutting an incomplete last line off the audit log", "segment", name, "bytes", tail)
		return f.truncate(found.good.off)
	}
	torn := fmt.Sprintf("%s-%d-%s%s", strings.TrimSuffix(name, segmentSuffix), found.good.off, l.cfg.Now().UTC().Format(nameTimeLayout), tornSuffix)
	l.cfg.Logger.Error("setting bytes aside that do not continue the audit log", "segment", name, "bytes", tail, "file", torn)
	l.damaged(fmt.Sprintf("%d bytes after the last good record of %s were moved to %s: records that were not yet synced are lost here", tail, name, torn))
	if err := l.copyTail(f, found.good.off, tail, torn); err != nil {
		return fmt.Errorf("setting %d bytes aside: %w", tail, err)
	}
	return f.truncate(found.good.off)
}

func (l *Log) copyTail(from file, off, n int64, name string) error {
	if err := l.fs.remove(name); err != nil {
		return err
	}
	to, err := l.fs.create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(to, 0), io.NewSectionReader(from, off, n))
	if err == nil {
		err = to.sync()
	}
	return errors.Join(err, to.close(), l.fs.syncDir())
}

// scanned is what a segment without a head turned out to hold.
type scanned struct {
	good       place // after the last record that follows from its predecessor
	incomplete bool  // only an incomplete line stands after it
	damage     int   // first line before good that does not follow, 0 if all do
}

// scan reads a segment and finds where it can be continued: after the last line that follows from the line before it,
// and, if that is one of several of a Raft index, after the last of them. Lines that do not follow stay if good ones come
// later: they are evidence for Verify. Only a hole of NUL bytes ends the scan, because that is what a power cut leaves of
// pages that were never synced, and then nothing behind it was synced either.
func (l *Log) scan(f io.ReaderAt, size int64, known bool) (scanned, error) {
	s := scan{place: l.at, known: known, start: l.at.seq, node: l.cfg.NodeID, logID: l.cfg.LogID, hash: l.hash}
	s.good = s.place
	r := newLineReader(io.NewSectionReader(f, 0, size), 0)
	for {
		line, err := r.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return scanned{}, err
		}
		if line.partial || bytes.IndexByte(line.text, 0) >= 0 {
			return s.scanned, nil
		}
		if err := s.line(line); err != nil {
			return scanned{}, err
		}
	}
	rest := r.rest()
	s.incomplete = rest.offset == s.good.off && bytes.IndexByte(rest.text, 0) < 0
	return s.scanned, nil
}

// scan is a scan under way.
type scan struct {
	scanned
	place place  // after the last readable line
	known bool   // place.chain is the chain before the next line
	start uint64 // seq before the segment
	odd   int    // first line that did not follow since the last good one
	node  string
	logID string
	hash  *hasher
}

func (s *scan) line(line oneLine) error {
	t, ok := parseLine(line.text)
	if ok && string(t.node) != s.node {
		return fmt.Errorf("line %d is of node %s, this is node %s: give each node a directory of its own", line.number, t.node, s.node)
	}
	if line.long || !ok || s.known && t.seq <= s.place.seq {
		s.known = false
		s.mark(line.number)
		s.place.off = line.end
		return nil
	}
	follows := s.known && t.seq == s.place.seq+1 && t.links(s.hash, s.place.chain, line.text)
	if !follows && t.first && line.number == 1 && t.links(s.hash, t.prev, line.text) {
		// The segment before is missing or ends otherwise; this one is sound in itself.
		if s.known {
			s.mark(1)
		}
		follows, s.start, s.place.prevChain = true, t.seq-1, t.prev
	}
	if !follows {
		s.mark(line.number)
	}
	s.known = true
	s.place.add(int(line.end-line.offset), &t, s.logID, eventTimeOf(line.text[:t.record]))
	s.place.off, s.place.records = line.end, t.seq-s.start
	if follows && !t.more {
		s.good = s.place
		if s.odd > 0 && s.damage == 0 {
			s.damage = s.odd
		}
		s.odd = 0
	}
	return nil
}

func (s *scan) mark(line int) {
	if s.odd == 0 {
		s.odd = line
	}
}
