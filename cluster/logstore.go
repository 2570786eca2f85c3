package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// logStore is raft-boltdb's store with checksums: it keeps the log, the term and the vote in one bbolt file, so that a change of any
// of them is on the disk whole or not at all. bbolt has no checksum but that of its two meta pages: a flipped bit elsewhere changes
// an entry, or makes entries vanish, and nobody is told. A node that forgets in silence what it has acknowledged can take a
// committed write from its region. So every entry and value has a checksum, and the whole file is read before the node starts
// (logpages.go): what is not as it was written is ErrDamaged.
type logStore struct {
	*raftboltdb.BoltStore
	sealed atomic.Uint64 // entries from here on have checksums; earlier ones are of files that had none
	// gap is the last entry that was missing before others when the file was opened, 0 if none was: the library leaves a gap before
	// the entries that follow a leader's snapshot, so a snapshot must reach that far.
	gap uint64
	// blank is the value of keyBlank. Only those who change the log use it, one at a time.
	blank bool
}

// The buckets of raft-boltdb, and what is kept beside the library's values.
const (
	bucketLogs = "logs"
	bucketConf = "conf"
	keySealed  = "TrentSealed" // logStore.sealed
	keyBlank   = "TrentBlank"  // 1 while the log may have no entry at all: a flipped bit can make a page look empty
)

// formerKeys are the values of a file from before there were checksums.
var formerKeys = []string{keyNodeID, keyCluster, keyCurrentTerm, "LastVoteTerm", "LastVoteCand"}

// sealSize is the length of a checksum with the byte before it that tells what it is.
const (
	sealSize = 5
	sealMark = 0xC5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealValue is a value with its checksum, under its key, behind it.
func sealValue(key, value []byte) []byte {
	b := append(bytes.Clone(value), sealMark)
	return binary.BigEndian.AppendUint32(b, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b))
}

// openValue is the value without its checksum.
func openValue(key, sealed []byte) ([]byte, error) {
	n := len(sealed) - sealSize
	if n < 0 || !bytes.Equal(sealValue(key, sealed[:n]), sealed) {
		return nil, damaged("the value %q does not have its checksum", key)
	}
	return sealed[:n:n], nil
}

// sealEntry is an entry with its checksum in the part that the library leaves to stores. AppendedAt is outside of it: it is only for
// the library's metrics, and not exact after it was stored.
func sealEntry(l *raft.Log) *raft.Log {
	s := *l
	s.Extensions = append(bytes.Clone(l.Extensions), sealMark)
	s.Extensions = binary.BigEndian.AppendUint32(s.Extensions, sumEntry(&s))
	return &s
}

// openEntry takes the checksum off an entry that was read under an index.
func openEntry(index uint64, l *raft.Log) error {
	n := len(l.Extensions) - sealSize
	if l.Index != index || n < 0 || l.Extensions[n] != sealMark {
		return damaged("log entry %d says that it is %d, or has no checksum", index, l.Index)
	}
	want := binary.BigEndian.Uint32(l.Extensions[n+1:])
	l.Extensions = l.Extensions[:n+1]
	if sumEntry(l) != want {
		return damaged("log entry %d does not have its checksum", index)
	}
	if l.Extensions = l.Extensions[:n]; n == 0 {
		l.Extensions = nil
	}
	return nil
}

func sumEntry(l *raft.Log) uint32 {
	var head [25]byte
	binary.BigEndian.PutUint64(head[:], l.Index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	binary.BigEndian.PutUint64(head[17:], uint64(len(l.Data)))
	c := crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, l.Data)
	return crc32.Update(c, castagnoli, l.Extensions)
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w (%s)", ErrDamaged, fmt.Sprintf(format, args...))
}

// openLogStore opens or makes a file. The free list is kept in memory only: bbolt would rewrite it whole at every commit, and the
// file never shrinks. Opening then costs a scan of the file, which is made for its checksums anyway.
func openLogStore(path string, wait time.Duration) (*logStore, error) {
	entries, err := inspect(path, wait)
	if err != nil {
		return nil, err
	}
	s := new(logStore)
	err = survive(func() (err error) {
		s.BoltStore, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: boltOptions(wait, false)})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err = s.prepare(len(entries) > 0); err == nil {
		err = s.check(entries)
	}
	if err != nil {
		return nil, errors.Join(err, s.BoltStore.Close())
	}
	return s, nil
}

// check reads all entries.
func (s *logStore) check(entries []stretch) error {
	for n, e := range entries {
		if n > 0 {
			s.gap = e.from - 1
		}
		for i := e.from; i <= e.to; i++ {
			var l raft.Log
			if err := s.GetLog(i, &l); err != nil {
				return damaged("log entry %d: %v", i, err)
			}
		}
	}
	return nil
}

func boltOptions(wait time.Duration, readOnly bool) *bbolt.Options {
	return &bbolt.Options{Timeout: wait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, ReadOnly: readOnly}
}

// survive runs f and makes an error of a panic: bbolt panics where it finds pages that cannot be. inspect finds them before.
func survive(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged("%v", p)
		}
	}()
	return f()
}

// prepare finds out where checksums begin, and takes over a file from before there were any: its values get theirs, its entries
// keep none. A crash in the middle leaves some values with and some without, until keySealed is there.
func (s *logStore) prepare(entries bool) error {
	sealed, err := s.GetUint64([]byte(keySealed))
	if err == nil {
		s.sealed.Store(sealed)
		blank, err := s.GetUint64([]byte(keyBlank))
		if s.blank = blank == 1; err == nil && !entries && !s.blank {
			return damaged("the log is empty")
		}
		return err
	}
	if err.Error() != notFound {
		return err
	}
	for _, k := range formerKeys {
		v, err := s.BoltStore.Get([]byte(k))
		if err != nil && err.Error() != notFound {
			return err
		}
		if _, bad := openValue([]byte(k), v); err != nil || bad == nil {
			continue // there is none, or it has its checksum already
		}
		if err := s.Set([]byte(k), v); err != nil {
			return err
		}
	}
	last, err := s.LastIndex()
	if err != nil {
		return err
	}
	if err := s.setBlank(!entries); err != nil {
		return err
	}
	return s.seal(last + 1)
}

// seal says from where on entries have checksums.
func (s *logStore) seal(from uint64) error {
	err := s.SetUint64([]byte(keySealed), from)
	if err == nil {
		s.sealed.Store(from)
	}
	return err
}

// setBlank says whether the log may have no entry. It is said before the last one is deleted, and taken back after one was stored.
func (s *logStore) setBlank(blank bool) error {
	n := uint64(0)
	if blank {
		n = 1
	}
	err := s.SetUint64([]byte(keyBlank), n)
	if err == nil {
		s.blank = blank
	}
	return err
}

// DeleteRange implements raft.LogStore.
func (s *logStore) DeleteRange(from, to uint64) error {
	first, err := s.FirstIndex()
	last, err2 := s.LastIndex()
	if err = errors.Join(err, err2); err == nil && from <= first && to >= last && !s.blank {
		err = s.setBlank(true)
	}
	if err != nil {
		return err
	}
	return s.BoltStore.DeleteRange(from, to)
}

// StoreLogs implements raft.LogStore.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) > 0 && logs[0].Index < s.sealed.Load() {
		// Entries from before there were checksums were taken away for these: nothing without one is left from here on.
		if err := s.seal(logs[0].Index); err != nil {
			return err
		}
	}
	sealed := make([]*raft.Log, len(logs))
	for i, l := range logs {
		sealed[i] = sealEntry(l)
	}
	if err := s.BoltStore.StoreLogs(sealed); err != nil || !s.blank {
		return err
	}
	return s.setBlank(false)
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// GetLog implements raft.LogStore.
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	if err := s.BoltStore.GetLog(index, l); err != nil || index < s.sealed.Load() {
		return err
	}
	return openEntry(index, l)
}

// Set implements raft.StableStore.
func (s *logStore) Set(key, val []byte) error { return s.BoltStore.Set(key, sealValue(key, val)) }

// Get implements raft.StableStore.
func (s *logStore) Get(key []byte) ([]byte, error) {
	v, err := s.BoltStore.Get(key)
	if err != nil {
		return nil, err
	}
	return openValue(key, v)
}

// SetUint64 implements raft.StableStore.
func (s *logStore) SetUint64(key []byte, val uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, val))
}

// GetUint64 implements raft.StableStore.
func (s *logStore) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, damaged("the number %q has %d bytes", key, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}
