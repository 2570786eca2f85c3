package fsm

import (
	"bytes"
	"math/rand"
	"reflect"
	"slices"
	"testing"
)

func TestSameLogSameState(t *testing.T) {
	const seeds, length = 60, 400
	took, codes := make(map[Kind]int), make(map[Code]int)
	repeats := 0
	for seed := range int64(seeds) {
		l, responses := randomLog(t, seed, length, seed%2 == 1)
		want := snapshotOf(t, l.state())
		for i, response := range responses {
			if r, ok := response.(Result); ok {
				codes[r.Code]++
				if r.Repeat {
					repeats++
				} else if r.Code == OK {
					cmd, err := Decode(l.log[i].Data)
					if err != nil {
						t.Fatal(err)
					}
					took[cmd.Body.Kind()]++
				}
			}
		}
		checkInvariants(t, l.state())
		if len(l.fatal) > 0 {
			t.Fatalf("seed %d: %v", seed, l.fatal)
		}
		replay(t, seed, l, responses, want)
		throughSnapshot(t, seed, l, want)
	}
	rows, _ := table()
	for _, row := range rows {
		if row != nil && row.kind != KindPurgeGrants && took[row.kind] == 0 { // its test is TestGrantsOfADeletedKey
			t.Errorf("%s never took effect: the test has lost its reach", row.name)
		}
	}
	if codes[Stale] == 0 || codes[Conflict] == 0 || repeats == 0 {
		t.Errorf("codes %v, %d repeats: the test has lost its reach", codes, repeats)
	}
}

// replay applies the same log in batches of random sizes: same responses, same audit records, same events, same bytes.
func replay(t *testing.T, seed int64, l *lab, responses []any, want []byte) {
	t.Helper()
	again := newLab(t)
	sizes := rand.New(rand.NewSource(seed))
	var got []any
	for rest := l.log; len(rest) > 0; {
		n := min(sizes.Intn(70)+1, len(rest))
		got = append(got, again.fsm.ApplyBatch(rest[:n])...)
		rest = rest[n:]
	}
	if !bytes.Equal(snapshotOf(t, again.state()), want) {
		t.Errorf("seed %d: another batch size gives another state", seed)
	}
	if !reflect.DeepEqual(got, responses) {
		t.Errorf("seed %d: another batch size gives other responses", seed)
	}
	if !slices.Equal(again.audit, l.audit) || !reflect.DeepEqual(again.events, l.events) {
		t.Errorf("seed %d: another batch size gives other audit records or events", seed)
	}
}

// throughSnapshot cuts the log, moves the state through a snapshot and applies the rest.
func throughSnapshot(t *testing.T, seed int64, l *lab, want []byte) {
	t.Helper()
	cut := rand.New(rand.NewSource(seed)).Intn(len(l.log))
	half, rest := newLab(t), newLab(t)
	half.fsm.ApplyBatch(l.log[:cut])
	if err := rest.fsm.Restore(reader(snapshotOf(t, half.state()))); err != nil {
		t.Fatal(err)
	}
	if Hash(rest.state()) != Hash(half.state()) {
		t.Errorf("seed %d: a restored state has another hash", seed)
	}
	rest.fsm.ApplyBatch(l.log[cut:])
	if !bytes.Equal(snapshotOf(t, rest.state()), want) {
		t.Errorf("seed %d: a restored state goes another way after entry %d", seed, cut)
	}
	s, err := ReadSnapshot(reader(want))
	if err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, s)
	if !bytes.Equal(snapshotOf(t, s), want) {
		t.Errorf("seed %d: a snapshot written again has other bytes", seed)
	}
}
