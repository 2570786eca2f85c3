package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// snapshotWait bounds the wait for Raft's next snapshot: it looks every 2 to 4 minutes.
const snapshotWait = 5 * time.Minute

// memory makes many keys with the default key policy and measures the process that holds them, and how long its restart takes.
func (b *bench) memory(ctx context.Context) error {
	data, err := b.fresh("memory")
	if err != nil {
		return err
	}
	t := &table{
		title: fmt.Sprintf("%d keys with the default key policy", b.keys),
		head:  []string{"state", "resident MiB", "anonymous MiB", "files MiB", "restart s", "disk MiB", "Encrypt CPU µs"},
	}
	t.note("Files: what the process has mapped of the Raft log, clean pages that the kernel takes back when it needs them. " +
		"Restart: from the start of the process to the first answer to a signed Encrypt, a good part of a second for the PIN's PBKDF2. " +
		"Encrypt CPU: server processor time of a request at 8 connections.")
	s, err := b.startTrent(ctx, data, nil)
	if err != nil {
		return err
	}
	defer func() {
		if s != nil { // a restart may have failed
			_ = s.stop()
		}
	}()
	q, err := b.oneKey(ctx, s)
	if err != nil {
		return err
	}
	if err := b.row(ctx, t, s, q, "one key", data, 0); err != nil {
		return err
	}
	if err := b.fill(ctx, s); err != nil {
		return err
	}
	if err := b.row(ctx, t, s, q, "right after making them", data, 0); err != nil {
		return err
	}
	if s, err = b.restart(ctx, t, s, q, data, "restarted, all from the log"); err != nil {
		return err
	}
	if !b.quick {
		b.progress("waiting for a snapshot, at most %v", snapshotWait)
		if err := s.awaitSnapshot(ctx); err != nil {
			return err
		}
		if err := b.row(ctx, t, s, q, "after a snapshot", data, 0); err != nil {
			return err
		}
		if s, err = b.restart(ctx, t, s, q, data, "restarted, snapshot and the log's tail"); err != nil {
			return err
		}
	}
	b.report.print(t)
	return nil
}

// oneKey makes the first key and returns a request that uses it.
func (b *bench) oneKey(ctx context.Context, s *server) (*request, error) {
	id, err := s.createKey(ctx, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	if err != nil {
		return nil, err
	}
	return newCall("Encrypt", fields{"KeyId": id, "Plaintext": make([]byte, 32)})
}

// fill makes the other keys.
func (b *bench) fill(ctx context.Context, s *server) error {
	const conns = 64
	l, err := newLoad(ctx, s.endpoint, conns)
	if err != nil {
		return err
	}
	defer l.close()
	q, err := newCall("CreateKey", fields{})
	if err != nil {
		return err
	}
	r, err := l.run(ctx, q, time.Hour, b.keys-1)
	if err != nil {
		return err
	}
	b.progress("%d keys in %v", r.requests+1, r.took.Round(time.Millisecond))
	return nil
}

// restart stops the server, starts it again and waits for the first answer.
func (b *bench) restart(ctx context.Context, t *table, s *server, q *request, data, state string) (*server, error) {
	if err := s.stop(); err != nil {
		return s, err
	}
	start := time.Now()
	s, err := b.startTrent(ctx, data, nil)
	if err != nil {
		return s, err
	}
	if _, err := call(ctx, s.endpoint, q); err != nil {
		return s, err
	}
	return s, b.row(ctx, t, s, q, state, data, time.Since(start))
}

// usedFor is how long a server is used before its memory is read.
const usedFor = 3 * time.Second

// row adds a line about a server, after a few seconds of requests.
func (b *bench) row(ctx context.Context, t *table, s *server, q *request, state, data string, took time.Duration) error {
	l, err := newLoad(ctx, s.endpoint, 8)
	if err != nil {
		return err
	}
	defer l.close()
	used, err := s.meter()
	if err != nil {
		return err
	}
	r, err := l.run(ctx, q, usedFor, 0)
	if err != nil {
		return err
	}
	u, err := used()
	if err != nil {
		return err
	}
	m, err := s.memory()
	if err != nil {
		return err
	}
	disk, err := diskUsage(data)
	if err != nil {
		return err
	}
	restart := "–"
	if took > 0 {
		restart = fmt.Sprintf("%.2f", took.Seconds())
	}
	t.add(state, number(m.resident), number(m.anonymous), number(m.file), restart, number(float64(disk)/(1<<20)),
		number(microseconds(u.cpu)/float64(r.requests)))
	b.progress("%s: %.0f MiB resident, restart %s s", state, m.resident, restart)
	return nil
}

// awaitSnapshot waits until Raft has taken a snapshot.
func (s *server) awaitSnapshot(ctx context.Context) error {
	limit := time.NewTimer(snapshotWait)
	defer limit.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		m, err := s.metrics()
		if err != nil {
			return err
		}
		if m["trent_raft_snapshot_index"] > 0 {
			return nil
		}
		select {
		case <-look.C:
		case <-limit.C:
			return fmt.Errorf("there was no snapshot within %v", snapshotWait)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// diskUsage is the size of all files in a directory in bytes.
func diskUsage(dir string) (n int64, err error) {
	err = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return err
	})
	return n, err
}
