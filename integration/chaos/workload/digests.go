package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// digests makes no traffic: it compares the nodes' states.
type digests struct{}

// Digests is W10: nodes of a region hold the same state at the same index.
func Digests() Workload { return digests{} }

func (digests) Name() string { return check.DigestsName }

func (digests) Setup(context.Context, *Target) error { return nil }

func (digests) Run(context.Context, int, *rand.Rand, *Target, func(history.Op)) {}

// digestRounds bounds how often the nodes are asked: a region at rest still writes now and then, so that two nodes may be seen at
// different indices.
const digestRounds = 40

// Check asks all nodes for the digests of their states until each was seen at an index at which another was seen.
func (w digests) Check(ctx context.Context, t *Target, _ []history.Op) []check.Anomaly {
	if len(t.Regions) == 0 {
		return nil // a stored history
	}
	var (
		all []check.Digest
		err error
	)
	for range digestRounds {
		err = nil
		for _, r := range t.Regions {
			for _, n := range r.Nodes {
				d, e := digestOf(ctx, n)
				if e != nil {
					err = fmt.Errorf("%s: %w", n.Name, e)
					continue
				}
				d.Region = r.Name
				all = append(all, d)
			}
		}
		if err == nil && len(check.Digests(all)) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
	anomalies := check.Digests(all)
	if err != nil {
		anomalies = append(anomalies, check.Anomaly{Workload: w.Name(), Text: fmt.Sprintf("no digest: %v", err)})
	}
	return anomalies
}

// digestOf asks a node by its admin socket.
func digestOf(ctx context.Context, n Node) (check.Digest, error) {
	st, err := statusOf(ctx, n)
	return check.Digest{Node: n.Name, Index: st.AppliedIndex, Sum: st.Digest}, err
}

// nodeStatus is what a node says of itself.
type nodeStatus struct {
	AppliedIndex                         uint64
	Digest, IdentityDigest, IdentityHome string
}

// statusOf asks a node by its admin socket.
func statusOf(ctx context.Context, n Node) (st nodeStatus, err error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", n.AdminSocket)
	}}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node/v1/status?digest=1", nil)
	if err != nil {
		return st, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return st, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(body, &st); err != nil || st.Digest == "" {
		return st, fmt.Errorf("the node answered %s %.200q", resp.Status, body)
	}
	return st, nil
}
