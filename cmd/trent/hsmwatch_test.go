package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trentkms/trent/hsm/hsmtest"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
)

// TestHSMWatch: a hung HSM is told of in time, a short failure is not, and one that is back is forgotten.
func TestHSMWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		module, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		faulty := hsmtest.NewFaulty(module)
		ctx, cancel := context.WithCancel(t.Context())
		w := &hsmWatch{module: faulty}
		done := make(chan struct{})
		go func() { defer close(done); w.run(ctx) }()
		time.Sleep(10 * time.Second)
		if w.err() != nil {
			t.Errorf("a sound HSM: %v", w.err())
		}
		faulty.Inject(hsmtest.Fault{Method: "Health", Times: 3})
		for range 8 {
			time.Sleep(time.Second)
			if w.err() != nil {
				t.Errorf("a failure of three seconds: %v", w.err())
			}
		}
		faulty.Inject(hsmtest.Fault{Method: "Health", Hang: true})
		time.Sleep(hsmGrace + 4*time.Second)
		if err := w.err(); err == nil || !strings.Contains(err.Error(), "has not answered") {
			t.Errorf("a hung HSM: %v", err)
		}
		faulty.Heal()
		time.Sleep(3 * time.Second)
		if w.err() != nil {
			t.Errorf("an HSM that is back: %v", w.err())
		}
		cancel()
		<-done
	})
}
