package cluster

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trentkms/trent/fsm"
)

func BenchmarkViewSoleVoter(b *testing.B) {
	n := newRegion(b, b.TempDir())
	mustView(b, n)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.View(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkViewSoleVoterParallel(b *testing.B) {
	n := newRegion(b, b.TempDir())
	mustView(b, n)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.View(ctx); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkViewWhileWriting reads while another goroutine writes without a pause: many reads find an entry that is stored
// and not applied yet.
func BenchmarkViewWhileWriting(b *testing.B) {
	n := newRegion(b, b.TempDir())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				n.Propose(b.Context(), account(i))
			}
		}
	})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.View(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	close(stop)
	wg.Wait()
}

func BenchmarkNow(b *testing.B) {
	n := newRegion(b, b.TempDir())
	mustView(b, n)
	b.ReportAllocs()
	for b.Loop() {
		n.Now()
	}
}

// BenchmarkPropose reports commits a second, and log transactions (two fsyncs each) per command.
func BenchmarkPropose(b *testing.B) {
	for _, proposers := range []int{1, 8, 64, 256} {
		b.Run(map[int]string{1: "1", 8: "8", 64: "64", 256: "256"}[proposers], func(b *testing.B) {
			n := newRegion(b, b.TempDir())
			before := n.Status().Writes
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range proposers {
				wg.Go(func() {
					for {
						i := int(next.Add(1))
						if i > b.N {
							return
						}
						if res, err := n.Propose(b.Context(), account(i)); err != nil || res.Code != fsm.OK {
							b.Error(res, err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(2*float64(n.Status().Writes-before)/float64(b.N), "fsyncs/op")
		})
	}
}
