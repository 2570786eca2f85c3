package audit

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	h := newHasher()
	prev := genesis("n1")
	for _, c := range []struct {
		name string
		t    trailer
		want string
	}{
		{"plain", trailer{seq: 7}, `{"a":1,"trent":{"node":"n1","seq":7`},
		{"first of a segment", trailer{seq: 1, first: true}, `{"a":1,"trent":{"node":"n1","seq":1,"prev":"` + prev.String() + `"`},
		{"committed", trailer{seq: 8, index: 45, log: []byte("c1")}, `{"a":1,"trent":{"node":"n1","seq":8,"index":45,"log":"c1"`},
		{"committed, more follow", trailer{seq: 9, index: 45, more: true}, `{"a":1,"trent":{"node":"n1","seq":9,"index":45,"more":true`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.t.node = []byte("n1")
			line, sum := h.appendLine(nil, []byte(`{"a":1}`), c.t, prev)
			// The definition of the package comment, without our helpers.
			if want := chainSum(sha256.Sum256(append(prev[:], c.want...))); sum != want {
				t.Errorf("chain %s, want %s", sum, want)
			}
			if want := c.want + `,"chain":"` + sum.String() + "\"}}\n"; string(line) != want {
				t.Errorf("got %s want %s", line, want)
			}
			got, ok := parseLine(line[:len(line)-1])
			if !ok || got.seq != c.t.seq || got.index != c.t.index || got.more != c.t.more || got.first != c.t.first || string(got.log) != string(c.t.log) || got.chain != sum {
				t.Errorf("parsed %+v, %v", got, ok)
			}
			if !got.links(h, prev, line) || got.links(h, sum, line) {
				t.Error("links is wrong")
			}
		})
	}
}

// A caller that puts a trailer of its own into a record does not get it read as ours.
func TestLineTrailerInRecord(t *testing.T) {
	rec := `{"requestParameters":{"x":1,"trent":{"node":"evil","seq":9,"chain":"` + strings.Repeat("0", 64) + `"}}}`
	line, _ := newHasher().appendLine(nil, []byte(rec), trailer{node: []byte("n1"), seq: 5}, genesis("n1"))
	got, ok := parseLine(line[:len(line)-1])
	if !ok || string(got.node) != "n1" || got.seq != 5 || string(line[:got.record])+"}" != rec {
		t.Errorf("parsed %+v, %v", got, ok)
	}
}

func FuzzParseLine(f *testing.F) {
	h := newHasher()
	for _, tr := range []trailer{{seq: 1, first: true}, {seq: 2}, {seq: 3, index: 9, log: []byte("l")}, {seq: 4, index: 9, more: true}} {
		tr.node = []byte("n1")
		line, _ := h.appendLine(nil, numbered(1), tr, genesis("n1"))
		f.Add(line[:len(line)-1])
	}
	f.Add([]byte(`{"a":1,"trent":{"node":"n","seq":01,"chain":"` + strings.Repeat("a", 64) + `"}}`))
	f.Add([]byte(`{"a":1,"trent":{"node":"n","seq":99999999999999999999,"chain":"` + strings.Repeat("a", 64) + `"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		got, ok := parseLine(line)
		if !ok {
			return
		}
		// What parses is written again as the same bytes, but for the chain, which is any.
		again, _ := h.appendLine(nil, append(bytes.Clone(line[:got.record]), '}'), got, got.prev)
		if !bytes.Equal(again[:got.head], line[:got.head]) {
			t.Fatalf("%q\nbecame\n%q", line, again)
		}
	})
}

func TestEventTimeOf(t *testing.T) {
	for _, c := range []struct{ rec, want string }{
		{string(decryptRecord().AppendJSON(nil)), "2022-11-24T00:26:58Z"},
		{`{"userIdentity":{"userName":"\"eventTime\":\"2000-01-01T00:00:00Z\""},"eventTime":"2022-11-24T00:26:58Z"}`, "2022-11-24T00:26:58Z"},
		{`{"eventTime":"2022-11-24T00:26:5`, ""}, {`{"eventTime":"2022-11-24 00:26:58Z"}`, ""}, {`{"eventTime":"2022-11-24T00:26:58Z0"}`, ""}, {`{"a":1}`, ""},
	} {
		if got := string(eventTimeOf([]byte(c.rec))); got != c.want {
			t.Errorf("eventTimeOf(%s) = %q, want %q", c.rec, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	name := segmentName(12, testTime)
	if name != "audit-000000000012-20221124T002658Z.jsonl" || headName(name) != "audit-000000000012-20221124T002658Z.head" {
		t.Errorf("%s, %s", name, headName(name))
	}
	for _, c := range []struct {
		name string
		want uint64
	}{
		{name, 12}, {segmentName(1<<60, testTime), 1 << 60}, {"audit-12-20221124T002658Z.jsonl", 0}, {"audit-000000000012-20221124T002699Z.jsonl", 0},
		{"audit-000000000000-20221124T002658Z.jsonl", 0}, {"audit-000000000012-20221124T002658Z.jsonl.tmp", 0}, {"audit.spare", 0}, {"x" + name, 0},
	} {
		if got, ok := parseName(c.name, segmentSuffix); ok != (c.want > 0) || ok && got != c.want {
			t.Errorf("parseName(%s) = %d, %v", c.name, got, ok)
		}
	}
}
