package multiregion

import (
	"strings"
	"testing"

	"github.com/trentkms/trent/fsm"
)

// TestNewsThatTakeSeveralAnswers: what does not fit into one answer is asked for in the order in which it was asked for, so that every key is
// told, and none twice.
func TestNewsThatTakeSeveralAnswers(t *testing.T) {
	const n = 120
	l, e := newTwins(t, n)
	there := l.twin.cfg.Cluster.(*scaleLab)
	// Each key has got a replica in a further region, whose policy is under way.
	var told int
	body := &fsm.SyncKeys{Region: "ap-southeast-2", Incarnation: 1}
	for k := range there.State().SetChanges(0, fsm.KeyRef{}) {
		d := *there.State().Doc(k)
		d.Version.Index++
		d.Members = append([]fsm.Member{{Region: "af-south-1", Since: 9, New: &fsm.NewReplica{Policy: `{"Id":"` + strings.Repeat("x", 30_000) + `"}`}}}, d.Members...)
		for i := range d.Materials {
			d.Materials[i].Domain, d.Materials[i].Blob = 1, make([]byte, 80)
		}
		told += docSize(&d)
		if body.Docs = append(body.Docs, d); len(body.Docs) == 15 {
			there.propose(body)
			body.Docs = nil
		}
	}
	if told < 3*partBytes {
		t.Fatalf("%d bytes fit into a few answers", told)
	}
	calls, bytes := l.round(func() error { return e.Pull(t.Context(), regionThere, true) })
	behind := 0
	for k := range l.State().SetChanges(0, fsm.KeyRef{}) {
		if k.Set.Member("af-south-1") == nil {
			behind++
		}
	}
	if behind > 0 {
		t.Errorf("%d of %d keys were not told, and the comparison counts as complete", behind, n)
	}
	if bytes > 2*told || calls > 2+told/partBytes+1 {
		t.Errorf("%d calls and %d bytes for %d bytes of news", calls, bytes, told)
	}
}
