package audit

import (
	"context"
	"strings"
	"testing"
)

// kibRecord is a record of about one KiB, the size of a cryptographic operation's.
func kibRecord() []byte {
	r := decryptRecord()
	r.UserAgent = strings.Repeat("x", 120)
	return r.AppendJSON(nil)
}

func BenchmarkRecordAppendJSON(b *testing.B) {
	r := decryptRecord()
	buf := r.AppendJSON(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendJSON(buf[:0])
	}
}

// BenchmarkAppend measures Append of 1 KiB records; divide the CPU time (-cpu 1, or user+sys) by the count for CPU per record.
func BenchmarkAppend(b *testing.B) {
	rec := kibRecord()
	for _, mode := range []FsyncMode{FsyncInterval, FsyncAlways} {
		for _, callers := range []int{1, 8} {
			b.Run(string(mode)+"/"+string(rune('0'+callers)), func(b *testing.B) {
				l, err := Open(Config{Dir: b.TempDir(), NodeID: "n1", Fsync: mode, MinFreeAmber: 1, MinFreeRed: 1})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(rec)))
				b.ReportAllocs()
				before := cpuTime()
				b.ResetTimer()
				each(callers, b.N, func(int) {
					if err := l.Append(context.Background(), rec); err != nil {
						b.Error(err)
					}
				})
				b.StopTimer()
				b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
				st := l.Status()
				b.ReportMetric(float64(st.Records)/float64(max(1, st.Writes)), "records/write")
				if err := l.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func BenchmarkAppendCommitted(b *testing.B) {
	rec := kibRecord()
	l, err := Open(Config{Dir: b.TempDir(), NodeID: "n1"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	index := uint64(0)
	for b.Loop() {
		index++
		if err := l.AppendCommitted(index, rec); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := l.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRead measures verifying, and searching for a key that is not there, per log of 20,000 records.
func BenchmarkRead(b *testing.B) {
	rec := kibRecord()
	dir := b.TempDir()
	l, err := Open(Config{Dir: dir, NodeID: "n1"})
	if err != nil {
		b.Fatal(err)
	}
	const records = 20_000
	for range records {
		if err := l.Append(context.Background(), rec); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	size := int64(records * len(rec))
	b.Run("verify", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if rep, err := Verify(context.Background(), dir, VerifyOptions{}); err != nil || !rep.OK() {
				b.Fatal(rep, err)
			}
		}
	})
	b.Run("search", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if p, err := Search(context.Background(), dir, Filter{Key: "not-there"}); err != nil || len(p.Entries) != 0 {
				b.Fatal(p, err)
			}
		}
	})
}
