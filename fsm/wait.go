package fsm

import (
	"container/heap"
	"context"
	"sync"
)

// waiters wakes goroutines that wait for the FSM to reach an index.
type waiters struct {
	mu   sync.Mutex
	heap waiterHeap // lowest index first; guarded by mu
}

type waiter struct {
	index    uint64
	ready    chan struct{} // closed once the index is reached
	position int           // in the heap, -1 once it is out; guarded by waiters.mu
}

// wait returns once reached reports true, which it must do from before reach(index) is called; or with the context's
// error; or with ErrStopped.
func (w *waiters) wait(ctx context.Context, index uint64, reached func() bool, stopped <-chan struct{}) error {
	w.mu.Lock()
	if reached() {
		w.mu.Unlock()
		return nil
	}
	me := &waiter{index: index, ready: make(chan struct{})}
	heap.Push(&w.heap, me)
	w.mu.Unlock()

	select {
	case <-me.ready:
		return nil
	case <-ctx.Done():
		w.leave(me)
		return ctx.Err()
	case <-stopped:
		w.leave(me)
		return ErrStopped
	}
}

func (w *waiters) leave(me *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if me.position >= 0 {
		heap.Remove(&w.heap, me.position)
	}
}

// reach wakes all who wait for the index or an earlier one.
func (w *waiters) reach(index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.heap) > 0 && w.heap[0].index <= index {
		close(heap.Pop(&w.heap).(*waiter).ready)
	}
}

// waiterHeap implements heap.Interface.
type waiterHeap []*waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].index < h[j].index }
func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}

func (h *waiterHeap) Push(x any) {
	me := x.(*waiter)
	me.position = len(*h)
	*h = append(*h, me)
}

func (h *waiterHeap) Pop() any {
	last := len(*h) - 1
	me := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	me.position = -1
	return me
}
