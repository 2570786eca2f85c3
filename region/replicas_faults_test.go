package region

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/link/linktest"
)

// badNetwork changes keys in three regions while requests and answers are lost, doubled, late and out of order,
// regions are cut off and leaders change. What is encrypted with any material is opened everywhere at the end, and everybody agrees.
func (f *regionsLab) badNetwork(t *testing.T) {
	names := []string{regionA, regionB, regionC}
	r := rand.New(rand.NewPCG(7, 7))
	f.net.SetFaults(linktest.Faults{LoseRequest: 0.2, LoseAnswer: 0.2, Duplicate: 0.2, Delay: 10 * time.Millisecond, LoseDigest: 0.5})
	var ids []string
	for range 4 {
		ids = append(ids, f.labs[regionA].createKey(multi).KeyID)
	}
	type made struct {
		id   string
		blob []byte
	}
	var blobs []made
	for step := range 400 {
		id, name := ids[r.IntN(len(ids))], names[r.IntN(3)]
		switch n := r.IntN(10); {
		case n < 3:
			_, _ = f.replicate(name, id, names[r.IntN(3)])
		case n < 4:
			_ = f.move(name, id, names[r.IntN(3)])
		case n < 6:
			_, _ = perform(f.labs[name], "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: id})
		case n < 9:
			if f.labs[name].node.State().Key(labAccount, id) == nil {
				continue
			}
			if blob, err := f.labs[name].encrypt(id, "kept"); err == nil {
				blobs = append(blobs, made{id, blob})
			}
		default:
			f.net.Isolate(name, r.IntN(2) == 0)
		}
		if step%40 == 39 { // another leader takes over
			f.stop[name]()
			f.start(name)
		}
	}
	f.net.SetFaults(linktest.Faults{})
	for _, name := range names {
		f.net.Isolate(name, false)
	}
	f.agree(ids, names)
	for _, m := range blobs {
		for _, name := range names {
			if f.labs[name].node.State().Key(labAccount, m.id) == nil {
				continue
			}
			if got, err := f.labs[name].decrypt(m.blob); err != nil || got != "kept" {
				t.Errorf("%s does not open what was encrypted with %s: %q, %v", name, m.id, got, err)
			}
		}
	}
	if len(blobs) < 10 {
		t.Errorf("only %d ciphertexts: the test has lost its reach", len(blobs))
	}
}

// agree waits until all regions tell the same of the keys and nothing waits any more.
func (f *regionsLab) agree(ids, names []string) {
	f.t.Helper()
	var said string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		said = ""
		for _, id := range ids {
			var version *fsm.SetVersion
			primaries := 0
			for _, name := range names {
				k := f.labs[name].node.State().Key(labAccount, id)
				if k == nil {
					continue
				}
				if !k.Replica() {
					primaries++
				}
				if k.Set == nil {
					continue
				}
				if k.Unsettled() || version != nil && *version != k.Set.Version {
					said += fmt.Sprintf("%s in %s: %+v; ", id, name, k.Set)
				}
				version = &k.Set.Version
			}
			if primaries != 1 {
				said += fmt.Sprintf("%s: %d primaries; ", id, primaries)
			}
		}
		if said == "" {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatal("the regions do not agree: ", said)
		}
	}
}

// restored: a region that begins another incarnation encrypts nothing and plays no primary until it has heard from the others,
// while it decrypts and they work on.
func (f *regionsLab) restored(t *testing.T) {
	a, b := f.labs[regionA], f.labs[regionB]
	id := a.createKey(multi).KeyID
	alone := a.createKey(multi).KeyID
	out, err := f.replicate(regionA, id, regionB)
	must(a, out, err)
	f.awaitEnabled(regionB, id)
	f.await(regionA, id, "settled", func(k *fsm.Key) bool { return !k.Unsettled() })
	blob, err := a.encrypt(id, "before")
	if err != nil {
		t.Fatal(err)
	}
	f.net.Isolate(regionA, true)
	f.propose(regionA, &fsm.BeginIncarnation{Incarnation: a.node.State().Region().Incarnation() + 1, ClusterID: "restored"})
	if _, err := a.encrypt(id, "x"); !errors.Is(err, fault.ServiceUnavailable) {
		t.Errorf("a restored region encrypts before it has heard from the others: %v", err)
	}
	if _, err := a.encrypt(alone, "x"); err != nil {
		t.Errorf("a key that is in no other region does not encrypt: %v", err)
	}
	if _, err := a.decrypt(blob); err != nil {
		t.Error(err)
	}
	if _, err := b.encrypt(id, "x"); err != nil {
		t.Errorf("the other region does not encrypt: %v", err)
	}
	var met *RetryError
	if _, err := perform(a, "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: id}); !errors.As(err, &met) {
		t.Errorf("a restored region plays the primary: %v", err)
	}
	f.net.Isolate(regionA, false)
	f.await(regionA, id, "heard", func(*fsm.Key) bool { return !a.node.State().Unheard() })
	if _, err := a.encrypt(id, "x"); err != nil {
		t.Error(err)
	}
	rotated, err := perform(a, "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: id})
	must(a, rotated, err)
	f.await(regionB, id, "rotated", func(k *fsm.Key) bool { return k.Spreading() == nil && k.Current == 1 })
}

// forgotten: the loss of the primary's region blocks rotation until it is forgotten; then another region takes over.
func (f *regionsLab) forgotten(t *testing.T) {
	id := f.labs[regionA].createKey(multi).KeyID
	for _, to := range []string{regionB, regionC} {
		out, err := f.replicate(regionA, id, to)
		must(f.labs[regionA], out, err)
		f.awaitEnabled(to, id)
	}
	f.await(regionC, id, "all joined", func(k *fsm.Key) bool { return len(k.Set.Members) == 3 && !k.Unsettled() })
	f.stop[regionA]()
	f.net.Leave(regionA)
	f.propose(regionB, &fsm.ForgetRegion{Name: regionA, Fence: 5_000_000})
	if k := f.labs[regionB].node.State().Key(labAccount, id); !k.Replica() {
		t.Error("a region takes over before all others have forgotten the primary")
	}
	f.propose(regionC, &fsm.ForgetRegion{Name: regionA, Fence: 5_000_000})
	f.await(regionC, id, "takes over", func(k *fsm.Key) bool {
		return !k.Replica() && k.Set.Version.Term >= 5_000_000 && len(k.Set.Members) == 2
	})
	f.await(regionB, id, "knows the primary", func(k *fsm.Key) bool { return k.Set.Primary == regionC })
	rotated, err := perform(f.labs[regionC], "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: id})
	must(f.labs[regionC], rotated, err)
	f.await(regionB, id, "rotated", func(k *fsm.Key) bool { return k.Spreading() == nil && k.Current == 1 })
	f.stop[regionA] = func() {}
}
