package api_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/api"
)

// gateAudit is an audit log that lets a call wait, or fails.
type gateAudit struct {
	mu     sync.Mutex
	err    error
	wait   chan struct{} // nil: not
	inside chan struct{}
}

func (g *gateAudit) Append(ctx context.Context, _ ...[]byte) error {
	g.mu.Lock()
	wait, err := g.wait, g.err
	g.mu.Unlock()
	if wait != nil {
		g.inside <- struct{}{}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// TestTooManyRequests: above the bound a request is refused at once with an error that clients retry, and is not performed.
func TestTooManyRequests(t *testing.T) {
	l := newGrantLab(t)
	const bound = 3
	var log lines
	gate := &gateAudit{wait: make(chan struct{}), inside: make(chan struct{}, bound)}
	l.url = serve(t, l, api.Config{Service: l.service, Audit: gate, MaxInFlight: bound, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l.clients = make(map[string]*kms.Client)
	c := l.as(owner)
	var wait sync.WaitGroup
	for range bound {
		wait.Go(func() {
			if _, err := c.ListKeys(t.Context(), &kms.ListKeysInput{}); err != nil {
				t.Errorf("a call in flight: %v", err)
			}
		})
	}
	for range bound {
		<-gate.inside
	}
	const busy = "ServiceUnavailable"
	start := time.Now()
	const refused = 50
	for range refused {
		if _, err := c.ListKeys(t.Context(), &kms.ListKeysInput{}); err == nil || !strings.Contains(err.Error(), busy) {
			t.Errorf("one call too many: %v", err)
		}
	}
	// Nobody knows who they were: they must not fill the log.
	if n, most := log.count(), 1+int(time.Since(start)/time.Second); n == 0 || n > most {
		t.Errorf("%d calls were refused in %v with %d lines in the log, at most %d", refused, time.Since(start), n, most)
	}
	gate.mu.Lock()
	close(gate.wait)
	gate.wait = nil
	gate.mu.Unlock()
	wait.Wait()
	if _, err := c.ListKeys(t.Context(), &kms.ListKeysInput{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestNoAnswerWithoutRecord: if the record of a call cannot be written, the caller gets nothing of its result.
func TestNoAnswerWithoutRecord(t *testing.T) {
	l := newGrantLab(t)
	gate := &gateAudit{err: errors.New("the disk is full")}
	l.url = serve(t, l, api.Config{Service: l.service, Audit: gate})
	l.clients = make(map[string]*kms.Client)
	c := l.as(owner)
	n := int32(32)
	out, err := c.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: &n})
	if err == nil || !strings.Contains(err.Error(), "ServiceUnavailable") || out != nil {
		t.Errorf("%+v, %v", out, err)
	}
	if strings.Contains(err.Error(), "disk") {
		t.Errorf("the client is told the cause: %v", err)
	}
	gate.mu.Lock()
	gate.err = nil
	gate.mu.Unlock()
	if _, err := c.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: &n}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// lines counts the lines of a log.
type lines struct {
	mu sync.Mutex
	n  int
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return len(p), nil
}

func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// serve starts another server over a lab's region.
func serve(t *testing.T, l *grantLab, cfg api.Config) string {
	t.Helper()
	server := httptest.NewServer(api.NewServer(cfg).Handler())
	t.Cleanup(server.Close)
	return server.URL
}
