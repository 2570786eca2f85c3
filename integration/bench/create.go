package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Bounds of one round of CreateKey: an account's quota is 100,000 keys, and all rounds at one number of connections fill one server.
const (
	keysPerServer = 90_000
	commitName    = "trent_raft_log_writes_total"
	entryName     = "trent_raft_log_entries_total"
	// syncsPerCommit: a transaction of the log's database (bbolt) syncs its data, then its head.
	syncsPerCommit = 2
)

// create measures CreateKey: many keys share a commit of the Raft log.
func (b *bench) create(ctx context.Context) error {
	conns, err := b.connections(1, 8, 64)
	if err != nil {
		return err
	}
	t := &table{
		title: "CreateKey, symmetric, one node, every key on the disk before its answer",
		head:  []string{"connections", "keys/s", "p50 ms", "p99 ms", "commits/key", "fsyncs/key", "CPU µs/key", "allocations/key"},
	}
	t.note("Two fsyncs (fdatasync) for each commit of the Raft log. The audit log's, one each 200 ms, are not counted.")
	for _, n := range conns {
		row, err := b.createWith(ctx, n)
		if err != nil {
			return fmt.Errorf("%d connections: %w", n, err)
		}
		t.add(append([]string{strconv.Itoa(n)}, row...)...)
	}
	b.report.print(t)
	return nil
}

// createWith measures CreateKey with n connections on a server of its own and returns the table's columns.
func (b *bench) createWith(ctx context.Context, n int) ([]string, error) {
	s, err := b.freshTrent(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.stop() }()
	l, err := newLoad(ctx, s.endpoint, n)
	if err != nil {
		return nil, err
	}
	defer l.close()
	q, err := newCall("CreateKey", fields{})
	if err != nil {
		return nil, err
	}
	if _, err := l.run(ctx, q, b.slice(1)/4, keysPerServer/20); err != nil {
		return nil, err
	}
	var rate, p50, p99, commits, syncs, cpu, mallocs samples
	for range b.rounds {
		used, err := s.meter()
		if err != nil {
			return nil, err
		}
		r, err := l.run(ctx, q, b.slice(1), keysPerServer/b.rounds)
		if err != nil {
			return nil, err
		}
		u, err := used()
		if err != nil {
			return nil, err
		}
		keys := float64(r.requests)
		if u.metrics[entryName] < keys {
			return nil, fmt.Errorf("the server counts %.0f entries of its log for %.0f keys", u.metrics[entryName], keys)
		}
		rate = append(rate, r.rate())
		p50 = append(p50, milliseconds(percentile(r.sorted, 0.5)))
		p99 = append(p99, milliseconds(percentile(r.sorted, 0.99)))
		commits = append(commits, u.metrics[commitName]/keys)
		syncs = append(syncs, syncsPerCommit*u.metrics[commitName]/keys)
		cpu = append(cpu, microseconds(u.cpu)/keys)
		mallocs = append(mallocs, u.mallocs/keys)
	}
	b.progress("CreateKey, %d connections: %s keys/s", n, rate.text(0))
	return []string{rate.text(0), p50.String(), p99.String(), commits.text(3), syncs.text(3), cpu.String(), number(mallocs.median())}, nil
}

func milliseconds(d time.Duration) float64 { return microseconds(d) / 1e3 }
