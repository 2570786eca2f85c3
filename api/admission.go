package api

import (
	"maps"
	"sync"
	"sync/atomic"
)

// admission bounds the authenticated requests worked on at one time, in all and for each account, so that a tenant that floods the
// node leaves room for the others, quotas or not. An account may have four times as many requests in flight as places are free: a
// single busy account gets four fifths of the places, n of them 4/(4n+1) each, and there is always room for one more account.
// It is safe for concurrent use and takes no lock once an account is known.
type admission struct {
	max      int64
	total    atomic.Int64
	accounts atomic.Pointer[map[string]*atomic.Int64]
	growing  sync.Mutex
}

// fairShare is how many requests an account may have in flight for each place that is free.
const fairShare = 4

func newAdmission(limit int64) *admission {
	a := &admission{max: limit}
	a.accounts.Store(&map[string]*atomic.Int64{})
	return a
}

// enter takes a place for a request of an account. The returned counter is for leave; it is nil if there is no place.
func (a *admission) enter(account string) *atomic.Int64 {
	own := a.of(account)
	free := a.max - (a.total.Add(1) - 1)
	if n := own.Add(1) - 1; free <= 0 || n >= fairShare*free {
		a.leave(own)
		return nil
	}
	return own
}

func (a *admission) leave(own *atomic.Int64) {
	own.Add(-1)
	a.total.Add(-1)
}

// of is an account's counter. Only accounts that the region knows get here, so there are not many.
func (a *admission) of(account string) *atomic.Int64 {
	if c := (*a.accounts.Load())[account]; c != nil {
		return c
	}
	a.growing.Lock()
	defer a.growing.Unlock()
	known := *a.accounts.Load()
	if c := known[account]; c != nil {
		return c
	}
	next := maps.Clone(known)
	c := new(atomic.Int64)
	next[account] = c
	a.accounts.Store(&next)
	return c
}
