package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Node{gates: newGates()}
		take := func(f func(context.Context, ...string) (func(), error), keys ...string) func() {
			t.Helper()
			release, err := f(t.Context(), keys...)
			if err != nil {
				t.Fatal(err)
			}
			return release
		}
		a, b := take(n.Share, "k"), take(n.Share, "k", "k")
		held := make(chan func())
		go func() {
			release, _ := n.Hold(t.Context(), "k")
			held <- release
		}()
		synctest.Wait()
		// Somebody waits to hold the key: a newcomer waits behind, but not for ever.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Share(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a newcomer got past a holder who waits: %v", err)
		}
		a()
		synctest.Wait()
		select {
		case <-held:
			t.Fatal("held while another one shares")
		default:
		}
		b()
		release := <-held
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.Share(ctx, "x", "k"); err == nil {
			t.Fatal("shared a key that is held")
		}
		release()
		take(n.Share, "k")()
		take(n.Hold, "x", "k")() // the failed attempt above left nothing behind
		take(n.Share)()
	})
}

// Two writes on the same two keys, in any order, must not wait for each other in a circle.
func TestHoldTakesKeysInOneOrder(t *testing.T) {
	n := &Node{gates: newGates()}
	done := make(chan struct{})
	for _, keys := range [][]string{{"a", "b", "c", "d", "e"}, {"e", "d", "c", "b", "a"}} {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 2000 {
				release, err := n.Hold(seconds(t, 10), keys...)
				if err != nil {
					t.Error(err)
					return
				}
				release()
			}
		}()
	}
	<-done
	<-done
}
