package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// The file is read here page by page, apart from bbolt, which trusts what it reads: where a page says something that cannot be it
// panics, in goroutines of its own too, or shows less than there is. The format is that of bbolt's internal/common: pages with a
// header of 16 bytes (id, flags, count, overflow), two of them metas, B+ trees of the others.

const (
	pageHeader  = 16
	pageElement = 16
	branchPage  = 0x01
	leafPage    = 0x02
	bucketEntry = 0x01
	metaSize    = 64 // magic, version, page size, flags; root page, sequence, free list, end, transaction, checksum
	bucketSize  = 16 // root page, 0 if the bucket is a page behind this header; sequence
)

// native is the byte order of bbolt's own fields.
var native = binary.NativeEndian

// stretch is a run of entries without a gap.
type stretch struct{ from, to uint64 }

// inspect reads a file from its first to its last page before anything is done with it, and returns which entries there are. A file
// that is not there is good.
func inspect(path string, wait time.Duration) ([]stretch, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < metaSize+pageHeader {
		return nil, damaged("the file has %d bytes", st.Size())
	}
	// Another process may be writing; opened read-only bbolt takes the lock and looks at nothing but the metas.
	lock, err := bbolt.Open(path, 0o600, boltOptions(wait, true))
	if lock != nil {
		defer func() { _ = lock.Close() }()
	}
	entries, damage := inspectPages(f, st.Size())
	if damage != nil {
		return nil, damage // rather than what bbolt says of it
	}
	return entries, err
}

// inspectPages reads a file of a size that nobody writes.
func inspectPages(r io.ReaderAt, size int64) ([]stretch, error) {
	p := &pages{r: r, seen: map[uint64]bool{}}
	root, err := p.metas(size)
	if err != nil {
		return nil, err
	}
	buckets := map[string][]byte{}
	err = p.walk(root, nil, nil, func(flags uint32, k, v []byte) error {
		if flags != bucketEntry || len(v) < bucketSize || string(k) != bucketLogs && string(k) != bucketConf {
			return damaged("the file has something called %q", k)
		}
		buckets[string(k)] = bytes.Clone(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch len(buckets) {
	case 0:
		if p.last > 1 { // two make the file
			return nil, damaged("the buckets are missing")
		}
		return nil, nil
	case 1:
		return nil, damaged("a bucket is missing")
	}
	conf := map[string][]byte{}
	err = p.bucket(buckets[bucketConf], func(k, v []byte) error {
		conf[string(k)] = bytes.Clone(v)
		return nil
	})
	if err == nil {
		err = inspectConf(conf)
	}
	if err != nil {
		return nil, err
	}
	var entries []stretch
	err = p.bucket(buckets[bucketLogs], func(k, _ []byte) error {
		if len(k) != 8 {
			return damaged("a log entry has a key of %d bytes", len(k))
		}
		i := binary.BigEndian.Uint64(k)
		if n := len(entries); n > 0 && entries[n-1].to+1 == i {
			entries[n-1].to = i
		} else {
			entries = append(entries, stretch{i, i})
		}
		return nil
	})
	return entries, err
}

// inspectConf looks at every value, since one under a name that nobody asks for is one that is missed under its own.
func inspectConf(conf map[string][]byte) error {
	_, sealed := conf[keySealed]
	for k, v := range conf {
		if k != keySealed && k != keyBlank && !slices.Contains(formerKeys, k) {
			return damaged("there is a value %q", k)
		}
		if _, err := openValue([]byte(k), v); sealed && err != nil {
			return err
		}
	}
	return nil
}

// pages reads the pages of a file.
type pages struct {
	r    io.ReaderAt
	size uint64 // of a page
	end  uint64 // the number of the first page that there is not
	last uint64 // the number of the last transaction
	seen map[uint64]bool
}

// metas reads the two meta pages and returns the root of the newer one. bbolt itself would go on with the older one if the newer is
// bad, and so take back the last change, which may have been acknowledged. A bad meta cannot be what a power cut left of a write:
// a meta lies within one sector, and is written after everything else was synced.
func (p *pages) metas(size int64) (root uint64, err error) {
	for i := range uint64(2) {
		var m [metaSize]byte
		if _, err := p.r.ReadAt(m[:], int64(i*p.size)+pageHeader); err != nil {
			return 0, damaged("meta page %d cannot be read: %v", i, err)
		}
		h := fnv.New64a()
		_, _ = h.Write(m[:56])
		if native.Uint64(m[56:]) != h.Sum64() {
			return 0, damaged("meta page %d does not have its checksum", i)
		}
		p.size = uint64(native.Uint32(m[8:]))
		if end := native.Uint64(m[40:]); end > uint64(size)/p.size {
			return 0, damaged("the file has %d bytes, and should have %d pages of %d", size, end, p.size)
		}
		if tx := native.Uint64(m[48:]); i == 0 || tx > p.last {
			p.last, root, p.end = tx, native.Uint64(m[16:]), native.Uint64(m[40:])
		}
	}
	return root, nil
}

// read reads a page with those that it flows over to.
func (p *pages) read(id uint64) ([]byte, error) {
	if id < 2 || id >= p.end {
		return nil, damaged("there is no page %d", id)
	}
	b := make([]byte, p.size)
	if _, err := p.r.ReadAt(b, int64(id*p.size)); err != nil {
		return nil, damaged("page %d cannot be read: %v", id, err)
	}
	more := uint64(native.Uint32(b[12:]))
	if native.Uint64(b) != id || more >= p.end-id {
		return nil, damaged("page %d says that it is page %d, with %d more", id, native.Uint64(b), more)
	}
	for i := id; i <= id+more; i++ {
		if p.seen[i] {
			return nil, damaged("page %d is used twice", i)
		}
		p.seen[i] = true
	}
	if more > 0 {
		b = make([]byte, (more+1)*p.size)
		if _, err := p.r.ReadAt(b, int64(id*p.size)); err != nil {
			return nil, damaged("page %d cannot be read: %v", id, err)
		}
	}
	return b, nil
}

// bucket calls f for everything in a bucket.
func (p *pages) bucket(b []byte, f func(k, v []byte) error) error {
	each := func(flags uint32, k, v []byte) error {
		if flags != 0 {
			return damaged("something has flags %x", flags)
		}
		return f(k, v)
	}
	if root := native.Uint64(b); root != 0 {
		return p.walk(root, nil, nil, each)
	}
	return p.elements(b[bucketSize:], nil, nil, each)
}

// walk calls f for everything in a tree, in order. The keys are at least min and below max; nil does not bound them.
func (p *pages) walk(id uint64, low, high []byte, f func(flags uint32, k, v []byte) error) error {
	b, err := p.read(id)
	if err != nil {
		return err
	}
	return p.elements(b, low, high, f)
}

func (p *pages) elements(b, low, high []byte, f func(flags uint32, k, v []byte) error) error {
	if len(b) < pageHeader {
		return damaged("a page has %d bytes", len(b))
	}
	count, branch := int(native.Uint16(b[10:])), native.Uint16(b[8:]) == branchPage
	if !branch && native.Uint16(b[8:]) != leafPage || count == 0 && (branch || low != nil) {
		return damaged("a page has flags %x and %d elements", native.Uint16(b[8:]), count)
	}
	if pageHeader+count*pageElement > len(b) {
		return damaged("a page has %d elements", count)
	}
	keys := make([][]byte, count+1)
	keys[count] = high
	values := make([][]byte, count)
	at := uint64(pageHeader + count*pageElement) // keys and values follow the elements without gaps, so that none can be overlooked
	for i := range count {
		e := b[pageHeader+i*pageElement:]
		pos, ksize, vsize := uint64(native.Uint32(e[4:])), uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
		if branch {
			pos, ksize, vsize = uint64(native.Uint32(e)), uint64(native.Uint32(e[4:])), 0
		}
		if pos+uint64(pageHeader+i*pageElement) != at || at+ksize+vsize > uint64(len(b)) || ksize == 0 {
			return damaged("an element is not where it should be in its page")
		}
		keys[i], values[i] = b[at:at+ksize], b[at+ksize:at+ksize+vsize]
		at += ksize + vsize
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 || i == 0 && bytes.Compare(low, keys[i]) > 0 || high != nil && bytes.Compare(keys[i], high) >= 0 {
			return damaged("a key is out of order")
		}
	}
	for i := range count {
		e := b[pageHeader+i*pageElement:]
		var err error
		if branch {
			err = p.walk(native.Uint64(e[8:]), keys[i], keys[i+1], f)
		} else {
			err = f(native.Uint32(e), keys[i], values[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
