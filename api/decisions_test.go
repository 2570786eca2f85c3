package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestDecideOnce: a message of another region that arrives again, while it is decided or later, is answered with the first answer.
func TestDecideOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m decisions
		made := 0
		decide := func() ([]byte, error) {
			made++
			time.Sleep(time.Second)
			return fmt.Append(nil, made), nil
		}
		ask := func(from, request string) string {
			reply, err := m.once(t.Context(), from, []byte(request), decide)
			if err != nil {
				t.Error(err)
			}
			defer clear(reply) // the caller's own
			return string(reply)
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if got := ask("eu", "create"); got != "1" {
					t.Errorf("the same message is answered %s", got)
				}
			})
		}
		all.Wait()
		if got := ask("eu", "create"); got != "1" {
			t.Errorf("a late copy is answered %s", got)
		}
		if got := ask("ap", "create"); got != "2" {
			t.Errorf("the message of another region is answered %s", got)
		}
		time.Sleep(decisionMemory)
		if got := ask("eu", "create"); got != "3" {
			t.Errorf("after %v it is answered %s", decisionMemory, got)
		}
		if all := m.of["eu"]; len(all.done) > 2 || len(all.done) != len(all.ages) {
			t.Errorf("%d decisions are remembered, %d by age", len(all.done), len(all.ages))
		}
		time.Sleep(2 * decisionMemory)
		ask("eu", "create")
		if len(m.of) != 1 {
			t.Errorf("what was decided for %d regions is remembered", len(m.of))
		}
	})
}

// TestDecideOnceFails: an error is the answer of all copies, and a copy does not wait longer than its caller.
func TestDecideOnceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m decisions
		refused := errors.New("not now")
		go func() {
			_, _ = m.once(t.Context(), "eu", nil, func() ([]byte, error) { time.Sleep(time.Second); return nil, refused })
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := m.once(ctx, "eu", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := m.once(t.Context(), "eu", nil, nil); !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
	})
}

// TestDecideOnceForEach: a region that sends many messages has no decision for another one forgotten, not even one under way.
func TestDecideOnceForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m decisions
		made := 0
		slowly := func() ([]byte, error) { made++; time.Sleep(time.Second); return nil, nil }
		var all sync.WaitGroup
		all.Go(func() { _, _ = m.once(t.Context(), "eu", nil, slowly) })
		synctest.Wait()
		for i := range 8 * maxDecisions {
			if _, err := m.once(t.Context(), "ap", fmt.Append(nil, i), func() ([]byte, error) { return nil, nil }); err != nil {
				t.Fatal(err)
			}
			if n := len(m.of["ap"].done); n > maxDecisions {
				t.Fatalf("%d decisions are remembered", n)
			}
		}
		all.Go(func() { _, _ = m.once(t.Context(), "eu", nil, slowly) })
		all.Wait()
		if made != 1 {
			t.Errorf("the message was decided %d times", made)
		}
	})
}

// TestDecideOncePanics: a panic is an error, to copies too, and its text is not for the other region.
func TestDecideOncePanics(t *testing.T) {
	var m decisions
	for range 2 {
		reply, err := m.once(t.Context(), "eu", nil, func() ([]byte, error) { panic("broken") })
		broken, _ := errors.AsType[*panicError](err)
		if reply != nil || broken == nil || strings.Contains(err.Error(), "broken") || !bytes.Contains(broken.stack, []byte("broken")) {
			t.Errorf("answered %q, %v", reply, err)
		}
	}
}
