package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// hotOperations are the operations that make up nearly all traffic of a KMS.
var hotOperations = []string{"Encrypt", "Decrypt", "GenerateDataKey"}

// crypto measures the hot operations on Trent and on the ceiling, in turns.
func (b *bench) crypto(ctx context.Context) error {
	conns, err := b.connections(1, 8, 32, 64)
	if err != nil {
		return err
	}
	pprof, flags := "", []string(nil)
	if b.profile != "" {
		if pprof, err = freePort(); err != nil {
			return err
		}
		flags = []string{"--pprof", pprof}
	}
	trent, err := b.freshTrent(ctx, flags...)
	if err != nil {
		return err
	}
	defer func() { _ = trent.stop() }()
	ceiling, err := b.startCeiling(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ceiling.stop() }()
	cost, speed := cryptoTables()
	for _, op := range hotOperations {
		if !b.chosen(op) {
			continue
		}
		for _, n := range conns {
			d, err := b.newDuel(ctx, op, n, trent, ceiling)
			if err != nil {
				return fmt.Errorf("%s: %w", op, err)
			}
			if b.profile != "" && n == 8 {
				d.profile, d.pprof = op+"-"+b.profile, pprof
			}
			err = d.fight(ctx, b)
			d.close()
			if err != nil {
				return fmt.Errorf("%s with %d connections: %w", op, n, err)
			}
			d.report(cost, speed)
		}
	}
	b.report.print(cost)
	b.report.print(speed)
	return nil
}

func cryptoTables() (cost, speed *table) {
	cost = &table{
		title: "Server processor time and allocations of a request, median (range) of the rounds",
		head:  []string{"operation, connections", "Trent µs", "ceiling µs", "ratio", "Trent allocations", "ceiling allocations", "Trent bytes", "ceiling bytes"},
	}
	cost.note("The ratio is that of the two servers in the same round.")
	speed = &table{
		title: "Throughput and latency, load generator and server on the same processors",
		head:  []string{"operation, connections", "server", "requests/s", "p50 µs", "p99 µs", "p99.9 µs"},
	}
	return cost, speed
}

// side is one of two servers that are compared, with its load and its results, one value a round.
type side struct {
	server  *server
	load    *load
	request *request

	cpu, mallocs, bytes, rate, p50, p99, p999 samples
}

// duel compares two servers at one operation and number of connections.
type duel struct {
	operation string
	n         int
	sides     []*side
	// profile is the file for a CPU profile of the first side, pprof where to get it; "" for none.
	profile, pprof string
}

func (b *bench) newDuel(ctx context.Context, op string, n int, servers ...*server) (*duel, error) {
	d := &duel{operation: op, n: n}
	for _, s := range servers {
		q, err := b.hotRequest(ctx, s, op)
		if err != nil {
			d.close()
			return nil, err
		}
		l, err := newLoad(ctx, s.endpoint, n)
		if err != nil {
			d.close()
			return nil, err
		}
		d.sides = append(d.sides, &side{server: s, load: l, request: q})
	}
	return d, nil
}

func (d *duel) close() {
	for _, s := range d.sides {
		s.load.close()
	}
}

// fight runs the rounds. Who comes first changes from round to round.
func (d *duel) fight(ctx context.Context, b *bench) error {
	slice := b.slice(len(d.sides))
	for _, s := range d.sides { // connections, caches and pools warm up
		if _, err := s.load.run(ctx, s.request, slice/4, 0); err != nil {
			return err
		}
	}
	var profiled chan error
	for round := range b.rounds {
		for i := range d.sides {
			s := d.sides[(i+round)%len(d.sides)]
			if d.profile != "" && round == 0 && s == d.sides[0] {
				profiled = make(chan error, 1)
				go func() { profiled <- saveProfile(ctx, d.pprof, d.profile, slice) }()
				if _, err := s.load.run(ctx, s.request, slice, 0); err != nil {
					return err
				}
				if err := <-profiled; err != nil {
					return err
				}
			}
			if err := s.measure(ctx, b); err != nil {
				return err
			}
		}
	}
	b.progress("%s, %d connections: %s against %s µs", d.operation, d.n, d.sides[0].cpu, d.sides[len(d.sides)-1].cpu)
	return nil
}

// measure is one side's turn.
func (s *side) measure(ctx context.Context, b *bench) error {
	used, err := s.server.meter()
	if err != nil {
		return err
	}
	r, err := s.load.run(ctx, s.request, b.slice(2), 0)
	if err != nil {
		return err
	}
	u, err := used()
	if err != nil {
		return err
	}
	n := float64(r.requests)
	s.cpu = append(s.cpu, microseconds(u.cpu)/n)
	s.mallocs, s.bytes = append(s.mallocs, u.mallocs/n), append(s.bytes, u.bytes/n)
	s.rate = append(s.rate, r.rate())
	s.p50 = append(s.p50, microseconds(percentile(r.sorted, 0.5)))
	s.p99 = append(s.p99, microseconds(percentile(r.sorted, 0.99)))
	s.p999 = append(s.p999, microseconds(percentile(r.sorted, 0.999)))
	return nil
}

func (d *duel) report(cost, speed *table) {
	name := d.operation + ", " + strconv.Itoa(d.n)
	t, c := d.sides[0], d.sides[1]
	cost.add(name, t.cpu.String(), c.cpu.String(), ratios(t.cpu, c.cpu).String(), number(t.mallocs.median()), number(c.mallocs.median()),
		number(t.bytes.median()), number(c.bytes.median()))
	for _, s := range d.sides {
		speed.add(name, s.server.name, s.rate.text(0), s.p50.String(), s.p99.String(), s.p999.String())
	}
}

// hotRequest makes the request of a hot operation for a server, with what it needs: a key, and a ciphertext to decrypt.
func (b *bench) hotRequest(ctx context.Context, s *server, op string) (*request, error) {
	in := fields{}
	if b.pairs > 0 {
		pairs := make(map[string]string, b.pairs)
		for i := range b.pairs {
			pairs[fmt.Sprintf("purpose-%d", i)] = fmt.Sprintf("measurement-%d", i)
		}
		in["EncryptionContext"] = pairs
	}
	in["KeyId"] = "00000000-0000-4000-8000-000000000000"
	if s.name != "ceiling" {
		id, err := s.createKey(ctx, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
		if err != nil {
			return nil, err
		}
		in["KeyId"] = id
	}
	switch op {
	case "Encrypt":
		in["Plaintext"] = make([]byte, 32)
	case "GenerateDataKey":
		in["NumberOfBytes"] = 32
	case "Decrypt":
		in["Plaintext"] = make([]byte, 32)
		var out struct{ CiphertextBlob []byte }
		if err := s.call(ctx, "Encrypt", in, &out); err != nil {
			return nil, err
		}
		delete(in, "Plaintext")
		in["CiphertextBlob"] = out.CiphertextBlob
	default:
		return nil, errors.New("not a hot operation")
	}
	return newCall(op, in)
}
