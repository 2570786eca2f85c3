package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/integration/chaos/history"
)

const second = int64(time.Second)

// run is ten seconds of two nodes; n2 answers nobody from 3 s to 7 s.
func run() (ops []history.Op) {
	for at := int64(0); at < 10*second; at += second / 10 {
		ops = append(ops, history.Op{Workload: "w", Kind: "Encrypt", Node: "n1", Call: at, Return: at + second/100})
		down := history.Op{Workload: "w", Kind: "DisableKey", Node: "n2", Call: at, Return: at + second/100, Outcome: history.Refused}
		if at >= 3*second && at < 7*second {
			down.Outcome, down.Return = history.Unknown, math.MaxInt64
		}
		ops = append(ops, down)
	}
	return append(ops, history.Op{Workload: "w", Kind: "walk", Node: "all", Call: 5 * second, Return: 6 * second})
}

func TestCounts(t *testing.T) {
	want := []Line{{"w", "DisableKey", Count{Refused: 60, Unknown: 40}}, {"w", "Encrypt", Count{OK: 100}}}
	if got := Counts(run()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	c := Total(run())
	if c != (Count{OK: 100, Refused: 60, Unknown: 40}) || c.UnknownPercent() != 20 || (Count{}).UnknownPercent() != 0 {
		t.Errorf("total %+v, %v %%", c, c.UnknownPercent())
	}
}

func TestEvidence(t *testing.T) {
	read := map[string]string{"read": "1"}
	got := EvidenceOf([]history.Op{
		{Outcome: history.Refused, Error: "DisabledException", In: read}, {Outcome: history.Refused, Error: "NotFoundException", In: read},
		{Outcome: history.Refused, Error: "DisabledException"}, {Outcome: history.Failed, In: map[string]string{"blob": "B"}}, {In: map[string]string{"blob": "B"}},
	})
	if got != (Evidence{Forbidden: 1, Opened: 1}) {
		t.Errorf("got %+v", got)
	}
}

func TestOutages(t *testing.T) {
	ops := append(run(), history.Op{Node: "n3", Call: second, Return: second, Outcome: history.Failed})
	got := Outages(ops, 0, 10*second)
	if len(got) != 3 {
		t.Fatalf("got %v", got)
	}
	if o := got[0]; o.Node != "n1" || o.Length() != 0 {
		t.Errorf("a node that answered all the time: %+v", o)
	}
	if o := got[1]; o.Node != "n2" || o.Length() < 4*time.Second || o.Length() > 4200*time.Millisecond || o.Lost != 40 {
		t.Errorf("got %+v, want about 4 s", o)
	}
	if o := got[2]; o.Node != "n3" || o.Length() != 10*time.Second {
		t.Errorf("a node that never answered: %+v", o)
	}
}

func TestTables(t *testing.T) {
	var b strings.Builder
	if err := Tables(&b, run(), 0, 10*second); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| w | DisableKey | 0 | 60 | 40 | 0 |", "200 operations, 20.00 % of unknown outcome", "| n2 | 4."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// TestTimeline holds that a picture is well-formed, whatever names it shows, and shows what happened.
func TestTimeline(t *testing.T) {
	var b bytes.Buffer
	faults := []Fault{{"kill <leader>", "n2 & co", 3 * second, 7 * second}, {"late", "", 9 * second, 90 * second}}
	if err := Timeline(&b, run(), faults, 0, 10*second); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"#27ae60", "#2f80ed", "#eb5757", "kill &lt;leader&gt;", ">n1<", ">10s<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if Timeline(io.Discard, nil, nil, 5, 5) == nil {
		t.Error("a timeline of no time")
	}
}
