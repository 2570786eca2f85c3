package audit

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestVerifyFindsEveryKindOfTampering(t *testing.T) {
	sound := newTampered(t)
	changeByte := func(lines []string, i int) []string {
		lines[i] = strings.Replace(lines[i], "Alice", "Alicf", 1)
		return lines
	}
	for _, c := range []struct {
		name string
		do   func(l *tampered)
		want []string // kind segment:line first-last; all findings
	}{
		{"nothing", func(l *tampered) {}, nil},
		{"record changed", func(l *tampered) { l.edit(2, func(s []string) []string { return changeByte(s, 4) }) }, []string{"changed 2:5 15-15"}},
		{"first record changed", func(l *tampered) { l.edit(1, func(s []string) []string { return changeByte(s, 0) }) }, []string{"changed 1:1 1-1"}},
		{"last record of a segment changed", func(l *tampered) { l.edit(2, func(s []string) []string { return changeByte(s, 9) }) }, []string{"changed 2:10 20-20"}},
		{"two records changed", func(l *tampered) {
			l.edit(2, func(s []string) []string { return changeByte(changeByte(s, 2), 7) })
		}, []string{"changed 2:3 13-13", "changed 2:8 18-18"}},
		{"record of the open segment changed, after the checkpoint", func(l *tampered) { l.edit(4, func(s []string) []string { return changeByte(s, 7) }) }, []string{"changed 4:8 38-38"}},
		{"record replaced by garbage", func(l *tampered) { l.edit(2, func(s []string) []string { s[4] = "garbage"; return s }) }, []string{"changed 2:5 15-15"}},
		{"record made too long", func(l *tampered) {
			l.edit(2, func(s []string) []string { s[4] = strings.Repeat("x", 3*maxLine); return s })
		}, []string{"changed 2:5 15-15"}},
		{"last record replaced by garbage", func(l *tampered) { l.edit(2, func(s []string) []string { s[9] = "garbage"; return s }) }, []string{"changed 2:10 20-20"}},
		{"changed with a right chain value", func(l *tampered) {
			l.forge(2, 4, func(i int, rec string) string {
				if i == 4 {
					return strings.Replace(rec, "Alice", "Alicf", 1)
				}
				return rec
			})
		}, []string{"changed 2:10 11-20"}},
		{"record removed", func(l *tampered) { l.edit(2, func(s []string) []string { return slices.Delete(s, 4, 5) }) }, []string{"removed 2:5 15-15"}},
		{"records removed", func(l *tampered) { l.edit(2, func(s []string) []string { return slices.Delete(s, 4, 7) }) }, []string{"removed 2:5 15-17"}},
		{"first record removed", func(l *tampered) { l.edit(1, func(s []string) []string { return s[1:] }) }, []string{"removed 1:1 1-1"}},
		{"first record of a segment removed", func(l *tampered) { l.edit(3, func(s []string) []string { return s[1:] }) }, []string{"removed 3:1 21-21"}},
		{"copy inserted", func(l *tampered) { l.edit(2, func(s []string) []string { return slices.Insert(s, 6, s[2]) }) }, []string{"inserted 2:7 13-13"}},
		{"copy right behind", func(l *tampered) { l.edit(2, func(s []string) []string { return slices.Insert(s, 3, s[2]) }) }, []string{"inserted 2:4 13-13"}},
		{"foreign line inserted", func(l *tampered) {
			l.edit(2, func(s []string) []string { return slices.Insert(s, 6, `{"a":1}`) })
		}, []string{"inserted 2:7 0-0"}},
		{"foreign line at the end", func(l *tampered) {
			l.edit(2, func(s []string) []string { return append(s, `{"a":1}`) })
		}, []string{"inserted 2:11 0-0"}},
		{"foreign line at the start", func(l *tampered) {
			l.edit(1, func(s []string) []string { return slices.Insert(s, 0, `{"a":1}`) })
		}, []string{"inserted 1:1 0-0"}},
		{"forged record with a wrong chain before the true one", func(l *tampered) {
			l.edit(2, func(s []string) []string { return slices.Insert(s, 6, strings.Replace(s[6], "Alice", "Alicf", 1)) })
		}, []string{"inserted 2:7 17-17"}},
		{"forged record with a right chain before the true one", func(l *tampered) {
			l.edit(2, func(s []string) []string { return slices.Insert(s, 6, forgedAfter(s[5], s[6])) })
		}, []string{"inserted 2:7 17-17"}},
		{"forged record with a right chain behind the true one", func(l *tampered) {
			l.edit(2, func(s []string) []string { return slices.Insert(s, 7, forgedAfter(s[5], s[6])) })
		}, []string{"inserted 2:8 17-17"}},
		{"forged record after the end", func(l *tampered) {
			l.edit(2, func(s []string) []string { return append(s, nextAfter(s[9])) })
		}, []string{"inserted 2:11 21-21"}},
		{"neighbours exchanged", func(l *tampered) {
			l.edit(2, func(s []string) []string { s[4], s[5] = s[5], s[4]; return s })
		}, []string{"reordered 2:6 15-15"}},
		{"record moved to the end", func(l *tampered) {
			l.edit(2, func(s []string) []string { return append(slices.Delete(slices.Clone(s), 4, 5), s[4]) })
		}, []string{"reordered 2:10 15-15"}},
		{"record moved to another segment", func(l *tampered) {
			var moved string
			l.edit(1, func(s []string) []string { moved = s[4]; return slices.Delete(s, 4, 5) })
			l.edit(3, func(s []string) []string { return slices.Insert(s, 2, moved) })
		}, []string{"reordered 3:3 5-5"}},
		{"end cut off", func(l *tampered) { l.edit(2, func(s []string) []string { return s[:7] }) }, []string{"cut off 2:7 18-20"}},
		{"end cut off inside a line", func(l *tampered) {
			data := l.read(l.paths[1])
			l.write(l.paths[1], data[:len(data)-20])
		}, []string{"cut off 2:9 20-20"}},
		{"segment emptied", func(l *tampered) { l.write(l.paths[1], nil) }, []string{"cut off 2:0 11-20"}},
		{"open segment cut off before the checkpoint", func(l *tampered) { l.edit(4, func(s []string) []string { return s[:3] }) }, []string{"cut off 4:3 34-35"}},
		{"open segment rewritten before the checkpoint", func(l *tampered) { l.forge(4, 2, swap("Alice", "Alicf")) }, []string{"changed 4:5 31-35"}},
		{"segment rewritten with its chain", func(l *tampered) { l.forge(2, 3, swap("Alice", "Alicf")) }, []string{"changed 2:10 11-20"}},
		{"segment missing", func(l *tampered) { l.remove(l.paths[1]) }, []string{"missing segment 2:0 11-20"}},
		{"first segment missing with its head", func(l *tampered) { l.remove(l.paths[0], l.head(1)) }, []string{"missing segment 1:0 1-10"}},
		{"open segment missing", func(l *tampered) { l.remove(l.paths[3]) }, []string{"missing segment 4:0 31-35"}},
		{"segment there twice", func(l *tampered) {
			l.write(filepath.Join(l.dir, segmentName(2, testTime)), l.read(l.paths[1]))
		}, []string{"extra segment 2:0 0-0"}},
		{"segments exchanged", func(l *tampered) {
			a, b := l.read(l.paths[0]), l.read(l.paths[1])
			l.write(l.paths[0], b)
			l.write(l.paths[1], a)
		}, nil}, // many findings; only that there are some counts
		{"head missing", func(l *tampered) { l.remove(l.head(2)) }, []string{"bad head 2:0 0-0"}},
		{"head unreadable", func(l *tampered) { l.write(l.head(2), []byte("{")) }, []string{"bad head 2:0 0-0"}},
		{"head reformatted", func(l *tampered) {
			l.write(l.head(2), bytes.Replace(l.read(l.head(2)), []byte(`,"node"`), []byte(`, "node"`), 1))
		}, []string{"bad head 2:0 0-0"}},
		{"head of another segment", func(l *tampered) { l.write(l.head(2), l.read(l.head(1))) }, []string{"bad head 2:0 0-0"}},
		{"head changed", func(l *tampered) {
			l.write(l.head(2), bytes.Replace(l.read(l.head(2)), []byte(`"lastTime":"2022`), []byte(`"lastTime":"2023`), 1))
		}, []string{"bad signature 2:0 11-20", "bad head 2:0 0-0"}},
		{"signature removed", func(l *tampered) {
			h, _ := ParseHead(l.read(l.head(2)))
			h.Signature, h.KeyID = "", ""
			l.write(l.head(2), h.encode())
		}, []string{"bad signature 2:0 11-20"}},
		{"signature by another key", func(l *tampered) {
			h, _ := ParseHead(l.read(l.head(2)))
			h.KeyID = "other"
			l.write(l.head(2), h.encode())
		}, []string{"bad signature 2:0 11-20"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := sound.copied(t)
			c.do(l)
			rep := l.verify()
			var got []string
			for _, f := range rep.Findings {
				got = append(got, fmt.Sprintf("%s %d:%d %d-%d", f.Kind, f.Segment, f.Line, f.FirstSeq, f.LastSeq))
				if f.Line > 0 && f.File == "" || f.Detail == "" || f.String() == "" {
					t.Errorf("incomplete finding %+v", f)
				}
			}
			if c.name == "segments exchanged" {
				if rep.OK() {
					t.Error("nothing found")
				}
				return
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q\n%v", got, c.want, rep.Findings)
			}
			if c.want == nil && (rep.SealedSeq != 35 || rep.Records != 40 || rep.HeadsChecked != 4 || rep.SignaturesChecked != 7) {
				t.Errorf("report %+v", rep)
			}
		})
	}
}

// Whoever rewrites everything, heads included, fails on the committed heads, and on the signatures where those are all
// there is to compare with.
func TestVerifyFindsARewrittenLog(t *testing.T) {
	l := newTampered(t)
	other := newRig(t, nil)
	for i := range 40 {
		other.append(numbered(500 + i))
		if i%10 == 9 && i < 30 {
			other.rotate()
		}
	}
	other.crash()
	other.heads = l.heads
	if rep := other.verify(); rep.OK() {
		t.Error("committed heads: nothing found")
	}
	stranger := newSigner()
	stranger.key[0] ^= 1
	rep := other.verifyWith(VerifyOptions{VerifyHead: func(string, []byte, []byte) error { return errDisk }})
	if len(rep.Findings) != 3 || rep.Findings[0].Kind != BadSignature || rep.SealedSeq != 0 {
		t.Errorf("signatures: %v", rep.Findings)
	}
	// Without either, a consistent log is all that can be asked for, and the report says that nothing vouches for it.
	if rep := other.verifyWith(VerifyOptions{}); !rep.OK() || rep.SealedSeq != 0 {
		t.Errorf("chain alone: %+v", rep)
	}
}

func TestVerifyWithoutHeads(t *testing.T) {
	l := newTampered(t)
	l.remove(l.paths[1], l.head(2))
	l.edit(4, func(s []string) []string { return s[:3] })
	rep := l.verifyWith(VerifyOptions{VerifyHead: l.signer.verify})
	if len(rep.Findings) != 1 || rep.Findings[0].Kind != MissingSegment || rep.Findings[0].Segment != 2 {
		t.Errorf("findings %v", rep.Findings)
	}
}

// Without keys and committed heads the heads still have to describe their segments.
func TestVerifyComparesHeadsWithRecords(t *testing.T) {
	sound := newTampered(t)
	for _, change := range []string{`"lastTime":"2022`, `"firstTime":"2022`, `"bytes":1`} {
		l := sound.copied(t)
		l.write(l.head(2), bytes.Replace(l.read(l.head(2)), []byte(change), []byte(change[:len(change)-1]+"3"), 1))
		if rep := l.verifyWith(VerifyOptions{}); len(rep.Findings) != 1 || rep.Findings[0].Kind != BadHead || rep.Findings[0].Segment != 2 {
			t.Errorf("%s: findings %v", change, rep.Findings)
		}
	}
}

func TestVerifyPruned(t *testing.T) {
	l := newTampered(t)
	l.remove(l.paths[0], l.paths[1], l.head(1))
	opts := VerifyOptions{Heads: l.heads.all(), VerifyHead: l.signer.verify, PrunedThrough: 2}
	if rep := l.verifyWith(opts); !rep.OK() || rep.FirstSeq != 21 {
		t.Errorf("report %+v", rep)
	}
	l.edit(3, func(s []string) []string { return s[1:] })
	if rep := l.verifyWith(opts); len(rep.Findings) != 1 || rep.Findings[0].Kind != Removed || rep.Findings[0].FirstSeq != 21 {
		t.Errorf("findings %v", rep.Findings)
	}
}

func TestVerifyLimitsFindings(t *testing.T) {
	l := newTampered(t)
	l.write(l.paths[1], bytes.Repeat([]byte("garbage\n"), 100_000))
	rep := l.verifyWith(VerifyOptions{MaxFindings: 20})
	if rep.OK() || !rep.Truncated || len(rep.Findings) > 20 {
		t.Errorf("%d findings, truncated: %v", len(rep.Findings), rep.Truncated)
	}
}

func TestVerifyOfARunningLog(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SegmentSize = 16 << 10 })
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			r.append(numbered(i))
		}
	}()
	for i := 0; ; i++ {
		rep, err := Verify(context.Background(), r.dir, VerifyOptions{Heads: r.heads.all()})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range rep.Findings {
			t.Errorf("round %d: %s", i, f)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SegmentSize = 4 << 20 })
	for i := range 1100 {
		r.append(numbered(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, r.dir, VerifyOptions{}); err == nil {
		t.Error("no error")
	}
}

// sealedLog returns the files of a log of two closed segments and its heads.
func sealedLog(tb testing.TB) (files map[string][]byte, names []string, heads []Head, verify VerifyFunc) {
	dir, signer := tb.TempDir(), newSigner()
	l, err := Open(Config{Dir: dir, NodeID: "node-1", SegmentSize: 64 << 10, Reserve: 64 << 10, small: true, Signer: signer,
		OnHead: func(_ context.Context, h Head) error { heads = append(heads, h); return nil }})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 4 {
		if err := l.AppendCommitted(uint64(i+1), numbered(i)); err != nil {
			tb.Fatal(err)
		}
		if i == 1 {
			if _, err := l.Rotate(context.Background()); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := l.Close(context.Background()); err != nil {
		tb.Fatal(err)
	}
	files = make(map[string][]byte)
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := parseName(e.Name(), segmentSuffix); !ok && !strings.HasSuffix(e.Name(), headSuffix) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			tb.Fatal(err)
		}
		files[e.Name()], names = data, append(names, e.Name())
	}
	return files, names, heads, signer.verify
}

// Every change of one byte, in records and heads, is found.
func TestVerifyFindsEveryChangedByte(t *testing.T) {
	files, names, heads, verify := sealedLog(t)
	dir := t.TempDir()
	restore := func() {
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o640); err != nil {
				t.Fatal(err)
			}
		}
	}
	restore()
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, name := range names {
		for i := 0; i < len(files[name]); i += 1 + rnd.IntN(19) {
			changed := bytes.Clone(files[name])
			changed[i] ^= 1 << rnd.IntN(8)
			if err := os.WriteFile(filepath.Join(dir, name), changed, 0o640); err != nil {
				t.Fatal(err)
			}
			rep, err := Verify(context.Background(), dir, VerifyOptions{Heads: heads, VerifyHead: verify})
			if err != nil {
				t.Fatal(err)
			}
			if rep.OK() {
				t.Fatalf("byte %d of %s was changed from %q to %q: nothing found", i, name, files[name][i], changed[i])
			}
		}
		restore()
	}
}

// FuzzVerify replaces a part of a segment or a head by anything. Verify must end, within its limits, and find it.
func FuzzVerify(f *testing.F) {
	files, names, heads, verify := sealedLog(f)
	f.Add(0, 10, 5, []byte("x"))
	f.Add(1, 0, 1<<20, []byte{})
	f.Add(2, 100, 0, []byte("\n{}\n\x00"))
	f.Add(3, 0, 1<<20, files[names[3]][:200])
	f.Fuzz(func(t *testing.T, which, at, n int, data []byte) {
		if which < 0 || at < 0 || n < 0 {
			return
		}
		dir := t.TempDir()
		target := names[which%len(names)]
		same := false
		for name, old := range files {
			content := old
			if name == target {
				at, end := min(at, len(old)), min(at+min(n, len(old)), len(old))
				content = slices.Concat(old[:at], data, old[max(at, end):])
				same = bytes.Equal(content, old)
			}
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		rep, err := Verify(context.Background(), dir, VerifyOptions{Heads: heads, VerifyHead: verify, MaxFindings: 10})
		if err != nil {
			t.Fatal(err)
		}
		if rep.OK() != same || len(rep.Findings) > 10 {
			t.Fatalf("%s changed: %v; findings %v", target, !same, rep.Findings)
		}
	})
}
