package check

import (
	"math"
	"strings"
	"testing"

	"github.com/trentkms/trent/integration/chaos/history"
)

// A script writes histories by hand: each line is one operation,
//
//	call-return kind key in:name=value … -> outcome out:name=value …
//
// with times in any unit, the return "?" for an outcome that is unknown, and the outcome "ok", an error code, "unknown" or "failed".
// Lines that are empty or begin with # are left out; "_" stands for a blank, and "@node" at the end names the node.
func script(t *testing.T, workload, text string) (ops []history.Op) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		op := history.Op{Workload: workload, Client: len(ops), Node: "n1", Region: "r1", Kind: words[1], Key: words[2], In: map[string]string{}, Out: map[string]string{}}
		if op.Key == "-" {
			op.Key = ""
		}
		call, ret, ok := strings.Cut(words[0], "-")
		if !ok {
			t.Fatalf("%q has no interval", line)
		}
		op.Call, op.Return = number(call)*10, number(ret)*10+1
		for i, word := range words[3:] {
			word = strings.ReplaceAll(word, "_", " ")
			switch name, value, _ := strings.Cut(word, "="); {
			case word == "->":
				op.Outcome, op.Error = outcomeOf(words[3+i+1])
			case strings.HasPrefix(word, "@"):
				op.Node, op.Region = word[1:], word[1:]
			case strings.HasPrefix(word, "in:"):
				op.In[name[3:]] = value
			case strings.HasPrefix(word, "out:"):
				op.Out[name[4:]] = value
			}
		}
		if ret == "?" {
			op.Return, op.Outcome = math.MaxInt64, history.Unknown
		}
		ops = append(ops, op)
	}
	return ops
}

func outcomeOf(word string) (history.Outcome, string) {
	switch word {
	case "ok":
		return history.OK, ""
	case "unknown":
		return history.Unknown, "timeout"
	case "failed":
		return history.Failed, "not connected"
	}
	return history.Refused, word
}

// judgement is a history and what a checker must say of it: "" for nothing, else a part of its first anomaly.
type judgement struct{ name, history, want string }

func judgements(t *testing.T, workload string, f func([]history.Op) []Anomaly, table []judgement) {
	t.Helper()
	good, bad := 0, 0
	for _, tt := range table {
		if tt.want == "" {
			good++
		} else {
			bad++
		}
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			all := f(script(t, workload, tt.history))
			switch {
			case tt.want == "" && len(all) > 0:
				t.Errorf("a history that can happen: %v", all)
			case tt.want != "" && len(all) == 0:
				t.Error("a history that cannot happen passes")
			case tt.want != "" && !strings.Contains(all[0].Text, tt.want):
				t.Errorf("got %q, want %q", all[0].Text, tt.want)
			}
		})
	}
	if good == 0 || bad == 0 {
		t.Errorf("%d good and %d bad histories; a checker is tested by both", good, bad)
	}
}
