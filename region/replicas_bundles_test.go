package region

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/multiregion"
	"github.com/trentkms/trent/region/shape"
)

// carrier is a region's way of handing out and taking in material, which can be that of an older version and fail for some keys.
type carrier struct {
	*Service
	mu sync.Mutex
	// alone is set for a region that knows no bundles with a key.
	alone bool
	// keeps are keys whose material is not handed out, spoils those whose material cannot be taken in.
	keeps, spoils map[string]bool
	// keyed and single count the bundles taken in, with a key and without, most is how much the largest had.
	keyed, single, most int
}

func (c *carrier) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *carrier) HandOut(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce []byte, wanted []multiregion.Wanted, shared bool) (*multiregion.Bundle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(w multiregion.Wanted) bool { return c.keeps[w.ID] })
	return c.Service.HandOut(ctx, st, to, nonce, wanted, shared && !c.alone)
}

func (c *carrier) TakesShared(st *fsm.State) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.alone && c.Service.TakesShared(st)
}

func (c *carrier) TakeIn(ctx context.Context, st *fsm.State, from *fsm.OtherRegion, nonce []byte, b *multiregion.Bundle) ([]multiregion.Taken, error) {
	got, err := c.Service.TakeIn(ctx, st, from, nonce, b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(b.Key) > 0 {
		c.keyed++
	} else {
		c.single++
	}
	c.most = max(c.most, len(b.Items))
	for i := range got {
		if c.spoils[b.Items[i].ID] {
			got[i] = multiregion.Taken{Err: errors.New("the HSM does not know such keys")}
		}
	}
	return got, err
}

// replicateMany makes keys of several kinds and replicates them to a region that learns of all of them at once.
func (f *regionsLab) replicateMany(from, to string) (ids []string) {
	f.t.Helper()
	f.stop[from]()
	f.stop[to]()
	for _, spec := range []shape.KeySpec{"SYMMETRIC_DEFAULT", "SYMMETRIC_DEFAULT", "HMAC_256", "ECC_NIST_P256", "RSA_2048", "SYMMETRIC_DEFAULT"} {
		id := f.labs[from].createKey(multi, func(in *CreateKeyInput) {
			in.KeySpec = shape.Some(spec)
			switch spec {
			case "HMAC_256":
				in.KeyUsage = shape.Some(shape.KeyUsageType("GENERATE_VERIFY_MAC"))
			case "ECC_NIST_P256", "RSA_2048":
				in.KeyUsage = shape.Some(shape.KeyUsageType("SIGN_VERIFY"))
			}
		}).KeyID
		out, err := f.replicate(from, id, to)
		must(f.labs[from], out, err)
		ids = append(ids, id)
	}
	f.start(from)
	f.start(to)
	return ids
}

// bundles: material of many keys travels under one key where both regions know that, and one by one where one of them does not.
func (f *regionsLab) bundles(t *testing.T) {
	a, b := f.carriers[regionA], f.carriers[regionB]
	for _, c := range []struct {
		name           string
		aOlder, bOlder bool
	}{{"both know", false, false}, {"the source does not", true, false}, {"the target does not", false, true}} {
		a.set(func() { a.alone = c.aOlder })
		b.set(func() { b.alone, b.keyed, b.single, b.most = c.bOlder, 0, 0, 0 })
		ids := f.replicateMany(regionA, regionB)
		for _, id := range ids {
			f.awaitEnabled(regionB, id)
		}
		b.set(func() {
			if older := c.aOlder || c.bOlder; older && b.single == 0 || !older && b.keyed == 0 || b.most < 2 {
				t.Errorf("%s: %d bundles with a key, %d without, of %d materials at most", c.name, b.keyed, b.single, b.most)
			}
		})
		blob, err := f.labs[regionA].encrypt(ids[0], "carried")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.labs[regionB].decrypt(blob); err != nil || got != "carried" {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	a.set(func() { a.alone = false })
	b.set(func() { b.alone = false })
}

// oneKeyHoldsUpNoOther: material that one HSM does not hand out, or the other does not take in, leaves that key behind and nothing else,
// and a region restored from an older state has not heard everything as long as that lasts.
func (f *regionsLab) oneKeyHoldsUpNoOther(t *testing.T) {
	a, b := f.carriers[regionA], f.carriers[regionB]
	f.stop[regionA]()
	f.stop[regionB]()
	a.mu.Lock()
	b.mu.Lock()
	a.keeps, b.spoils = map[string]bool{}, map[string]bool{}
	var ids []string
	for i := range 6 {
		id := f.labs[regionA].createKey(multi).KeyID
		ids = append(ids, id)
		a.keeps[id], b.spoils[id] = i == 1, i == 4
	}
	b.mu.Unlock()
	a.mu.Unlock()
	for _, id := range ids {
		out, err := f.replicate(regionA, id, regionB)
		must(f.labs[regionA], out, err)
	}
	f.start(regionA)
	f.start(regionB)
	for i, id := range ids {
		if i != 1 && i != 4 {
			f.awaitEnabled(regionB, id)
		}
	}
	later := f.labs[regionA].createKey(multi).KeyID
	out, err := f.replicate(regionA, later, regionB)
	must(f.labs[regionA], out, err)
	f.awaitEnabled(regionB, later)
	for _, i := range []int{1, 4} {
		f.await(regionB, ids[i], "waiting for its material", func(k *fsm.Key) bool { return k != nil && k.Set.Creating })
	}
	restored := f.labs[regionB].node.State().Region().Incarnation() + 1
	f.propose(regionB, &fsm.BeginIncarnation{Incarnation: restored, ClusterID: "restored"})
	heard := func(from string) bool { return f.labs[regionB].node.State().OtherRegion(from).HeardIn == restored }
	f.await(regionB, later, "heard all that the third region knows", func(*fsm.Key) bool { return heard(regionC) })
	calls := 0
	b.set(func() { calls = b.keyed + b.single })
	f.await(regionB, later, "tried again", func(*fsm.Key) bool {
		n := 0
		b.set(func() { n = b.keyed + b.single })
		return n > calls+2
	})
	for _, s := range f.engines[regionB].Status() {
		if s.Region == regionA && s.Missing == 0 {
			t.Error("the keys that lack material are not counted as missing")
		}
	}
	if heard(regionA) {
		t.Error("a restored region counts as having heard everything although it lacks material")
	}
	a.set(func() { a.keeps = nil })
	b.set(func() { b.spoils = nil })
	for _, id := range ids {
		f.awaitEnabled(regionB, id)
	}
	f.await(regionB, later, "heard everything", func(*fsm.Key) bool { return heard(regionA) })
}

// transferIsBound: a bundle of material is good for one request of one region in one incarnation, and for the keys it names.
func (f *regionsLab) transferIsBound(t *testing.T) {
	a, b := f.labs[regionA], f.labs[regionB]
	ids := f.replicateMany(regionA, regionB)
	for _, id := range ids {
		f.awaitEnabled(regionB, id)
	}
	x := &transfer{f: f, st: a.node.State(), nonce: bytes.Repeat([]byte{1}, 32)}
	for _, id := range ids {
		k := x.st.Key(labAccount, id)
		x.wanted = append(x.wanted, multiregion.Wanted{Account: labAccount, ID: id, Material: current(k).ID, Version: k.Set.Version})
	}
	for form, shared := range map[string]bool{"one by one": false, "under a key": true} {
		t.Run(form, func(t *testing.T) { x.isBound(t, shared) })
	}
	t.Run("signed by a hostile source", x.hostile)
	from := b.node.State().OtherRegion(regionA)
	stranger := &fsm.OtherRegion{Name: regionC, Transport: from.Transport, Mechanism: from.Mechanism}
	for _, shared := range []bool{false, true} {
		if got, err := a.service.HandOut(t.Context(), x.st, stranger, x.nonce, x.wanted, shared); err != nil || len(got.Items) != 0 {
			t.Errorf("material is handed out to a region that is not in the set: %v, %v", got, err)
		}
	}
}

// transfer is what region A hands to region B.
type transfer struct {
	f      *regionsLab
	st     *fsm.State
	nonce  []byte
	wanted []multiregion.Wanted
}

func (x *transfer) bundle(t *testing.T, shared bool) *multiregion.Bundle {
	t.Helper()
	got, err := x.f.labs[regionA].service.HandOut(t.Context(), x.st, x.st.OtherRegion(regionB), x.nonce, x.wanted, shared)
	if err != nil || len(got.Items) != len(x.wanted) || (len(got.Key) > 0) != shared {
		t.Fatal(got, err)
	}
	return got
}

// take returns how many materials are taken in.
func (x *transfer) take(at *fsm.State, from *fsm.OtherRegion, nonce []byte, b *multiregion.Bundle) (n int, err error) {
	got, err := x.f.labs[regionB].service.TakeIn(context.Background(), at, from, nonce, b)
	for i := range got {
		if got[i].Err == nil && err == nil {
			n++
		}
	}
	return n, err
}

func (x *transfer) isBound(t *testing.T, shared bool) {
	st := x.f.labs[regionB].node.State()
	from := st.OtherRegion(regionA)
	if n, err := x.take(st, from, x.nonce, x.bundle(t, shared)); err != nil || n != len(x.wanted) {
		t.Fatal(n, err)
	}
	older, twin := *from, *from
	older.Incarnation--
	twin.Name = regionC
	for name, from := range map[string]*fsm.OtherRegion{"incarnation": &older, "source": &twin} {
		if _, err := x.take(st, from, x.nonce, x.bundle(t, shared)); !errors.Is(err, errSignature) {
			t.Errorf("a bundle of another %s: %v", name, err)
		}
	}
	if _, err := x.take(st, from, bytes.Repeat([]byte{2}, 32), x.bundle(t, shared)); !errors.Is(err, errSignature) {
		t.Errorf("a bundle of another request: %v", err)
	}
	if _, err := x.f.labs[regionC].service.TakeIn(t.Context(), st, from, x.nonce, x.bundle(t, shared)); !errors.Is(err, errSignature) {
		t.Errorf("a bundle for another region: %v", err)
	}
	for name, change := range map[string]func(b *multiregion.Bundle){
		"key":      func(b *multiregion.Bundle) { b.Items[0].ID = "mrk-00000000000000000000000000000000" },
		"material": func(b *multiregion.Bundle) { b.Items[0].Material = x.nonce },
		"version":  func(b *multiregion.Bundle) { b.Items[0].Version.Index++ },
		"wrapped":  func(b *multiregion.Bundle) { b.Items[0].Wrapped[len(b.Items[0].Wrapped)-1] ^= 1 },
		"spec":     func(b *multiregion.Bundle) { b.Items[0].Spec = "HMAC_256" },
		"order":    func(b *multiregion.Bundle) { b.Items[0], b.Items[1] = b.Items[1], b.Items[0] },
		"swapped": func(b *multiregion.Bundle) {
			b.Items[0].Wrapped, b.Items[1].Wrapped = b.Items[1].Wrapped, b.Items[0].Wrapped
		},
		"twice":       func(b *multiregion.Bundle) { b.Items = append(b.Items, b.Items[0]) },
		"less":        func(b *multiregion.Bundle) { b.Items = b.Items[1:] },
		"signed":      func(b *multiregion.Bundle) { b.Signature[8] ^= 1 },
		"not signed":  func(b *multiregion.Bundle) { b.Signature = nil },
		"message key": func(b *multiregion.Bundle) { b.Key = append(bytes.Clone(b.Key), 1) },
		"other form": func(b *multiregion.Bundle) {
			if b.Key = nil; !shared {
				b.Key = b.Items[0].Wrapped
			}
		},
		"another's key": func(b *multiregion.Bundle) { b.Key = x.bundle(t, true).Key },
	} {
		b := x.bundle(t, shared)
		change(b)
		if _, err := x.take(st, from, x.nonce, b); !errors.Is(err, errSignature) {
			t.Errorf("a bundle with another %s: %v", name, err)
		}
	}
}

// hostile: what a region that signs anything can bring about ends with the keys that it tells of.
func (x *transfer) hostile(t *testing.T) {
	a, all := x.f.labs[regionA].service, len(x.wanted)
	st := x.f.labs[regionB].node.State()
	for name, c := range map[string]struct {
		change func(b *multiregion.Bundle)
		// taken is how many materials are taken in; -1 for a bundle that is refused.
		taken int
	}{
		"a key that is none":   {func(b *multiregion.Bundle) { b.Key = []byte{1} }, -1},
		"a key of zeros":       {func(b *multiregion.Bundle) { clear(b.Key) }, -1},
		"a key too long":       {func(b *multiregion.Bundle) { b.Key = append(b.Key, make([]byte, 1<<14)...) }, -1},
		"another bundle's key": {func(b *multiregion.Bundle) { b.Key = x.bundle(t, true).Key }, 0},
		"material as a key":    {func(b *multiregion.Bundle) { b.Key = x.bundle(t, false).Items[3].Wrapped }, -1},
		"no key":               {func(b *multiregion.Bundle) { b.Key = nil }, 0},
		"items of no length":   {func(b *multiregion.Bundle) { b.Items[0].Wrapped, b.Items[1].Wrapped = nil, []byte{} }, all - 2},
		"one changed item":     {func(b *multiregion.Bundle) { b.Items[2].Wrapped[9] ^= 1 }, all - 1},
		"another spec":         {func(b *multiregion.Bundle) { b.Items[0].Spec = "RSA_4096" }, all - 1},
		"an unknown spec":      {func(b *multiregion.Bundle) { b.Items[0].Spec = "AES_256" }, all - 1},
		"a foreign public key": {func(b *multiregion.Bundle) { b.Items[3].Public = b.Items[4].Public }, all - 1},
		"nothing":              {func(b *multiregion.Bundle) { b.Items = nil }, 0},
	} {
		b := x.bundle(t, true)
		c.change(b)
		digest := multiregion.Statement(a.handingOut(x.st, x.st.OtherRegion(regionB), x.nonce), b)
		var err error
		if b.Signature, err = a.signRegion(t.Context(), x.st, transferPurpose, digest[:]); err != nil {
			t.Fatal(err)
		}
		n, err := x.take(st, st.OtherRegion(regionA), x.nonce, b)
		if (err != nil) != (c.taken < 0) || err == nil && n != c.taken {
			t.Errorf("%s: %d taken in, %v", name, n, err)
		}
		if errors.Is(err, hsm.ErrUnavailable) {
			t.Errorf("%s: what is wrong with a bundle is taken for a fault of the HSM: %v", name, err)
		}
	}
}
