package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// forge builds a stream by hand, with a digest that fits.
type forge struct{ bytes.Buffer }

func newForge(header any) *forge {
	f := new(forge)
	f.WriteString(snapshotMagic)
	f.WriteByte(snapshotVersion)
	f.item(header)
	return f
}

func (f *forge) item(v any) *forge {
	var buf bytes.Buffer
	if err := marshalTo(&buf, v); err != nil {
		panic(err)
	}
	f.Write(binary.BigEndian.AppendUint32(nil, uint32(buf.Len())))
	f.Write(buf.Bytes())
	return f
}

func (f *forge) section(number byte, count uint64, rows ...any) *forge {
	f.WriteByte(number)
	for _, row := range rows {
		f.item(row)
	}
	f.Write(binary.BigEndian.AppendUint64(make([]byte, 4), count))
	return f
}

func (f *forge) sealed() []byte {
	f.WriteByte(endOfSections)
	sum := sha256.Sum256(f.Bytes())
	f.Write(sum[:])
	return f.Bytes()
}

func TestSnapshotReaderRefuses(t *testing.T) {
	header := snapshotHeader{Index: 5}
	account := func(id string) *Account { return &Account{ID: id} }
	id, sig := make([]byte, 16), make([]byte, 16)
	for _, c := range []struct {
		name string
		f    *forge
		want string
	}{
		{"fewer rows than counted", newForge(&header).section(2, 2, account("a")), "1 rows instead of 2"},
		{"rows out of order", newForge(&header).section(2, 2, account("b"), account("a")), "row 2 is out of order"},
		{"a row twice", newForge(&header).section(2, 2, account("a"), account("a")), "row 2 is out of order"},
		{"a row without key", newForge(&header).section(2, 1, account("")), "primary index"},
		{"unknown section", newForge(&header).section(99, 0), "section 99"},
		{"sections out of order", newForge(&header).section(3, 0).section(2, 0), "section 2"},
		{"section twice", newForge(&header).section(2, 0).section(2, 0), "section 2"},
		{"row of another table", newForge(&header).section(2, 1, &KeyRef{"a", "b"}), "row 1"},
		{"row with an unknown field", newForge(&header).section(2, 1, map[int]int{99: 1}), "row 1"},
		{"two regions", newForge(&header).section(1, 2, &regionRow{}, &regionRow{}), "two regions"},
		{"current material that is not there", newForge(&header).section(5, 1, &Key{Account: "a", ID: "b", Current: 3}), "current material"},
		{"id of the wrong size", newForge(&header).section(9, 1, &rememberedRow{ID: id[:15], Signature: sig}), "wrong size"},
		{"objects too large", newForge(&header).section(9, 1, &rememberedRow{ID: id, Signature: sig, Objects: []string{strings.Repeat("x", 256)}}), "wrong size"},
		{"header with an unknown field", newForge(map[int]int{99: 1}), "header"},
	} {
		s, err := ReadSnapshot(reader(c.f.sealed()))
		if !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), c.want) || s != nil {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	long := newForge(&header)
	long.WriteByte(2)
	long.Write([]byte{0xff, 0xff, 0xff, 0xff})
	if _, err := ReadSnapshot(&long.Buffer); !errors.Is(err, ErrSnapshot) {
		t.Errorf("a row of 4 GiB: %v", err)
	}
}

// A snapshot of an earlier version lacks the sections that it did not know.
func TestSnapshotWithoutSections(t *testing.T) {
	s, err := ReadSnapshot(reader(newForge(&snapshotHeader{Index: 5, Now: 6}).section(2, 1, &Account{ID: account1}).sealed()))
	if err != nil {
		t.Fatal(err)
	}
	if s.Index() != 5 || s.Now() != 6 || s.Account(account1) == nil || s.Region() != nil {
		t.Errorf("state %+v", s)
	}
}

// Lengths that promise more than there is cost nothing.
func TestSnapshotReaderAllocatesWhatIsThere(t *testing.T) {
	f := newForge(&snapshotHeader{Index: 5})
	f.WriteByte(5)
	f.Write(binary.BigEndian.AppendUint32(nil, maxRow))
	f.WriteString("short")
	data := f.Bytes()
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ReadSnapshot(bytes.NewReader(data)); err == nil {
				b.Fatal("a row that is cut off was read")
			}
		}
	})
	if n := result.AllocedBytesPerOp(); n > 1<<20 {
		t.Errorf("%d bytes allocated for %d bytes of input", n, len(data))
	}
}

func FuzzReadSnapshot(f *testing.F) {
	l := full(f)
	data := snapshotOf(f, l.state())
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add(snapshotOf(f, newLab(f).state()))
	f.Add(newForge(&snapshotHeader{Index: 5}).section(2, 1, &Account{ID: account1}).sealed())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > sha256.Size {
			data = bytes.Clone(data) // past the digest, or nothing below it is reached
			end := len(data) - sha256.Size
			sum := sha256.Sum256(data[:end])
			copy(data[end:], sum[:])
		}
		s, err := ReadSnapshot(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrSnapshot) || s != nil {
				t.Fatalf("%v beside %v", s, err)
			}
			return
		}
		again := snapshotOf(t, s)
		if s, err = ReadSnapshot(bytes.NewReader(again)); err != nil {
			t.Fatalf("a snapshot written again: %v", err)
		}
		if !bytes.Equal(snapshotOf(t, s), again) {
			t.Fatal("a snapshot written again is not stable")
		}
	})
}
