package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// region compares a region of one node with one of three: what a request costs, where it is served, and how many keys can be made.
func (b *bench) region(ctx context.Context) error {
	encrypt := &table{
		title: "Encrypt in a region, 8 connections to the node that is named",
		head:  []string{"served by", "its CPU µs/request", "other nodes' CPU µs/request", "read rounds/request", "requests/s", "p50 ms", "p99 ms"},
	}
	encrypt.note("All nodes and the load generator share the processors. A node alone needs no rounds.")
	create := &table{
		title: "CreateKey in a region, connections spread over all nodes",
		head:  []string{"nodes, connections", "keys/s", "p50 ms", "p99 ms"},
	}
	for _, n := range []int{1, 3} {
		g, err := b.startGroup(ctx, n)
		if err != nil {
			return err
		}
		if err = b.encryptIn(ctx, g, encrypt); err == nil {
			err = b.createIn(ctx, g, create)
		}
		if err == nil && n > 1 {
			err = b.visibility(ctx, g)
		}
		g.close()
		if err != nil {
			return fmt.Errorf("%d nodes: %w", n, err)
		}
	}
	b.report.print(encrypt)
	b.report.print(create)
	return nil
}

// seat is a node under load, with its results.
type seat struct {
	name                              string
	m                                 *member
	load                              *load
	own, rest, rounds, rate, p50, p99 samples
}

// encryptIn measures Encrypt on the leader and on a follower in turns.
func (b *bench) encryptIn(ctx context.Context, g *group, t *table) error {
	leader, others, err := g.leader(ctx)
	if err != nil {
		return err
	}
	q, err := b.oneKey(ctx, leader.server)
	if err != nil {
		return err
	}
	seats := []*seat{{name: "the node alone", m: leader}}
	if len(others) > 0 {
		seats = []*seat{{name: "the leader of three", m: leader}, {name: "a follower of three", m: others[0]}}
	}
	for _, s := range seats {
		if s.load, err = newLoad(ctx, s.m.endpoint, 8); err != nil {
			return err
		}
		defer s.load.close()
		if _, err := s.load.run(ctx, q, b.slice(len(seats))/4, 0); err != nil {
			return err
		}
	}
	for round := range b.rounds {
		for i := range seats {
			if err := seats[(i+round)%len(seats)].measure(ctx, g, q, b.slice(len(seats))); err != nil {
				return err
			}
		}
	}
	for _, s := range seats {
		t.add(s.name, s.own.String(), s.rest.String(), s.rounds.text(3), s.rate.text(0), s.p50.String(), s.p99.String())
		b.progress("Encrypt, %s: %s µs", s.name, s.own)
	}
	if len(seats) == 2 {
		t.note("CPU of a request on the follower, beside one on the leader in the same round: %s.", ratios(seats[1].own, seats[0].own).text(2))
	}
	return nil
}

// measure is one round of one seat.
func (s *seat) measure(ctx context.Context, g *group, q *request, d time.Duration) error {
	used := make(map[*member]func() (*usage, error))
	for _, m := range g.members {
		var err error
		if used[m], err = m.meter(); err != nil {
			return err
		}
	}
	r, err := s.load.run(ctx, q, d, 0)
	if err != nil {
		return err
	}
	n, rest := float64(r.requests), 0.0
	for _, m := range g.members {
		u, err := used[m]()
		if err != nil {
			return err
		}
		if m == s.m {
			s.own = append(s.own, microseconds(u.cpu)/n)
			s.rounds = append(s.rounds, u.metrics["trent_raft_read_rounds_total"]/n)
		} else {
			rest += microseconds(u.cpu) / n
		}
	}
	s.rest = append(s.rest, rest)
	s.rate = append(s.rate, r.rate())
	s.p50, s.p99 = append(s.p50, milliseconds(percentile(r.sorted, 0.5))), append(s.p99, milliseconds(percentile(r.sorted, 0.99)))
	return nil
}

// createIn measures CreateKey.
func (b *bench) createIn(ctx context.Context, g *group, t *table) error {
	conns, err := b.connections(1, 8, 64)
	if err != nil {
		return err
	}
	q, err := newCall("CreateKey", fields{})
	if err != nil {
		return err
	}
	for _, n := range conns {
		l := &load{}
		for i := range n {
			c, err := dial(ctx, g.members[i%len(g.members)].endpoint)
			if err != nil {
				l.close()
				return err
			}
			l.conns = append(l.conns, c)
		}
		var rate, p50, p99 samples
		for range b.rounds {
			r, err := l.run(ctx, q, b.slice(1), keysPerServer/b.rounds/len(conns))
			if err != nil {
				l.close()
				return err
			}
			rate = append(rate, r.rate())
			p50, p99 = append(p50, milliseconds(percentile(r.sorted, 0.5))), append(p99, milliseconds(percentile(r.sorted, 0.99)))
		}
		l.close()
		t.add(fmt.Sprint(len(g.members), ", ", n), rate.text(0), p50.String(), p99.String())
		b.progress("CreateKey, %d nodes, %d connections: %s keys/s", len(g.members), n, rate.text(0))
	}
	return nil
}

// visibility measures a read on a follower right after the leader has acknowledged a write, beside one when nothing was written.
func (b *bench) visibility(ctx context.Context, g *group) error {
	leader, others, err := g.leader(ctx)
	if err != nil {
		return err
	}
	id, err := leader.createKey(ctx, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	if err != nil {
		return err
	}
	writer, err := dial(ctx, leader.endpoint)
	if err != nil {
		return err
	}
	defer writer.close()
	reader, err := dial(ctx, others[0].endpoint)
	if err != nil {
		return err
	}
	defer reader.close()
	read, err := newCall("DescribeKey", fields{"KeyId": id})
	if err != nil {
		return err
	}
	var after, idle samples
	const writes = 100
	for i := range writes {
		value := "value " + strconv.Itoa(i)
		write, err := newCall("UpdateKeyDescription", fields{"KeyId": id, "Description": value})
		if err != nil {
			return err
		}
		if _, err := writer.do(write); err != nil {
			return err
		}
		for _, to := range []*samples{&after, &idle} {
			start := time.Now()
			answer, err := reader.do(read)
			if err != nil {
				return err
			}
			*to = append(*to, milliseconds(time.Since(start)))
			if !containsText(answer, value) {
				return fmt.Errorf("a follower read %s after %q was acknowledged", answer, value)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	t := &table{title: "A write on the leader, read on a follower", head: []string{"read", "ms, median (range)"}}
	t.add("at once after the acknowledgement", after.String())
	t.add("20 ms later", idle.String())
	t.note("%d writes; every read had the value that was acknowledged.", writes)
	b.report.print(t)
	return nil
}
