package multiregion

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/trentkms/trent/fsm"
)

// TestRestoredRegionSaysWhatItWaitsFor: the log of a restored region says once what it does not do yet, and once that it does again.
func TestRestoredRegionSaysWhatItWaitsFor(t *testing.T) {
	l := newScaleLab(t, "eu-west-1", regionThere, 0)
	var logged bytes.Buffer
	log, said := slog.New(slog.NewTextHandler(&logged, nil)), awaiting{}
	says := func(what string) {
		t.Helper()
		for range 2 { // once
			said.note(log, l.State())
		}
		if got := logged.String(); (what == "") != (got == "") || !strings.Contains(got, what) || strings.Count(got, "\n") > 1 {
			t.Errorf("want %q, is said: %s", what, got)
		}
		logged.Reset()
	}
	says("")
	life := l.State().Region().Incarnation() + 1
	l.propose(&fsm.BeginIncarnation{Incarnation: life, ClusterID: "c2"})
	says(`level=WARN msg="multi-Region keys: this region was restored`)
	hear := func(region string) {
		l.propose(&fsm.MarkFeed{
			Region: region, Incarnation: l.State().OtherRegion(region).Incarnation, Heard: true, HeardIn: life, Position: 1,
			Lives: []fsm.RegionLife{{Region: "eu-west-1", Incarnation: life}},
		})
	}
	hear(regionThere)
	if waits := unheardOf(l.State()); len(waits) != 1 || waits[0] != "ap-southeast-2" {
		t.Errorf("waits for %v", waits)
	}
	says("")
	hear("ap-southeast-2")
	says("level=INFO")
}
