package hsmtest

import (
	"context"
	"fmt"
	"sync"

	"github.com/trentkms/trent/hsm"
)

// Fault says which calls to a Faulty fail, and how. Failures are two-sided: a caller must cope with a call that failed
// and did nothing, and with one that failed and was carried out.
type Fault struct {
	// Method is the name of a method: "Generate", "Close", "Key.Sign". Empty means all of them, but for Close.
	// Info, Capabilities, Key.Type and Key.Destroy cannot fail.
	Method string
	// Skip lets that many matching calls through first.
	Skip int
	// Times is how many calls fail then; 0 means all that follow.
	Times int
	// After carries the call out before it fails; a key that it loaded is destroyed.
	After bool
	// Hang makes the call wait until its context ends, or until Heal, and fail then with hsm.ErrUnavailable.
	Hang bool
	// Err is what the call returns; nil means hsm.ErrUnavailable.
	Err error
}

// Faulty is a module that fails on demand. It is safe for concurrent use.
type Faulty struct {
	inner hsm.Module

	mu      sync.Mutex
	faults  []*armed       // guarded by mu
	calls   map[string]int // guarded by mu
	hanging int            // guarded by mu
	changed chan struct{}  // closed and replaced when hanging changes; guarded by mu
	healed  chan struct{}  // closed and replaced by Heal; guarded by mu
}

type armed struct {
	Fault
	seen int // matching calls
}

var _ hsm.Module = (*Faulty)(nil)

// NewFaulty wraps m. Nothing fails before Inject. Keys of the result work with the result only.
func NewFaulty(m hsm.Module) *Faulty {
	return &Faulty{inner: m, calls: make(map[string]int), changed: make(chan struct{}), healed: make(chan struct{})}
}

// Inject arms a fault. Of several that match a call, the one injected first decides.
func (f *Faulty) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &armed{Fault: fault})
}

// Heal disarms all faults and ends the calls that hang.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
	close(f.healed)
	f.healed = make(chan struct{})
}

// Calls returns how often a method was called, whatever came of it; Key.Destroy is counted too.
func (f *Faulty) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// WaitHanging waits until at least n calls hang, or until ctx ends.
func (f *Faulty) WaitHanging(ctx context.Context, n int) error {
	for {
		f.mu.Lock()
		enough, changed := f.hanging >= n, f.changed
		f.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next counts a call and returns the fault that it meets, or nil.
func (f *Faulty) next(method string) *armed {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
	for _, a := range f.faults {
		if a.Method != method && (a.Method != "" || method == "Close") {
			continue
		}
		a.seen++
		if n := a.seen - a.Skip; n > 0 && (a.Times == 0 || n <= a.Times) {
			return a
		}
	}
	return nil
}

// fail returns the fault's error, after hanging if it says so.
func (f *Faulty) fail(ctx context.Context, a *armed) error {
	if !a.Hang {
		if a.Err != nil {
			return a.Err
		}
		return fmt.Errorf("%w: injected fault", hsm.ErrUnavailable)
	}
	healed := f.hang(+1)
	defer f.hang(-1)
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", hsm.ErrUnavailable, ctx.Err())
	case <-healed:
		return fmt.Errorf("%w: injected fault", hsm.ErrUnavailable)
	}
}

func (f *Faulty) hang(by int) (healed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hanging += by
	close(f.changed)
	f.changed = make(chan struct{})
	return f.healed
}

// try makes one call, or what a fault makes of it. undo takes back what the result holds on to.
func try[T any](ctx context.Context, f *Faulty, method string, do func() (T, error), undo func(T)) (T, error) {
	var none T
	a := f.next(method)
	if a == nil {
		return do()
	}
	if a.After {
		result, err := do()
		if err != nil {
			return none, err
		}
		if undo != nil {
			undo(result)
		}
	}
	return none, f.fail(ctx, a)
}

// run is try for calls without a result.
func (f *Faulty) run(ctx context.Context, method string, do func() error) error {
	_, err := try(ctx, f, method, func() (struct{}, error) { return struct{}{}, do() }, nil)
	return err
}
