package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"
)

func containsText(answer []byte, text string) bool {
	return bytes.Contains(answer, []byte(`"`+text+`"`))
}

// failover kills and hangs the leader of three again and again.
func (b *bench) failover(ctx context.Context) error {
	g, err := b.startGroup(ctx, 3)
	if err != nil {
		return err
	}
	defer g.close()
	t := &table{
		title: fmt.Sprintf("The leader of three nodes goes; election_timeout %v", b.election),
		head:  []string{"fault", "first write, ms", "longest gap in crypto on a survivor, ms"},
	}
	t.note("%d runs each; median (range). Nothing is written for half a second before the fault; a survivor is then asked to write again and again. "+
		"Both survivors encrypt all the time, one request after the other, until the first write.", b.runs)
	for _, f := range []struct {
		name   string
		signal syscall.Signal
	}{{"SIGKILL", syscall.SIGKILL}, {"SIGSTOP", syscall.SIGSTOP}} {
		var write, gap samples
		for range b.runs {
			w, c, err := g.lose(ctx, f.signal)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			write, gap = append(write, milliseconds(w)), append(gap, milliseconds(c))
			b.progress("%s: first write after %v, longest gap in crypto %v", f.name, w.Round(time.Millisecond), c.Round(time.Millisecond))
		}
		t.add(f.name, write.text(0), gap.text(0))
	}
	b.report.print(t)
	return nil
}

// lose takes the leader away, measures, and brings it back.
func (g *group) lose(ctx context.Context, s syscall.Signal) (write, gap time.Duration, err error) {
	leader, others, err := g.leader(ctx)
	if err != nil {
		return 0, 0, err
	}
	id, err := leader.createKey(ctx, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	if err != nil {
		return 0, 0, err
	}
	encrypt, err := newCall("Encrypt", fields{"KeyId": id, "Plaintext": make([]byte, 32)})
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(500 * time.Millisecond)
	until, stop := context.WithCancel(ctx)
	defer stop()
	var (
		clients sync.WaitGroup
		gaps    = make([]time.Duration, len(others))
		started = make(chan struct{}, len(others))
	)
	for i, m := range others {
		clients.Go(func() { gaps[i] = m.encryptUntil(until, encrypt, started) })
	}
	for range others {
		<-started
	}
	if err := leader.cmd.Process.Signal(s); err != nil {
		return 0, 0, err
	}
	lost := time.Now()
	err = await(ctx, "no write succeeded", func() (bool, error) {
		change, err := newCall("UpdateKeyDescription", fields{"KeyId": id, "Description": fmt.Sprint(lost)})
		if err != nil {
			return false, err
		}
		_, failed := call(ctx, others[0].endpoint, change)
		return failed == nil, nil
	})
	write = time.Since(lost)
	stop()
	clients.Wait()
	for _, d := range gaps {
		gap = max(gap, d)
	}
	if err != nil {
		return 0, 0, err
	}
	if s == syscall.SIGSTOP {
		if err := leader.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			return 0, 0, err
		}
		return write, gap, leader.awaitReady(ctx)
	}
	<-leader.ended
	return write, gap, leader.start(ctx)
}

// encryptUntil encrypts one request after the other and returns the longest time between two answers.
func (m *member) encryptUntil(ctx context.Context, q *request, started chan<- struct{}) (longest time.Duration) {
	var c *conn
	last, first := time.Now(), true
	for ctx.Err() == nil {
		var err error
		if c == nil {
			c, err = dial(context.WithoutCancel(ctx), m.endpoint)
		}
		if err == nil {
			_, err = c.do(q)
		}
		now := time.Now()
		switch {
		case err != nil && c != nil:
			c.close()
			c = nil
		case err == nil && first:
			first = false
			started <- struct{}{}
			last = now
		case err == nil:
			longest = max(longest, now.Sub(last))
			last = now
		}
	}
	if c != nil {
		c.close()
	}
	return max(longest, time.Since(last))
}
