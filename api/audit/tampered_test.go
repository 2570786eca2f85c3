package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tampered is a log of three closed segments with ten records each and an open one with ten, of which the first five
// are stated by a committed checkpoint.
type tampered struct {
	*rig
	paths []string
}

func newTampered(t *testing.T) *tampered {
	t.Helper()
	r := newRig(t, nil)
	n := 0
	put := func(k int) {
		for range k {
			r.append(numbered(n))
			n++
		}
	}
	for range 3 {
		put(10)
		r.rotate()
	}
	put(5)
	r.log.checkpoint(0)
	eventually(t, "the checkpoint is announced", func() bool { return len(r.heads.all()) == 4 })
	put(5)
	r.crash()
	return &tampered{r, r.segments()}
}

// copied returns the same log in a directory of its own.
func (l *tampered) copied(t *testing.T) *tampered {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(l.dir)); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, signer: l.signer, heads: l.heads}
	return &tampered{r, r.segments()}
}

func (l *tampered) head(segment int) string {
	return filepath.Join(l.dir, headName(filepath.Base(l.paths[segment-1])))
}

// edit changes the lines of a segment. Lines count from 0 here.
func (l *tampered) edit(segment int, f func(lines []string) []string) {
	path := l.paths[segment-1]
	joinLines(l.t, path, f(splitLines(l.t, path)))
}

func (l *tampered) remove(paths ...string) {
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *tampered) write(path string, data []byte) {
	if err := os.WriteFile(path, data, 0o640); err != nil {
		l.t.Fatal(err)
	}
}

func (l *tampered) read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	return data
}

// forge writes the records of a segment anew, from a line on, with a right chain.
func (l *tampered) forge(segment, from int, change func(i int, rec string) string) {
	l.edit(segment, func(lines []string) []string {
		h := newHasher()
		prev := genesis("node-1")
		if segment > 1 {
			before := splitLines(l.t, l.paths[segment-2])
			t, _ := parseLine([]byte(before[len(before)-1]))
			prev = t.chain
		}
		for i, line := range lines {
			t, _ := parseLine([]byte(line))
			if i >= from {
				rec := change(i, line[:t.record]+"}")
				b, _ := h.appendLine(nil, []byte(rec), t, prev)
				lines[i] = string(b[:len(b)-1])
				t, _ = parseLine([]byte(lines[i]))
			}
			prev = t.chain
		}
		return lines
	})
}

func swap(from, to string) func(int, string) string {
	return func(_ int, rec string) string { return strings.ReplaceAll(rec, from, to) }
}

// forgedAfter makes a record with the number of like that follows from before.
func forgedAfter(before, like string) string {
	p, _ := parseLine([]byte(before))
	t, _ := parseLine([]byte(like))
	b, _ := newHasher().appendLine(nil, []byte(strings.Replace(like[:t.record], "Alice", "Alicf", 1)+"}"), t, p.chain)
	return string(b[:len(b)-1])
}

func nextAfter(before string) string {
	p, _ := parseLine([]byte(before))
	t := trailer{node: p.node, seq: p.seq + 1}
	b, _ := newHasher().appendLine(nil, numbered(1), t, p.chain)
	return string(b[:len(b)-1])
}
