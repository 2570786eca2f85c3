package region

import (
	"errors"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/fault"
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

// noAnswer: what needs a region that does not answer is refused soon, and at once where the region is known to be out of reach; nothing
// of it is done, and the same call succeeds when the region is back.
func (f *regionsLab) noAnswer(t *testing.T) {
	a := f.labs[regionA]
	fresh, shared := a.createKey(multi).KeyID, a.createKey(multi).KeyID
	out, err := f.replicate(regionA, shared, regionB)
	must(a, out, err)
	f.awaitEnabled(regionB, shared)
	f.await(regionA, shared, "settled", func(k *fsm.Key) bool { return !k.Unsettled() })
	was := a.node.State().Key(labAccount, shared).Set.Version

	f.stop[regionA]() // the engine's own calls are not meant
	for _, d := range []*deafness{{known: true, waits: make(chan time.Duration, 2)}, {waits: make(chan time.Duration, 2)}} {
		f.links[regionA].deaf.Store(d)
		if _, err := f.replicate(regionA, fresh, regionB); !errors.Is(err, fault.ServiceUnavailable) {
			t.Errorf("replicating to a region that does not answer: %v", err)
		}
		if err := f.move(regionA, shared, regionB); !errors.Is(err, fault.ServiceUnavailable) {
			t.Errorf("giving the primary to a region that does not answer: %v", err)
		}
		if d.known && len(d.waits) > 0 {
			t.Error("a region that is known to be out of reach was asked")
		}
		for range 2 {
			if d.known {
				break
			}
			if wait := <-d.waits; wait > 5*time.Second {
				t.Errorf("a client would wait for %v", wait)
			}
		}
		k := a.node.State().Key(labAccount, shared)
		if a.node.State().Key(labAccount, fresh).Set != nil || k.Set.Version != was || k.Set.Updating != "" {
			t.Errorf("a refused call has changed something: %+v", k.Set)
		}
	}
	f.links[regionA].deaf.Store(nil)
	f.start(regionA)
	out, err = f.replicate(regionA, fresh, regionB)
	must(a, out, err)
	f.awaitEnabled(regionB, fresh)
	if err := f.move(regionA, shared, regionB); err != nil {
		t.Error(err)
	}
	f.await(regionB, shared, "primary", func(k *fsm.Key) bool { return !k.Replica() })
}
