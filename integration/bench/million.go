package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// million fills a node's log and state, without HSM and HTTP, and measures what so many keys cost: memory, a snapshot, writes
// while it runs, the next start, and how long a new node takes to catch up.
func (b *bench) million(ctx context.Context) error {
	dir, err := b.fresh("million")
	if err != nil {
		return err
	}
	g, err := newKeyGroup()
	if err != nil {
		return err
	}
	n, err := g.open(dir, "n1", true)
	if err != nil {
		return err
	}
	defer func() { _ = n.close() }()
	start := time.Now()
	if err := fillKeys(ctx, n, b.manyKeys); err != nil {
		return err
	}
	b.progress("%d keys in %v", b.manyKeys, time.Since(start).Round(time.Second))
	t := &table{title: fmt.Sprintf("%d keys in a node's log and state", b.manyKeys), head: []string{"what", "value"}}
	t.note("In one process, without HSM and HTTP; a sole voter on a real disk. Writes meanwhile: one after the other, an entry of the log each.")
	t.note("The new node is another process on the same machine and disk, over TLS; it has no vote and counts from when it was added.")
	t.note("Pages of mapped files are the log's; the kernel takes them back when it needs the room.")
	t.add("keys/s while filling, 64 proposers", number(float64(b.manyKeys)/time.Since(start).Seconds()))
	t.add("heap MiB", number(heapMiB()))
	info, err := n.snapshot(ctx, t)
	if err != nil {
		return err
	}
	if err := n.close(); err != nil {
		return err
	}
	runtime.GC()
	begin := time.Now()
	if n, err = g.open(dir, "n1", false); err != nil {
		return err
	}
	if err := await(ctx, "no read succeeded", func() (bool, error) {
		s, err := n.View(ctx)
		return err == nil && s.Index() >= info.Index, nil
	}); err != nil {
		return err
	}
	t.add("restart to the first read s", number(time.Since(begin).Seconds()))
	size, err := diskUsage(dir)
	if err != nil {
		return err
	}
	t.add("disk MiB, log and snapshot", number(float64(size)/(1<<20)))
	b.progress("snapshot and restart")
	if err := b.catchUp(ctx, n, g, t); err != nil {
		return err
	}
	b.report.print(t)
	return nil
}

// snapshot takes one while the log is written, and reports on both.
func (n *keyNode) snapshot(ctx context.Context, t *table) (info cluster.SnapshotInfo, err error) {
	quiet, err := writesUntil(ctx, n, func() error { time.Sleep(2 * time.Second); return nil })
	if err != nil {
		return info, err
	}
	peak := watchMemory()
	begin := time.Now()
	during, err := writesUntil(ctx, n, func() (err error) { info, err = n.Snapshot(ctx); return err })
	took := time.Since(begin)
	top := peak()
	if err != nil {
		return info, err
	}
	t.add("snapshot s, with the deletion of what the log need not keep", number(took.Seconds()))
	t.add("snapshot MiB", number(float64(info.Bytes)/(1<<20)))
	t.add("memory MiB at the peak of the snapshot: the process's own, mapped files", number(top.anonymous)+", "+number(top.file))
	t.add("writes before: median ms, longest ms", number(quiet.median())+", "+number(longest(quiet)))
	t.add("writes while it runs: median ms, longest ms", number(during.median())+", "+number(longest(during)))
	return info, nil
}

// watchMemory looks at this process's memory until the function that it returns is called, which gives the most of each kind.
func watchMemory() func() memory {
	end, done := make(chan struct{}), make(chan memory)
	go func() {
		var top memory
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if m, err := memoryOf(os.Getpid()); err == nil {
				top = memory{max(top.resident, m.resident), max(top.anonymous, m.anonymous), max(top.file, m.file)}
			}
			select {
			case <-tick.C:
			case <-end:
				done <- top
				return
			}
		}
	}()
	return func() memory { close(end); return <-done }
}

func longest(s samples) float64 {
	var top float64
	for _, v := range s {
		top = max(top, v)
	}
	return top
}

func heapMiB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

const benchAccount = "111122223333"

func proposeBody(ctx context.Context, n *keyNode, body fsm.Body) error {
	cmd := fsm.Command{Attempt: 1, Body: body, Audit: make([]byte, 1500)}
	_, _ = rand.Read(cmd.ID[:]) // never fails
	res, err := n.Propose(ctx, cmd)
	if err == nil && res.Code != fsm.OK {
		err = fmt.Errorf("refused: %s", res.Detail)
	}
	return err
}

// fillKeys makes a region and keys as CreateKey makes them, with the default key policy.
func fillKeys(ctx context.Context, n *keyNode, count int) error {
	quotas := fsm.DefaultQuotas()
	quotas.KeysPerAccount = 1 << 29
	if err := proposeBody(ctx, n, &fsm.InitRegion{
		Region:    fsm.Region{ClusterID: n.Identity().ClusterID, Name: regionName, Partition: "aws", CreatedAt: 1},
		Quotas:    quotas,
		Account:   fsm.Account{ID: benchAccount, CreatedAt: 1},
		AccessKey: fsm.AccessKey{ID: accessKey, Account: benchAccount, Principal: "root", Domain: 1, Secret: []byte("sealed"), Active: true, CreatedAt: 1},
		DomainKey: fsm.DomainKey{Version: 1, ID: "domain-1", CreatedAt: 1, Probe: []byte("probe")},
	}); err != nil {
		return err
	}
	var (
		next    atomic.Int64
		failed  atomic.Pointer[error]
		workers sync.WaitGroup
	)
	for range 64 {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(count) && failed.Load() == nil; i = next.Add(1) {
				if err := proposeBody(ctx, n, benchKey(int(i))); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	workers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func benchKeyID(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i) }

func benchKey(i int) *fsm.CreateKey {
	material := make([]byte, 32)
	binary.BigEndian.PutUint64(material, uint64(i))
	return &fsm.CreateKey{Key: fsm.Key{
		Account: benchAccount, ID: benchKeyID(i), Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS", Manager: "CUSTOMER",
		CreatedAt: 1, Enabled: true, Policy: defaultPolicy,
		Materials: []fsm.Material{{ID: material, Domain: 1, Blob: bytes.Repeat([]byte{byte(i)}, 104), State: fsm.MaterialCurrent, AddedAt: 1}},
	}}
}

const defaultPolicy = `{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow",` +
	`"Principal":{"AWS":"arn:aws:iam::` + benchAccount + `:root"},"Action":"kms:*","Resource":"*"}]}`

// writesUntil writes one entry after the other while f runs and returns how long each took in milliseconds.
func writesUntil(ctx context.Context, n *keyNode, f func() error) (took samples, err error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	for i := 0; ; i++ {
		select {
		case err := <-done:
			return took, err
		default:
		}
		begin := time.Now()
		if err := proposeBody(ctx, n, &fsm.SetDescription{Key: fsm.KeyRef{Account: benchAccount, ID: benchKeyID(1)}, Description: fmt.Sprint(i)}); err != nil {
			return nil, err
		}
		took = append(took, milliseconds(time.Since(begin)))
	}
}
