package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/api/throttle"
	"github.com/trentkms/trent/region"
)

// methodLease is the call by which a node leases tokens of request quotas from the leader.
const methodLease = "quota-lease"

// lessor takes a node's wishes for tokens to the leader, whose ledger decides by the leader's own configuration.
type lessor struct{ members *region.Members }

// serveLeases makes this node's ledger the region's while the node leads.
func serveLeases(m *region.Members, q *api.Quotas) {
	if q == nil {
		q = &api.Quotas{}
	}
	ledger := throttle.NewLedger()
	m.ServeAtLeader(methodLease, func(_ context.Context, _ string, payload []byte) ([]byte, error) {
		var a throttle.Ask
		if err := json.Unmarshal(payload, &a); err != nil {
			return nil, err
		}
		return json.Marshal(ledger.Take(time.Now(), q.Limit(a.Key), m.Size(), a))
	})
}

// Lease implements throttle.Lessor.
func (l lessor) Lease(ctx context.Context, a throttle.Ask) (throttle.Grant, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return throttle.Grant{}, err
	}
	answer, err := l.members.AskLeader(ctx, methodLease, b)
	if err != nil {
		return throttle.Grant{}, err
	}
	var g throttle.Grant
	return g, json.Unmarshal(answer, &g)
}

// Nodes implements throttle.Lessor.
func (l lessor) Nodes() int { return l.members.Size() }
