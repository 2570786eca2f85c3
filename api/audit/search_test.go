package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// searchRig is a log of 60 records in several segments: events 0 to 59, a second apart.
func searchRig(t *testing.T) *rig {
	r := newRig(t, func(c *Config) { c.SegmentSize = 8 << 10 })
	for i := range 60 {
		rec := decryptRecord()
		rec.EventID = fmt.Sprintf("event-%06d", i)
		rec.EventTime = testTime.Add(time.Duration(i) * time.Second)
		switch {
		case i%10 == 1:
			rec.EventName, rec.ReadOnly = "CreateKey", false
			rec.UserIdentity = UserIdentity{Type: TypeAssumedRole, ARN: "arn:aws:sts::2:assumed-role/R/Bob", PrincipalID: "AROA:Bob", AccessKeyID: "ASIA",
				Session: &SessionContext{Issuer: &SessionIssuer{ARN: "arn:aws:iam::2:role/R"}}}
		case i%10 == 2:
			rec.EventName, rec.ErrorCode = "DeleteKey", "AccessDenied"
			rec.Resources = nil
			rec.ResponseElements = []byte(`{"keyId":"arn:aws:kms:us-west-2:2:key/other"}`)
			rec.RecipientAccountID = "2"
		case i%10 == 3:
			rec.EventName, rec.EventSource = `a"ü<b>`, "trent"
			rec.UserIdentity = UserIdentity{Type: TypeRoot, ARN: "arn:aws:iam::1:root", PrincipalID: "1"}
			rec.Resources[0].ARN = "arn:aws:kms:us-west-2:1:alias/pay/roll"
		}
		r.append(rec.AppendJSON(nil))
	}
	return r
}

func found(entries []Entry) (numbers []int) {
	for _, e := range entries {
		numbers = append(numbers, eventNumber(string(e.Line)))
	}
	return numbers
}

func TestSearch(t *testing.T) {
	r := searchRig(t)
	yes, no := true, false
	for _, c := range []struct {
		name string
		f    Filter
		want []int
	}{
		{"limit", Filter{Limit: 3}, []int{59, 58, 57}},
		{"event id", Filter{EventID: "event-000017"}, []int{17}},
		{"event name", Filter{EventName: "CreateKey", Limit: 2}, []int{51, 41}},
		{"event name that needs escapes", Filter{EventName: `a"ü<b>`, Limit: 2}, []int{53, 43}},
		{"event source", Filter{EventSource: "trent", Limit: 1}, []int{53}},
		{"account", Filter{AccountID: "2"}, []int{52, 42, 32, 22, 12, 2}},
		{"access key", Filter{AccessKeyID: "ASIA", Limit: 1}, []int{51}},
		{"error code", Filter{ErrorCode: "AccessDenied", Limit: 1}, []int{52}},
		{"key ARN", Filter{Key: testKeyARN, Limit: 2}, []int{59, 58}},
		{"key id", Filter{Key: testKeyID, Limit: 9}, []int{59, 58, 57, 56, 55, 54, 51, 50, 49}},
		{"key in the response", Filter{Key: "other", Limit: 1}, []int{52}},
		{"key, part of its id", Filter{Key: testKeyID[:9]}, nil},
		{"principal", Filter{Principal: "arn:aws:iam::111122223333:user/Alice", Limit: 2}, []int{59, 58}},
		{"role as principal", Filter{Principal: "arn:aws:iam::2:role/R", Limit: 1}, []int{51}},
		{"principal id", Filter{Principal: "AROA:Bob", Limit: 1}, []int{51}},
		{"user name", Filter{UserName: "Alice", Limit: 1}, []int{59}},
		{"session as user name", Filter{UserName: "Bob", Limit: 1}, []int{51}},
		{"root as user name", Filter{UserName: "root", Limit: 1}, []int{53}},
		{"resource name", Filter{ResourceName: "roll", Limit: 1}, []int{53}},
		{"resource type", Filter{ResourceType: ResourceTypeKey, EventName: "DeleteKey"}, nil},
		{"read only", Filter{ReadOnly: &yes, Limit: 1}, []int{59}},
		{"not read only", Filter{ReadOnly: &no, Limit: 1}, []int{51}},
		{"time", Filter{From: testTime.Add(20 * time.Second), To: testTime.Add(23 * time.Second)}, []int{22, 21, 20}},
		{"from, between seconds", Filter{From: testTime.Add(58*time.Second + 1)}, []int{59}},
		{"several", Filter{EventName: "CreateKey", AccessKeyID: "ASIA", To: testTime.Add(20 * time.Second)}, []int{11, 1}},
		{"several, one does not match", Filter{EventName: "CreateKey", UserName: "Alice"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Search(context.Background(), r.dir, c.f)
			if err != nil {
				t.Fatal(err)
			}
			if got := found(p.Entries); !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}

// Closed segments are passed over by time, but none that holds a record of that second.
func TestSearchByTimeAtTheEdgesOfSegments(t *testing.T) {
	r := searchRig(t)
	r.close()
	for i := range 60 {
		at := testTime.Add(time.Duration(i) * time.Second)
		p, err := Search(context.Background(), r.dir, Filter{From: at, To: at.Add(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		if got := found(p.Entries); len(got) != 1 || got[0] != i {
			t.Errorf("second %d: %v", i, got)
		}
		if p, err := Search(context.Background(), r.dir, Filter{From: at, To: at.Add(time.Millisecond)}); err != nil || len(p.Entries) != 1 {
			t.Errorf("first millisecond of second %d: %v, %v", i, found(p.Entries), err)
		}
		if p.Read > 16<<10 {
			t.Errorf("second %d: %d bytes were read", i, p.Read)
		}
	}
}

func TestSearchPages(t *testing.T) {
	r := searchRig(t)
	for _, f := range []Filter{{Limit: 7}, {Limit: 100, Budget: 1500}, {Limit: 2, EventName: "CreateKey"}} {
		var all []int
		pages := 0
		for cursor := ""; ; pages++ {
			f.Cursor = cursor
			p, err := Search(context.Background(), r.dir, f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, found(p.Entries)...)
			if p.Next == "" {
				break
			}
			cursor = p.Next
			if f.Budget > 0 && p.Read > f.Budget+4096 {
				t.Errorf("a page read %d bytes", p.Read)
			}
			r.append(numbered(1000 + pages)) // records that come meanwhile do not move the cursor
		}
		want := 60
		if f.EventName != "" {
			want = 6
		}
		seen := slices.DeleteFunc(all, func(n int) bool { return n >= 1000 })
		if len(seen) != want || !slices.IsSortedFunc(seen, func(a, b int) int { return b - a }) {
			t.Errorf("%+v: %v", f, all)
		}
		if pages < 2 {
			t.Errorf("only %d pages", pages)
		}
	}
	for _, cursor := range []string{"x", "1", "1.-1", "1.2.3", "01.2"} {
		if _, err := Search(context.Background(), r.dir, Filter{Cursor: cursor}); err == nil {
			t.Errorf("cursor %q was taken", cursor)
		}
	}
	if p, err := Search(context.Background(), r.dir, Filter{Cursor: CursorEnd}); err != nil || len(p.Entries) != 0 {
		t.Errorf("behind the end: %+v, %v", p, err)
	}
}

func TestSearchEntries(t *testing.T) {
	r := newRig(t, nil)
	r.commit(9, numbered(1))
	r.commit(10, numbered(1)) // a copy, as after the restore of a cluster
	r.append(numbered(2))
	p, err := Search(context.Background(), r.dir, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if got := found(p.Entries); !slices.Equal(got, []int{2, 1}) {
		t.Fatalf("found %v", got)
	}
	e := p.Entries[1]
	if string(e.Record()) != string(numbered(1)) || e.Node != "node-1" || e.Seq != 2 || e.Index != 10 || e.Segment != 1 || e.EventName != "Decrypt" || !e.EventTime.Equal(testTime.Add(time.Second)) {
		t.Errorf("entry %+v", e)
	}
}

// Garbage between the records costs only itself.
func TestSearchPassesOverGarbage(t *testing.T) {
	r := newRig(t, nil)
	for i := range 5 {
		r.append(numbered(i))
	}
	r.crash()
	path := r.segments()[0]
	lines := splitLines(t, path)
	lines[1] = strings.Repeat("x", 3*maxLine)
	lines[3] = "\x00\xff"
	joinLines(t, path, append(lines, strings.Repeat("y", maxLine+1), "{"))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"incomplete`); err != nil {
		t.Fatal(err)
	}
	p, err := Search(context.Background(), r.dir, Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if got := found(p.Entries); !slices.Equal(got, []int{4, 2, 0}) {
		t.Errorf("found %v", got)
	}
}

func TestMerge(t *testing.T) {
	entry := func(i int, cursor string) Entry {
		return Entry{EventID: fmt.Sprint(i), EventTime: testTime.Add(time.Duration(i) * time.Second), Cursor: cursor}
	}
	a := Page{Entries: []Entry{entry(9, "a9"), entry(7, "a7"), entry(5, "a5")}, Next: "a5", From: "a-from"}
	b := Page{Entries: []Entry{entry(9, "b9"), entry(8, "b8"), entry(5, "b5")}}
	c := Page{Entries: []Entry{entry(4, "c4")}, From: "c-from"}
	for _, k := range []struct {
		limit int
		ids   string
		next  []string
	}{
		{1, "9", []string{"a9", "b9", "c-from"}},
		{2, "9 8", []string{"a9", "b8", "c-from"}},
		{4, "9 8 7 5", []string{"a5", CursorEnd, "c-from"}},
		{9, "9 8 7 5 4", []string{"a5", CursorEnd, CursorEnd}},
	} {
		got, next := Merge(k.limit, []Page{a, b, c})
		var ids []string
		for _, e := range got {
			ids = append(ids, e.EventID)
		}
		if strings.Join(ids, " ") != k.ids || !slices.Equal(next, k.next) {
			t.Errorf("limit %d: %v, next %v", k.limit, ids, next)
		}
	}
}

func TestTail(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SegmentSize = 8 << 10 })
	for i := range 15 {
		r.append(numbered(i))
	}
	from, err := End(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	follow := func(from Position, until int, each func(Entry)) (got []int) {
		err := Tail(context.Background(), r.dir, from, func(e Entry) error {
			got = append(got, eventNumber(string(e.Line)))
			each(e)
			if got[len(got)-1] == until {
				return stop
			}
			return nil
		})
		if err != stop {
			t.Fatal(err)
		}
		return got
	}
	var middle Position
	if got := follow(Position{}, 14, func(e Entry) {
		if e.EventID == "event-000006" {
			middle = e.Next
		}
	}); len(got) != 15 || got[0] != 0 {
		t.Errorf("from the start: %v", got)
	}
	if got := follow(middle, 14, func(Entry) {}); len(got) != 8 || got[0] != 7 {
		t.Errorf("from the middle: %v", got)
	}
	// What is written while following comes as well, over segments, a crash and a recovery.
	done := make(chan []int)
	go func() { done <- follow(from, 60, func(Entry) {}) }()
	for i := 15; i < 40; i++ {
		r.append(numbered(i))
	}
	r.crash()
	paths := r.segments()
	f, err := os.OpenFile(paths[len(paths)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"torn":`); err != nil {
		t.Fatal(err)
	}
	r.open()
	for i := 40; i <= 60; i++ {
		r.append(numbered(i))
	}
	got := <-done
	for i, n := range got {
		if n != 15+i {
			t.Fatalf("followed %v", got)
		}
	}
	if len(got) != 46 {
		t.Errorf("followed %v", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Tail(ctx, r.dir, from, func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Tail with a cancelled context: %v", err)
	}
}

// An incomplete line that was read once is read anew, because a recovery may have replaced it.
func TestReaderForgetsIncompleteLines(t *testing.T) {
	var src strings.Builder
	at := func(text string) *strings.Reader {
		src.Reset()
		src.WriteString(text)
		return strings.NewReader(src.String())
	}
	r := newLineReader(at("a\nhalf"), 0)
	if line, err := r.read(); err != nil || string(line.text) != "a" {
		t.Fatal(line, err)
	}
	if _, err := r.read(); err == nil {
		t.Fatal("an incomplete line was delivered")
	}
	r.again()
	r.src = at("a\nother\n")
	if line, err := r.read(); err != nil || string(line.text) != "other" || line.offset != 2 || line.number != 2 {
		t.Errorf("%q, %+v, %v", line.text, line, err)
	}
}

// Tail has read the beginning of a line that a recovery cuts; what is written there instead is delivered.
func TestTailOverARecovery(t *testing.T) {
	h := newHasher()
	first, chain := h.appendLine(nil, numbered(1), trailer{node: []byte("n1"), seq: 1, first: true}, genesis("n1"))
	second, _ := h.appendLine(nil, numbered(2), trailer{node: []byte("n1"), seq: 2}, chain)
	f, err := os.Create(filepath.Join(t.TempDir(), "segment"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got string
	tl := &tail{ctx: t.Context(), deliver: func(e Entry) error { got += string(e.Line) + "\n"; return nil }}
	r := newLineReader(f, 0)
	for _, text := range []string{string(first) + `{"torn":"`, string(first) + string(second)} {
		if _, err := f.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := tl.drain(r); err != nil {
			t.Fatal(err)
		}
	}
	if got != string(first)+string(second) {
		t.Errorf("delivered\n%s", got)
	}
}

// FuzzReaders gives both line readers any file: they must agree on its lines, forwards and backwards.
func FuzzReaders(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), uint16(0))
	f.Add([]byte("\n"), uint16(1))
	f.Add([]byte(strings.Repeat("x", 1000)+"\ny\n"), uint16(700))
	f.Fuzz(func(t *testing.T, data []byte, repeat uint16) {
		// Long lines come from repetition, so that inputs stay small.
		if len(data) > 0 {
			data = append(data, strings.Repeat(string(data[:1]), int(repeat)*16)...)
		}
		src := strings.NewReader(string(data))
		var forward, backward []string
		r := newLineReader(src, 0)
		for {
			line, err := r.read()
			if err != nil {
				break
			}
			if line.partial {
				continue
			}
			if !line.long && string(data[line.offset:line.end]) != string(line.text)+"\n" {
				t.Fatalf("line %d: offset %d, end %d", line.number, line.offset, line.end)
			}
			forward = append(forward, fmt.Sprint(line.offset, line.end, line.long))
		}
		end, err := lastBreak(src, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		b := newBackReader(src, end)
		for {
			line, err := b.read()
			if err != nil {
				break
			}
			backward = append(backward, fmt.Sprint(line.offset, line.end, line.long))
		}
		slices.Reverse(backward)
		if !slices.Equal(forward, backward) {
			t.Fatalf("forward %v, backward %v", forward, backward)
		}
	})
}
