package region

import (
	"testing"
	"time"

	"github.com/trentkms/trent/region/multiregion"
	"github.com/trentkms/trent/region/shape"
)

// lag is what a region says of its synchronization with another one.
func (f *regionsLab) lag(region, with string) multiregion.Status {
	f.t.Helper()
	for _, s := range f.engines[region].Status() {
		if s.Region == with {
			return s
		}
	}
	f.t.Fatalf("%s does not know %s", region, with)
	return multiregion.Status{}
}

func (f *regionsLab) untilLag(region, with, what string, ok func(multiregion.Status) bool) {
	f.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := f.lag(region, with)
		if ok(s) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s and %s: %s: %+v", region, with, what, s)
		}
	}
}

// lagIsTold: while two regions are cut off from each other, the one that lacks changes says how old they may be and the one that has
// made them how many there are and how old they are; afterwards both say that there are none.
func (f *regionsLab) lagIsTold(t *testing.T) {
	a := f.labs[regionA]
	id := a.createKey(multi).KeyID
	out, err := f.replicate(regionA, id, regionB)
	must(a, out, err)
	f.awaitEnabled(regionB, id)
	f.untilLag(regionA, regionB, "in step", func(s multiregion.Status) bool { return s.Untaken == 0 })

	f.net.Cut(regionA, regionB, true)
	cut := time.Now()
	rotation, err := perform(a, "EnableKeyRotation", (*Service).EnableKeyRotation, &EnableKeyRotationInput{KeyID: id, RotationPeriodInDays: shape.Some(int32(200))})
	must(a, rotation, err)
	f.untilLag(regionA, regionB, "tells of the change", func(s multiregion.Status) bool { return s.Untaken == 1 && s.UntakenAge > 0 })
	seen := time.Now()
	// What had been under way may have ended after the cut; from then on the lag only grows.
	f.untilLag(regionB, regionA, "its lag grows", func(s multiregion.Status) bool { return s.Behind > 300*time.Millisecond })
	if s, since := f.lag(regionA, regionB), time.Since(cut); s.UntakenAge > since || s.Untaken != 1 {
		t.Errorf("the change that is not taken over is told to be %v old, it was made %v ago at most", s.UntakenAge, since)
	}
	if s := f.lag(regionA, regionC); s.Untaken != 0 {
		t.Errorf("a region that does not share the key lacks %d changes", s.Untaken)
	}

	f.net.Cut(regionA, regionB, false)
	waited, healed := time.Since(seen), time.Now()
	f.untilLag(regionA, regionB, "nothing is left", func(s multiregion.Status) bool { return s.Untaken == 0 && s.UntakenAge == 0 })
	f.untilLag(regionB, regionA, "in step again", func(s multiregion.Status) bool { return s.Missing == 0 && s.Behind < time.Since(healed) })
	if s := f.lag(regionB, regionA); s.Delay < waited-time.Millisecond { // ages are told in milliseconds
		t.Errorf("a change that waited for %v is told to have taken %v", waited, s.Delay)
	}
}
