package hsm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trentkms/trent/hsm"
)

// fakeKey is a key that knows whether it was destroyed.
type fakeKey struct {
	hsm.Key
	id        hsm.CacheID
	destroyed atomic.Int32
}

func (k *fakeKey) Destroy() { k.destroyed.Add(1) }

func loadOf(k *fakeKey) func(context.Context) (hsm.Key, error) {
	return func(context.Context) (hsm.Key, error) { return k, nil }
}

func acquire(t *testing.T, c *hsm.Cache, id hsm.CacheID, version uint64, k *fakeKey) *hsm.Ref {
	t.Helper()
	r, err := c.Acquire(t.Context(), id, version, loadOf(k))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantDestroyed(t *testing.T, k *fakeKey, want int32) {
	t.Helper()
	if n := k.destroyed.Load(); n != want {
		t.Errorf("key destroyed %d times, want %d", n, want)
	}
}

var idA, idB = hsm.CacheID{Key: "a"}, hsm.CacheID{Key: "a", Material: "m2"}

func TestCacheHit(t *testing.T) {
	c := hsm.NewCache(4)
	k, unused := &fakeKey{}, &fakeKey{}
	a := acquire(t, c, idA, 1, k)
	b := acquire(t, c, idA, 9, unused)
	if a.Key() != b.Key() || a.Key() != k {
		t.Error("the second Acquire got another key")
	}
	other := acquire(t, c, idB, 1, unused)
	if other.Key() != unused {
		t.Error("another material got the same key")
	}
	for _, r := range []*hsm.Ref{a, b, other} {
		r.Release()
	}
	wantDestroyed(t, k, 0)
	want := hsm.CacheStats{Hits: 1, Misses: 2, Loads: 2, Entries: 2, Live: 2}
	if st := c.Stats(); st != want {
		t.Errorf("stats %+v, want %+v", st, want)
	}
	c.Purge()
	wantDestroyed(t, k, 1)
	if st := c.Stats(); st.Live != 0 || st.Entries != 0 {
		t.Errorf("after Purge %+v", st)
	}
}

func TestCacheDropKeepsUsers(t *testing.T) {
	c := hsm.NewCache(4)
	k := &fakeKey{}
	r := acquire(t, c, idA, 5, k)
	c.Drop(idA, 5) // loaded at the version of the drop: the change is in it
	if c.Stats().Entries != 1 {
		t.Error("a drop took a key that was loaded at its version")
	}
	c.Drop(idA, 6)
	wantDestroyed(t, k, 0)
	r.Release()
	wantDestroyed(t, k, 1)

	again := &fakeKey{}
	if _, err := c.Acquire(t.Context(), idA, 5, loadOf(again)); !errors.Is(err, hsm.ErrDropped) {
		t.Errorf("Acquire with an old state: %v", err)
	}
	acquire(t, c, idA, 6, again).Release()
	wantDestroyed(t, again, 0)
}

func TestCacheOneLoadForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hsm.NewCache(4)
		k := &fakeKey{}
		var loads atomic.Int32
		load := func(ctx context.Context) (hsm.Key, error) {
			loads.Add(1)
			time.Sleep(time.Second)
			return k, ctx.Err()
		}
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { // the first caller leaves; the load goes on for the others
			_, err := c.Acquire(impatient, idA, 1, load)
			if !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("impatient caller: %v", err)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				r, err := c.Acquire(t.Context(), idA, 1, load)
				if err != nil {
					t.Error(err)
					return
				}
				r.Release()
			})
		}
		wg.Wait()
		if loads.Load() != 1 {
			t.Errorf("%d loads", loads.Load())
		}
		wantDestroyed(t, k, 0)
		c.Purge()
		wantDestroyed(t, k, 1)
	})
}

func TestCacheLoadEndsWithLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hsm.NewCache(4)
		late := &fakeKey{}
		ended := make(chan error, 1)
		load := func(ctx context.Context) (hsm.Key, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return late, nil // a module that finished all the same
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Acquire(ctx, idA, 1, load); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Acquire: %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("load ended with %v", err)
		}
		synctest.Wait()
		wantDestroyed(t, late, 1)
		if st := c.Stats(); st.Entries != 0 || st.Live != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestCacheDropBeatsLoad: the key of a load in flight is destroyed, its waiters are told by their versions.
func TestCacheDropBeatsLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hsm.NewCache(4)
		keys := []*fakeKey{{}, {}}
		var loads atomic.Int32
		load := func(ctx context.Context) (hsm.Key, error) {
			n := loads.Add(1)
			time.Sleep(time.Second) // deaf to its context
			return keys[n-1], nil
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Acquire(t.Context(), idA, 10, load); !errors.Is(err, hsm.ErrDropped) {
				t.Errorf("the caller from before the drop: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { // joined the old load, but decided after the drop: the material was imported again
			r, err := c.Acquire(t.Context(), idA, 30, load)
			if err != nil {
				t.Errorf("the caller from after the drop: %v", err)
				return
			}
			if r.Key() != keys[1] {
				t.Error("the caller from after the drop got the dropped key")
			}
			r.Release()
		})
		synctest.Wait()
		c.Drop(idA, 20)
		wg.Wait()
		wantDestroyed(t, keys[0], 1)
		wantDestroyed(t, keys[1], 0)
	})
}

func TestCachePurgeBeatsLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hsm.NewCache(4)
		first, second := &fakeKey{}, &fakeKey{}
		load := func(ctx context.Context) (hsm.Key, error) {
			if first.destroyed.Load() == 0 && c.Stats().Loads == 1 {
				<-ctx.Done()
				return first, nil
			}
			return second, nil
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			r, err := c.Acquire(t.Context(), idA, 1, load)
			if err != nil {
				t.Error(err)
				return
			}
			if r.Key() != second {
				t.Error("got a key from before the purge")
			}
			r.Release()
		})
		synctest.Wait()
		c.Purge()
		wg.Wait()
		wantDestroyed(t, first, 1)
		wantDestroyed(t, second, 0)
	})
}

func TestCacheLoadErrors(t *testing.T) {
	c := hsm.NewCache(4)
	for name, load := range map[string]func(context.Context) (hsm.Key, error){
		"error":   func(context.Context) (hsm.Key, error) { return nil, hsm.ErrIntegrity },
		"panic":   func(context.Context) (hsm.Key, error) { panic("bug") },
		"nothing": func(context.Context) (hsm.Key, error) { return nil, nil },
		"dropped": func(context.Context) (hsm.Key, error) { return nil, hsm.ErrDropped },
	} {
		if r, err := c.Acquire(t.Context(), idA, 1, load); err == nil || r != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	k := &fakeKey{}
	acquire(t, c, idA, 1, k).Release() // an error is not remembered
	if st := c.Stats(); st.LoadErrors != 4 || st.Loads != 5 {
		t.Errorf("stats %+v", st)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Acquire(done, idB, 1, loadOf(k)); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
}

func TestCacheDiscard(t *testing.T) {
	c := hsm.NewCache(4)
	k, next := &fakeKey{}, &fakeKey{}
	a, b := acquire(t, c, idA, 1, k), acquire(t, c, idA, 1, k)
	a.Discard()
	wantDestroyed(t, k, 0)
	again := acquire(t, c, idA, 1, next)
	if again.Key() != next {
		t.Error("the discarded key came back")
	}
	b.Discard() // the same dead key, discarded by its other user: the new one stays
	wantDestroyed(t, k, 1)
	again.Release()
	wantDestroyed(t, next, 0)
	if st := c.Stats(); st.Entries != 1 || st.Live != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestCacheBound: idle keys that were not used lately go first, keys in use last.
func TestCacheBound(t *testing.T) {
	synctest.Test(t, testCacheBound)
}

func testCacheBound(t *testing.T) {
	const bound = 8
	c := hsm.NewCache(bound)
	keys := make([]*fakeKey, 4*bound)
	id := func(i int) hsm.CacheID { return hsm.CacheID{Key: fmt.Sprint(i)} }
	for i := range keys {
		keys[i] = &fakeKey{}
	}
	inUse := acquire(t, c, id(0), 1, keys[0])
	for i := 1; i < len(keys); i++ {
		acquire(t, c, id(1), 1, keys[1]).Release() // used all the time
		acquire(t, c, id(i), 1, keys[i]).Release()
		synctest.Wait()
		if st := c.Stats(); st.Entries > bound {
			t.Fatalf("%d keys in a cache of %d", st.Entries, bound)
		}
	}
	wantDestroyed(t, keys[0], 0)
	wantDestroyed(t, keys[1], 0)
	wantDestroyed(t, keys[2], 1)
	if st := c.Stats(); st.Evictions != uint64(len(keys)-bound) || st.Live != bound {
		t.Errorf("stats %+v", st)
	}
	inUse.Release()

	// All in use: the bound holds for the cache, and what left it lives until it is released.
	var refs []*hsm.Ref
	for i := range keys {
		refs = append(refs, acquire(t, c, hsm.CacheID{Key: "in use", Material: fmt.Sprint(i)}, 1, &fakeKey{}))
	}
	synctest.Wait()
	if st := c.Stats(); st.Entries != bound || st.Live != len(keys) {
		t.Errorf("stats %+v", st)
	}
	for _, r := range refs {
		if r.Key().(*fakeKey).destroyed.Load() != 0 {
			t.Error("a key in use was destroyed")
		}
		r.Release()
	}
	if st := c.Stats(); st.Live != bound {
		t.Errorf("stats %+v", st)
	}
}

// TestCacheForgetsDrops: memory for drops is bounded, and a caller with a very old state still gets nothing.
func TestCacheForgetsDrops(t *testing.T) {
	c := hsm.NewCache(4)
	c.Drop(idA, 100)
	for i := range uint64(10_000) {
		c.Drop(hsm.CacheID{Key: fmt.Sprint(i)}, 200+i)
	}
	k := &fakeKey{}
	if _, err := c.Acquire(t.Context(), idA, 99, loadOf(k)); !errors.Is(err, hsm.ErrDropped) {
		t.Errorf("Acquire from before a forgotten drop: %v", err)
	}
	acquire(t, c, idA, 11_000, k).Release()
}

// TestCacheRace checks, under load, that nobody ever sees a destroyed key, that none is destroyed twice or leaked, and
// that a key dropped at a version is never handed to a caller below it.
func TestCacheRace(t *testing.T) {
	const ids, workers, rounds = 20, 8, 3000
	c := hsm.NewCache(ids / 2)
	var clock atomic.Uint64
	var dropped [ids]atomic.Uint64 // version of the latest drop that has returned
	var made sync.Map
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				i := rand.IntN(ids)
				id := hsm.CacheID{Key: fmt.Sprint(i)}
				switch rand.IntN(40) {
				case 0:
					v := clock.Add(1)
					c.Drop(id, v)
					for old := dropped[i].Load(); old < v && !dropped[i].CompareAndSwap(old, v); old = dropped[i].Load() {
					}
				case 1:
					c.Purge()
				default:
					version, before := clock.Load(), dropped[i].Load()
					r, err := c.Acquire(context.Background(), id, version, func(context.Context) (hsm.Key, error) {
						k := &fakeKey{id: id}
						made.Store(k, true)
						return k, nil
					})
					if errors.Is(err, hsm.ErrDropped) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					k := r.Key().(*fakeKey)
					if k.id != id || k.destroyed.Load() != 0 {
						t.Errorf("got key %v, destroyed %d times, for %v", k.id, k.destroyed.Load(), id)
					}
					if version < before {
						t.Errorf("caller at version %d got a key dropped at %d before it asked", version, before)
					}
					if rand.IntN(10) == 0 {
						r.Discard()
					} else {
						r.Release()
					}
				}
			}
		})
	}
	wg.Wait()
	c.Purge()
	if st := c.Stats(); st.Entries != 0 || st.Live != 0 {
		t.Errorf("stats at the end %+v", st)
	}
	made.Range(func(k, _ any) bool {
		wantDestroyed(t, k.(*fakeKey), 1)
		return true
	})
}

func TestCacheHitDoesNotAllocate(t *testing.T) {
	c := hsm.NewCache(4)
	k := &fakeKey{}
	load := loadOf(k)
	acquire(t, c, idA, 1, k).Release()
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		r, err := c.Acquire(ctx, idA, 1, load)
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
	}); n != 0 {
		t.Errorf("%v allocations for a hit", n)
	}
}

func BenchmarkCacheHit(b *testing.B) {
	c := hsm.NewCache(1000)
	ids := make([]hsm.CacheID, 100)
	for i := range ids {
		ids[i] = hsm.CacheID{Key: fmt.Sprintf("1234abcd-12ab-34cd-56ef-%012d", i), Material: "9f1c0d6b2a3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8"}
	}
	load := loadOf(&fakeKey{})
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			r, err := c.Acquire(ctx, ids[i%len(ids)], 1, load)
			if err != nil {
				b.Fatal(err)
			}
			r.Release()
		}
	})
}
