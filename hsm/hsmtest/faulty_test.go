package hsmtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
)

func newFaulty(t *testing.T) *hsmtest.Faulty {
	t.Helper()
	m, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return hsmtest.NewFaulty(m)
}

// TestFaultyConforms: without faults the wrapper is a module like the one inside.
func TestFaultyConforms(t *testing.T) {
	hsmtest.RunOnly(t, func(t *testing.T) hsm.Module { return newFaulty(t) }, hsmtest.Options{Slow: true},
		"Describe", "Capabilities", "Domains", "DomainPRF", "ImportRefusals", "WrongUsage", "Destroy", "Context")
}

func TestFaultBeforeAndAfter(t *testing.T) {
	ctx, f := t.Context(), newFaulty(t)
	f.Inject(hsmtest.Fault{Method: "CreateDomain", Times: 1})
	f.Inject(hsmtest.Fault{Method: "CreateDomain", Times: 1, After: true, Err: errors.New("own error")})
	if err := f.CreateDomain(ctx, "d"); !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("first call: %v", err)
	}
	if has, err := f.HasDomain(ctx, "d"); has || err != nil {
		t.Fatalf("failed before the effect, yet: %v, %v", has, err)
	}
	if err := f.CreateDomain(ctx, "d"); err == nil || err.Error() != "own error" {
		t.Fatalf("second call: %v", err)
	}
	if has, err := f.HasDomain(ctx, "d"); !has || err != nil {
		t.Fatalf("failed after the effect, yet: %v, %v", has, err)
	}
	if err := f.CreateDomain(ctx, "e"); err != nil {
		t.Fatalf("third call: %v", err)
	}
	if n := f.Calls("CreateDomain"); n != 3 {
		t.Errorf("%d calls counted", n)
	}
}

func TestFaultSkipAndHeal(t *testing.T) {
	ctx, f := t.Context(), newFaulty(t)
	f.Inject(hsmtest.Fault{Skip: 2})
	for i, want := range []bool{true, true, false, false} {
		if err := f.Health(ctx); (err == nil) != want {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	f.Heal()
	if err := f.Health(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestFaultyKey(t *testing.T) {
	ctx, f := t.Context(), newFaulty(t)
	if err := f.CreateDomain(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	w, err := f.Generate(ctx, "d", hsm.HMAC256, hsm.UseMAC, nil)
	if err != nil {
		t.Fatal(err)
	}
	mat := hsm.Material{Domain: "d", Type: hsm.HMAC256, Usage: hsm.UseMAC, Wrapped: w}
	f.Inject(hsmtest.Fault{Method: "Load", After: true, Times: 1})
	if k, err := f.Load(ctx, mat); err == nil || k != nil {
		t.Fatalf("Load: %v, %v", k, err)
	}
	if n := f.Calls("Key.Destroy"); n != 1 {
		t.Errorf("a key whose Load failed afterwards was destroyed %d times", n)
	}
	k, err := f.Load(ctx, mat)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Destroy()
	f.Inject(hsmtest.Fault{Method: "Key.MAC", Times: 1})
	if mac, err := k.MAC(ctx, nil); !errors.Is(err, hsm.ErrUnavailable) || mac != nil {
		t.Fatalf("MAC: %x, %v", mac, err)
	}
	if _, err := k.MAC(ctx, nil); err != nil {
		t.Fatal(err)
	}
}

func TestFaultHangs(t *testing.T) {
	f := newFaulty(t)
	synctest.Test(t, func(t *testing.T) {
		f := hsmtest.NewFaulty(f)
		f.Inject(hsmtest.Fault{Method: "Health", Hang: true})
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2)
		go func() { results <- f.Health(ctx) }()
		go func() { results <- f.Health(t.Context()) }()
		if err := f.WaitHanging(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(results) != 0 {
			t.Fatal("a call returned that should hang")
		}
		cancel()
		if err := <-results; !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Fatalf("after the end of its context: %v", err)
		}
		synctest.Wait()
		if len(results) != 0 {
			t.Fatal("the other call returned too")
		}
		f.Heal()
		if err := <-results; !errors.Is(err, hsm.ErrUnavailable) {
			t.Fatalf("after Heal: %v", err)
		}
		if err := f.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
