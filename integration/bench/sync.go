package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// otherRegion is the region that regionName is federated with in the part sync.
const otherRegion = "eu-west-1"

// sync measures multi-Region keys between two regions.
func (b *bench) sync(ctx context.Context) error {
	p, err := b.startPair(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = p.here.stop() }()
	t := &table{title: fmt.Sprintf("%d multi-Region keys in two regions", b.shared), head: []string{"what", "value"}}
	t.note("One process holds both regions, on one machine: what lies between them is TLS on the loopback interface. A region that is far away adds two round trips to a change.")
	t.note("Each region compares itself with the other in full once a minute; 65 s idle hold one comparison in each direction.")
	t.note("Bytes are those of the requests between the leaders and of their answers, of both regions, without TLS and without the pool of all nodes.")
	keys, err := p.makeShared(ctx, b, t)
	if err != nil {
		return err
	}
	if err := p.lag(ctx, b, keys, t); err != nil {
		return err
	}
	if err := p.roundBytes(ctx, b, keys, t); err != nil {
		return err
	}
	if err := p.changeAll(ctx, keys, t); err != nil {
		return err
	}
	if err := p.rotateAll(ctx, b, keys, t); err != nil {
		return err
	}
	b.report.print(t)
	return nil
}

// makeShared makes keys, and replicates them to the region that has none of them.
func (p *pair) makeShared(ctx context.Context, b *bench, t *table) ([]string, error) {
	keys := make([]string, b.shared)
	create := func(int, string) (*request, error) { return newCall("CreateKey", fields{"MultiRegion": true}) }
	if err := each(ctx, p.here, keys, create, func(i int, answer []byte) error {
		var out struct{ KeyMetadata struct{ KeyId string } }
		err := json.Unmarshal(answer, &out)
		keys[i] = out.KeyMetadata.KeyId
		return err
	}); err != nil {
		return nil, err
	}
	b.progress("%d multi-Region keys", len(keys))
	used, err := p.sent()
	if err != nil {
		return nil, err
	}
	cpu, err := p.here.cpu() // of both regions
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := p.profiled(ctx, b, "ReplicateKey", func() error {
		return each(ctx, p.here, keys, func(_ int, id string) (*request, error) {
			return newCall("ReplicateKey", fields{"KeyId": id, "ReplicaRegion": otherRegion})
		}, nil)
	}); err != nil {
		return nil, err
	}
	asked := time.Since(begin)
	if err := p.settled(ctx); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	spent, err := p.here.cpu()
	if err != nil {
		return nil, err
	}
	_, size, err := used()
	if err != nil {
		return nil, err
	}
	b.progress("replicated in %v", took.Round(time.Second))
	t.add("replicate all to a region that has none, s", number(took.Seconds()))
	t.add("of that, the calls of ReplicateKey, 16 connections, s", number(asked.Seconds()))
	t.add("replicas made, with material and acknowledgement, keys/s", number(float64(len(keys))/took.Seconds()))
	t.add("processor time of both regions for each, ms", number(milliseconds(spent-cpu)/float64(len(keys))))
	t.add("bytes for each, question included", number(size/float64(len(keys))))
	// Whatever the metrics say, the last key must be there.
	return keys, p.there.call(ctx, "Encrypt", fields{"KeyId": keys[len(keys)-1], "Plaintext": []byte("x")}, nil)
}

// rotationPeriod is a change of a key's shared properties that can be told from the one before.
func rotationPeriod(n int) int { return 100 + n%2000 }

// lag measures from the acknowledgement of a change at the primary until a read in the replica's region shows it.
func (p *pair) lag(ctx context.Context, b *bench, keys []string, t *table) error {
	writer, err := dial(ctx, p.here.endpoint)
	if err != nil {
		return err
	}
	defer writer.close()
	reader, err := dial(ctx, p.there.endpoint)
	if err != nil {
		return err
	}
	defer reader.close()
	changes := 500
	if b.quick {
		changes = 50
	}
	var all []time.Duration
	for n := range changes {
		id := keys[n*7%len(keys)]
		write, err := newCall("EnableKeyRotation", fields{"KeyId": id, "RotationPeriodInDays": rotationPeriod(n)})
		if err != nil {
			return err
		}
		read, err := newCall("GetKeyRotationStatus", fields{"KeyId": id})
		if err != nil {
			return err
		}
		if _, err := writer.do(write); err != nil {
			return err
		}
		acknowledged := time.Now()
		for {
			answer, err := reader.do(read)
			if err != nil {
				return err
			}
			if bytes.Contains(answer, fmt.Appendf(nil, `"RotationPeriodInDays":%d,`, rotationPeriod(n))) {
				break
			}
			if time.Since(acknowledged) > time.Minute {
				return fmt.Errorf("a change did not come in a minute: %s", answer)
			}
		}
		all = append(all, time.Since(acknowledged))
		time.Sleep(time.Duration(n%50) * time.Millisecond) // so that changes do not keep step with the regular rounds
	}
	slices.Sort(all)
	t.add(fmt.Sprintf("an acknowledged change is seen in the other region, ms: p50, p99, longest of %d", changes),
		number(milliseconds(percentile(all, 0.5)))+", "+number(milliseconds(percentile(all, 0.99)))+", "+number(milliseconds(all[len(all)-1])))
	b.progress("lag: %s", t.rows[len(t.rows)-1][1])
	return nil
}

// roundBytes measures what is sent while nothing changes, and for changes.
func (p *pair) roundBytes(ctx context.Context, b *bench, keys []string, t *table) error {
	if err := p.settled(ctx); err != nil {
		return err
	}
	used, err := p.sent()
	if err != nil {
		return err
	}
	idle := 65 * time.Second // with one comparison in full in each direction
	if b.quick {
		idle /= 5
	}
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	requests, size, err := used()
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("idle for %v: bytes, requests", idle), number(size)+", "+number(requests))
	for _, k := range []int{1, 100} {
		k = min(k, len(keys))
		if used, err = p.sent(); err != nil {
			return err
		}
		begin := time.Now()
		if err := each(ctx, p.here, keys[:k], func(_ int, id string) (*request, error) {
			return newCall("EnableKeyRotation", fields{"KeyId": id, "RotationPeriodInDays": 99})
		}, nil); err != nil {
			return err
		}
		if err := p.settled(ctx); err != nil {
			return err
		}
		requests, size, err := used()
		if err != nil {
			return err
		}
		t.add(fmt.Sprintf("%d keys changed, until they are known (%.1f s): bytes, requests", k, time.Since(begin).Seconds()), number(size)+", "+number(requests))
	}
	return nil
}

// changeAll changes every key and waits until the other region has all changes.
func (p *pair) changeAll(ctx context.Context, keys []string, t *table) error {
	used, err := p.sent()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := each(ctx, p.here, keys, func(_ int, id string) (*request, error) {
		return newCall("EnableKeyRotation", fields{"KeyId": id, "RotationPeriodInDays": 98})
	}, nil); err != nil {
		return err
	}
	changed := time.Since(begin)
	if err := p.settled(ctx); err != nil {
		return err
	}
	took := time.Since(begin)
	_, size, err := used()
	if err != nil {
		return err
	}
	n := float64(len(keys))
	t.add("all keys changed: changes/s at the primary, 16 connections", number(n/changed.Seconds()))
	t.add("all changes taken over after the last was acknowledged, s", number((took - changed).Seconds()))
	t.add("changes/s, from the first call until all are taken over", number(n/took.Seconds()))
	t.add("bytes for each change", number(size/n))
	return nil
}

// rotateAll rotates every key and waits until all regions encrypt with the new material.
func (p *pair) rotateAll(ctx context.Context, b *bench, keys []string, t *table) error {
	cpu, err := p.here.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := p.profiled(ctx, b, "RotateKeyOnDemand", func() error {
		return each(ctx, p.here, keys, func(_ int, id string) (*request, error) {
			return newCall("RotateKeyOnDemand", fields{"KeyId": id})
		}, nil)
	}); err != nil {
		return err
	}
	if err := p.settled(ctx); err != nil {
		return err
	}
	took := time.Since(begin)
	spent, err := p.here.cpu()
	if err != nil {
		return err
	}
	b.progress("rotated in %v", took.Round(time.Second))
	t.add("all keys rotated, until both regions encrypt with the new material: keys/s, 16 connections", number(float64(len(keys))/took.Seconds()))
	t.add("processor time of both regions for each, ms", number(milliseconds(spent-cpu)/float64(len(keys))))
	return nil
}
