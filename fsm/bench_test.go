package fsm

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/hashicorp/raft"
)

func createEntries(b testing.TB, l *lab, n, offset int) []*raft.Log {
	entries := make([]*raft.Log, n)
	for i := range entries {
		c := l.command(newKey(account1, offset+i))
		c.Audit = make([]byte, 1500)
		entries[i] = l.entry(c)
	}
	return entries
}

// withKeys fills a region with keys that share their account's default policy.
func withKeys(b testing.TB, n int) *lab {
	l := newRegion(b)
	const batch = 64
	for i := 0; i < n; i += batch {
		l.fsm.ApplyBatch(createEntries(b, l, min(batch, n-i), i))
	}
	l.audit = nil
	return l
}

func BenchmarkApplyCreateKey(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			l := newRegion(b)
			l.ok(&SetQuotas{Quotas{KeysPerAccount: 1 << 29, AliasesPerKey: 50, TagsPerKey: 50, OnDemandRotations: 25, GrantsPerKey: 1, PolicyBytes: 32768}})
			entries := createEntries(b, l, b.N, 0)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < len(entries); i += batch {
				l.fsm.ApplyBatch(entries[i:min(i+batch, len(entries))])
			}
		})
	}
}

func BenchmarkEncodeCreateKey(b *testing.B) {
	l := newRegion(b)
	c := l.command(newKey(account1, 1))
	c.Audit = make([]byte, 1500)
	c.Reads = []Read{{DocAccessKey, "", "AKIAROOT", 1}, {DocAccount, account1, "", 1}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeCreateKey(b *testing.B) {
	l := newRegion(b)
	c := l.command(newKey(account1, 1))
	c.Audit = make([]byte, 1500)
	data, err := Encode(c)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKeyLookup(b *testing.B) {
	l := withKeys(b, 100_000)
	ids := make([]string, 1024)
	for i := range ids {
		ids[i] = keyID(i * 97)
	}
	s := l.state()
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			if s.Key(account1, ids[i%len(ids)]) == nil {
				b.Fatal("key is missing")
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if s.Key(account1, ids[i%len(ids)]) == nil {
					b.Error("key is missing")
				}
			}
		})
	})
}

func BenchmarkWait(b *testing.B) {
	l := newRegion(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.fsm.Wait(context.Background(), 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRememberedLookup(b *testing.B) {
	r := newRemembered(RememberedCommands, segmentSize)
	for i := range RememberedCommands + segmentSize/2 {
		r = r.add(commandID(i), Remembered{Index: uint64(i), Objects: []string{keyID(i)}})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		r.repeat(commandID(-i), 2, [16]byte{})
	}
}

func BenchmarkSnapshot100kKeys(b *testing.B) {
	s := withKeys(b, 100_000).state()
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := WriteSnapshot(io.Discard, s); err != nil {
				b.Fatal(err)
			}
		}
	})
	data := snapshotOf(b, s)
	b.Run("restore", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := ReadSnapshot(reader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestBytesPerKey measures what a key costs in memory all in: row, indexes and its remembered command id. The design
// wants well under 4 KB.
func TestBytesPerKey(t *testing.T) {
	const keys, limit = 20_000, 3000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l := withKeys(t, keys)
	perKey := (heap() - before) / keys
	t.Logf("%d bytes per key applied", perKey)
	if perKey > limit {
		t.Errorf("a key takes %d bytes, at most %d are wanted", perKey, limit)
	}
	data := snapshotOf(t, l.state())
	runtime.KeepAlive(l)
	l = nil

	before = heap()
	s, err := ReadSnapshot(reader(data))
	if err != nil {
		t.Fatal(err)
	}
	perKey = (heap() - before) / keys
	t.Logf("%d bytes per key restored, %d in the snapshot", perKey, len(data)/keys)
	if perKey > limit {
		t.Errorf("a restored key takes %d bytes, at most %d are wanted", perKey, limit)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(data)
}
