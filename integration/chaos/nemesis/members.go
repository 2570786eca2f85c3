//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"sync"
	"time"
)

func memberFaults() []Fault {
	s := time.Second
	return []Fault{
		{Name: "transfer", Group: "members", Least: 2 * s, Most: 6 * s, inject: transfer},
		{Name: "rotate-domain-key", Group: "members", Needs: []string{"domain-key"}, Least: s, Most: 4 * s, inject: rotateDomainKey},
		{Name: "replace-member", Group: "members", Needs: []string{"others"}, Least: 100 * time.Millisecond, Most: s, inject: replaceMember},
	}
}

// transfer has leadership handed on as fast as it goes.
func transfer(ctx context.Context, e *env) (*active, error) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var mu sync.Mutex
	moved := 0
	wg.Go(func() {
		for ctx.Err() == nil {
			for _, n := range e.region.Running() {
				if n.StepDown(ctx) == nil {
					mu.Lock()
					moved++
					mu.Unlock()
				}
				break
			}
			pause(ctx, 300*time.Millisecond)
		}
	})
	return &active{
		effect: func(context.Context) string {
			mu.Lock()
			defer mu.Unlock()
			if moved == 0 {
				return ""
			}
			return fmt.Sprintf("leadership handed on %d times", moved)
		},
		end: func(context.Context) error { stop(); wg.Wait(); return nil },
	}, nil
}

// rotateDomainKey begins a rotation of the region's domain key, which goes on while other faults strike.
func rotateDomainKey(ctx context.Context, e *env) (*active, error) {
	if err := e.target.RotateDomainKey(ctx); err != nil {
		return nil, err
	}
	return &active{effect: func(context.Context) string { return "a rotation began" }}, nil
}

// replaceMember removes the target for good and has it join again, empty and under a new id, while traffic goes on.
func replaceMember(ctx context.Context, e *env) (*active, error) {
	voters := len(e.region.Members())
	old := e.target.ID
	if err := e.region.Replace(ctx, e.target); err != nil {
		return nil, fmt.Errorf("replace %s: %w", e.target.Name, err)
	}
	if err := e.region.AwaitVoters(ctx, voters); err != nil {
		return nil, err
	}
	return &active{effect: func(context.Context) string {
		return fmt.Sprintf("node %.8s left and came back as %.8s", old, e.target.ID)
	}}, nil
}
