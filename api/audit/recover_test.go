package audit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The file ends at every byte of the last record: the record is gone or whole, all others stay, the log goes on.
func TestTornTailAtEveryOffset(t *testing.T) {
	r := newRig(t, nil)
	r.append(numbered(0))
	r.commit(7, numbered(1))
	r.crash()
	path := r.segments()[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for size := first; size <= len(whole); size++ {
		if err := os.WriteFile(path, whole[:size], 0o640); err != nil {
			t.Fatal(err)
		}
		r.reopen()
		want := uint64(0)
		if size == len(whole) {
			want = 7
		}
		if got := r.log.LastIndex(); got != want {
			t.Fatalf("%d of %d bytes: LastIndex %d, want %d", size, len(whole), got, want)
		}
		r.commit(7, numbered(1))
		r.crash()
		again, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(again, whole) {
			t.Fatalf("%d of %d bytes: %v, the log became\n%s", size, len(whole), err, again)
		}
	}
	if torn := r.torn(); len(torn) != 0 {
		t.Errorf("set aside: %v", torn)
	}
	r.open()
	r.close()
	r.sound(2)
}

// reopen is open without a cleanup for each of many opens.
func (r *rig) reopen() {
	r.t.Helper()
	l, err := Open(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.log = l
}

func (r *rig) torn() []string {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, "*.torn"))
	if err != nil {
		r.t.Fatal(err)
	}
	return paths
}

// What can stand at the end of the open segment after a crash or a visit, and what recovery makes of it.
func TestRecoverTail(t *testing.T) {
	const records = 6 // record 5 and 6 are the two of index 9
	for _, c := range []struct {
		name    string
		change  func(data []byte, ends []int) []byte // ends[i] is the end of record i+1
		keeps   int
		torn    bool
		damaged bool
	}{
		{"nothing", func(d []byte, e []int) []byte { return d }, 6, false, false},
		{"incomplete line", func(d []byte, e []int) []byte { return append(d, `{"eventVersion`...) }, 6, false, false},
		{"half of a group", func(d []byte, e []int) []byte { return d[:e[4]] }, 4, true, true},
		{"half of a group and a piece", func(d []byte, e []int) []byte { return d[:e[4]+5] }, 4, true, true},
		{"zeros", func(d []byte, e []int) []byte { return append(d, make([]byte, 5000)...) }, 6, true, true},
		{"zeros inside, good lines behind", func(d []byte, e []int) []byte { clear(d[e[1]+10 : e[2]-10]); return d }, 2, true, true},
		{"zeros over a line break", func(d []byte, e []int) []byte { clear(d[e[1]-5 : e[1]+5]); return d }, 1, true, true},
		{"foreign line", func(d []byte, e []int) []byte { return append(d, "{\"a\":1}\n"...) }, 6, true, true},
		{"copy of a line", func(d []byte, e []int) []byte { return append(d, d[e[2]:e[3]]...) }, 6, true, true},
		{"binary garbage", func(d []byte, e []int) []byte { return append(d, bytes.Repeat([]byte{0xff, '\n'}, 300)...) }, 6, true, true},
		{"endless line", func(d []byte, e []int) []byte { return append(d, bytes.Repeat([]byte{'x'}, 3*maxLine)...) }, 6, true, true},
		{"last line changed", func(d []byte, e []int) []byte { d[e[4]+30] ^= 1; return d }, 4, true, true},
		{"line in the middle changed", func(d []byte, e []int) []byte { d[e[1]+30] ^= 1; return d }, 6, false, true},
		{"line in the middle unreadable", func(d []byte, e []int) []byte { d[e[2]-3] = 'x'; return d }, 6, false, true},
		{"line in the middle removed", func(d []byte, e []int) []byte { return append(d[:e[1]:e[1]], d[e[2]:]...) }, 6, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			for i := range records - 2 {
				r.append(numbered(i))
			}
			r.commit(9, numbered(4), numbered(5))
			r.crash()
			path := r.segments()[0]
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var ends []int
			for i, b := range data {
				if b == '\n' {
					ends = append(ends, i+1)
				}
			}
			changed := c.change(bytes.Clone(data), ends)
			if err := os.WriteFile(path, changed, 0o640); err != nil {
				t.Fatal(err)
			}
			r.open()
			st := r.log.Status()
			if st.LastSeq != uint64(c.keeps) || (st.LastIndex == 9) != (c.keeps == records) {
				t.Errorf("status %+v", st)
			}
			if (st.Level != Green) != c.damaged {
				t.Errorf("level %v, %q", st.Level, st.Reasons)
			}
			if torn := r.torn(); (len(torn) > 0) != c.torn {
				t.Errorf("set aside: %v", torn)
			} else if c.torn {
				kept, err := os.ReadFile(path)
				aside, err2 := os.ReadFile(torn[0])
				if err != nil || err2 != nil || !bytes.Equal(append(kept, aside...), changed) {
					t.Errorf("bytes were lost: %d kept, %d aside of %d, %v %v", len(kept), len(aside), len(changed), err, err2)
				}
			}
			r.commit(9, numbered(4), numbered(5))
			r.append(numbered(6))
			r.close()
			rep := r.verify()
			// Recovery repairs what crashes do. What only somebody else can do is still found.
			if middle := strings.Contains(c.name, "in the middle"); rep.OK() == middle {
				t.Errorf("findings %v", rep.Findings)
			}
			want := uint64(c.keeps) + 1
			if c.keeps < records {
				want += 2 // index 9 was written once more
			}
			if rep.LastSeq != want {
				t.Errorf("last record %d, want %d", rep.LastSeq, want)
			}
		})
	}
}

// A crash between the segments: each step of a rotation is the last one that happens.
func TestCrashDuringRotation(t *testing.T) {
	for step := range 12 {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			r, ffs := faultRig(t, nil)
			r.append(numbered(0))
			r.commit(3, numbered(1))
			var left atomic.Int64
			left.Store(int64(step))
			ffs.set(func(op, name string, after bool) error {
				if left.Add(-1) < 0 {
					return errDisk // the process is dead: nothing happens any more
				}
				return nil
			})
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			r.log.Rotate(ctx)
			r.crash()
			ffs.set(nil)
			r.open()
			if got := r.log.LastIndex(); got != 3 {
				t.Errorf("LastIndex = %d", got)
			}
			r.commit(3, numbered(1))
			r.commit(4, numbered(2))
			r.close()
			r.sound(3)
		})
	}
}

// Open makes heads that a crash kept from being written, and goes on from heads whose segments were archived.
func TestOpenWithMissingHeadsAndArchivedSegments(t *testing.T) {
	r := newRig(t, nil)
	for i := range 4 {
		r.commit(uint64(i+1), numbered(i))
		r.rotate()
	}
	r.close()
	paths := r.segments()
	for _, path := range paths[:2] {
		if err := os.Remove(strings.TrimSuffix(path, segmentSuffix) + headSuffix); err != nil {
			t.Fatal(err)
		}
	}
	r.open()
	r.close()
	r.sound(4)
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	r.open()
	if got := r.log.LastIndex(); got != 4 {
		t.Errorf("LastIndex = %d", got)
	}
	r.commit(4, numbered(3))
	r.commit(5, numbered(4))
	r.close()
	rep := r.verifyWith(VerifyOptions{Heads: r.heads.all(), VerifyHead: r.signer.verify, PrunedThrough: 4})
	if !rep.OK() || rep.FirstSeq != 5 || rep.LastSeq != 5 {
		t.Errorf("report %+v", rep)
	}
	// Without any file of the past, the open segment is enough to go on.
	r.open()
	r.commit(6, numbered(5))
	r.crash()
	heads, err := filepath.Glob(filepath.Join(r.dir, "*.head"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(heads, r.segments()[:1]...) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	r.open()
	if st := r.log.Status(); st.Level != Green || st.LastSeq != 6 || st.LastIndex != 6 {
		t.Errorf("status %+v", st)
	}
	r.commit(7, numbered(6))
	r.close()
	rep = r.verifyWith(VerifyOptions{Heads: r.heads.all(), VerifyHead: r.signer.verify, PrunedThrough: 5})
	if !rep.OK() || rep.FirstSeq != 6 || rep.LastSeq != 7 {
		t.Errorf("report %+v", rep)
	}
}

func TestOpenRefusesADoubleSegment(t *testing.T) {
	r := newRig(t, nil)
	r.append(numbered(1))
	r.close()
	data, err := os.ReadFile(r.segments()[0])
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, segmentName(1, testTime)), data, 0o640)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(r.cfg); err == nil || !strings.Contains(err.Error(), "more than once") {
		t.Errorf("Open: %v", err)
	}
}

func TestOpenKeepsADamagedHead(t *testing.T) {
	r := newRig(t, nil)
	r.append(numbered(1))
	r.close()
	path := onlyHead(t, r.dir)
	if err := os.WriteFile(path, []byte("{}"), 0o640); err != nil {
		t.Fatal(err)
	}
	r.open()
	if st := r.log.Status(); st.Level != Amber || st.LastSeq != 1 {
		t.Errorf("status %+v", st)
	}
	r.append(numbered(2))
	r.close()
	if data, err := os.ReadFile(path); err != nil || string(data) != "{}" {
		t.Errorf("the damaged head became %q, %v", data, err)
	}
	if rep := r.verify(); len(rep.Findings) != 1 || rep.Findings[0].Kind != BadHead {
		t.Errorf("findings %v", rep.Findings)
	}
}

// FuzzOpen gives the open segment any contents: Open must not fail in any other way than by naming another node's log,
// must keep the bytes that it cuts unless they are an incomplete line, and go on with a chain that holds from the last
// good record on.
func FuzzOpen(f *testing.F) {
	h := newHasher()
	chain := genesis("node-1")
	var data []byte
	for i := range 3 {
		data, chain = h.appendLine(data, numbered(i), trailer{node: []byte("node-1"), seq: uint64(i + 1), first: i == 0, index: uint64(i), log: []byte("log-1")}, chain)
	}
	f.Add(data)
	f.Add(data[:len(data)-9])
	f.Add(append(bytes.Clone(data), 0, 0, '\n'))
	f.Add([]byte("\n\n{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, segmentName(1, testTime))
		if err := os.WriteFile(path, data, 0o640); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Config{Dir: dir, NodeID: "node-1", LogID: "log-1", SegmentSize: 64 << 10, Reserve: 64 << 10, small: true, fs: quickFS{dirFS{dir}}})
		if err != nil {
			if !strings.Contains(err.Error(), "give each node a directory of its own") {
				t.Fatal(err)
			}
			return
		}
		before := l.Status().LastSeq
		if err := l.Append(context.Background(), numbered(77)); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(context.Background(), dir, VerifyOptions{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := Tail(ctx, dir, Position{}, func(e Entry) error {
			if e.Seq == before+1 && e.EventID == "event-000077" {
				return errDisk
			}
			return nil
		}); err != errDisk {
			t.Fatal(err)
		}
	})
}
