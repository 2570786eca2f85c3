package hsm_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
)

func openSoft(tb testing.TB) hsm.Module {
	tb.Helper()
	m, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

// TestObserveConforms: the observed module is a module like the one inside.
func TestObserveConforms(t *testing.T) {
	hsmtest.RunOnly(t, func(t *testing.T) hsm.Module {
		return hsm.Observe(openSoft(t), func(string, time.Duration, string) {})
	}, hsmtest.Options{Slow: true}, "Describe", "Capabilities", "Domains", "ImportRefusals", "WrongUsage", "Destroy", "Close")
}

// TestObserveReportsAll calls every method and finds each reported once, with its outcome.
func TestObserveReportsAll(t *testing.T) {
	var mu sync.Mutex
	calls := make(map[string]int)
	m := hsm.Observe(hsmtest.NewFaulty(openSoft(t)), func(method string, took time.Duration, class string) {
		mu.Lock()
		defer mu.Unlock()
		calls[method+" "+class]++
		if took < 0 || took > time.Minute {
			t.Errorf("%s took %v", method, took)
		}
	})
	ctx := t.Context()
	if err := m.CreateDomain(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	w, err := m.Generate(ctx, "d", hsm.Symmetric, hsm.UseDerive, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := m.Load(ctx, hsm.Material{Domain: "d", Type: hsm.Symmetric, Usage: hsm.UseDerive, Wrapped: w})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"CreateDomain ok": 1, "Generate ok": 1, "Load ok": 1}
	// With zero arguments every other method answers something; what matters is that the answer is reported.
	for prefix, value := range map[string]reflect.Value{"": reflect.ValueOf(&m).Elem(), "Key.": reflect.ValueOf(&k).Elem()} {
		for i := range value.NumMethod() {
			name := value.Type().Method(i).Name
			if slices.Contains([]string{"Info", "Capabilities", "Type", "Close"}, name) {
				continue
			}
			want[prefix+name+" "+callWithZeros(ctx, value.Method(i))]++
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	want["Close ok"]++
	if !maps.Equal(calls, want) {
		t.Errorf("reported %v, want %v", calls, want)
	}
	if _, ok := hsm.Unobserved(m).(*hsmtest.Faulty); !ok {
		t.Errorf("Unobserved is %T", hsm.Unobserved(m))
	}
}

// callWithZeros calls a method with the context and zero values and returns the class of its error.
func callWithZeros(ctx context.Context, method reflect.Value) string {
	args := make([]reflect.Value, method.Type().NumIn())
	for i := range args {
		args[i] = reflect.Zero(method.Type().In(i))
		if method.Type().In(i) == reflect.TypeFor[context.Context]() {
			args[i] = reflect.ValueOf(ctx)
		} else if method.Type().In(i) == reflect.TypeFor[*[32]byte]() {
			args[i] = reflect.ValueOf(new([32]byte))
		}
	}
	results := method.Call(args)
	if len(results) == 0 {
		return hsm.ClassOK
	}
	err, _ := results[len(results)-1].Interface().(error)
	return hsm.ErrorClass(err)
}

func TestErrorClass(t *testing.T) {
	for want, err := range map[string]error{
		hsm.ClassOK: nil, hsm.ClassUnsupported: hsm.ErrUnsupported, hsm.ClassUnavailable: hsm.ErrUnavailable,
		hsm.ClassIntegrity: hsm.ErrIntegrity, hsm.ClassNoDomain: hsm.ErrNoDomain, hsm.ClassDomainExists: hsm.ErrDomainExists,
		hsm.ClassInvalidInput: hsm.ErrWrongMaterial, hsm.ClassClosed: hsm.ErrClosed, hsm.ClassOther: context.Canceled,
	} {
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if got := hsm.ErrorClass(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}

// BenchmarkObservedDeriveKey is soft's BenchmarkDeriveKey under Observe.
func BenchmarkObservedDeriveKey(b *testing.B) {
	for name, wrap := range map[string]func(hsm.Module) hsm.Module{
		"bare":     func(m hsm.Module) hsm.Module { return m },
		"observed": func(m hsm.Module) hsm.Module { return hsm.Observe(m, func(string, time.Duration, string) {}) },
	} {
		b.Run(name, func(b *testing.B) {
			m := wrap(openSoft(b))
			ctx := b.Context()
			if err := m.CreateDomain(ctx, "d"); err != nil {
				b.Fatal(err)
			}
			w, err := m.Generate(ctx, "d", hsm.Symmetric, hsm.UseDerive, nil)
			if err != nil {
				b.Fatal(err)
			}
			k, err := m.Load(ctx, hsm.Material{Domain: "d", Type: hsm.Symmetric, Usage: hsm.UseDerive, Wrapped: w})
			if err != nil {
				b.Fatal(err)
			}
			fixed := make([]byte, 96)
			var out [32]byte
			b.ReportAllocs()
			for b.Loop() {
				if err := k.DeriveKey(ctx, fixed, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
