package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"

	"github.com/trentkms/trent/integration/trenttest"
)

// TestBehindHAProxy: a region behind the documented load balancer loses no call of an AWS SDK client with its standard retries
// while its nodes are restarted and upgraded one after the other, and while the leader is killed.
func TestBehindHAProxy(t *testing.T) {
	b := newBalanced(t)
	newer := filepath.Join(b.dir, "trent-upcoming")
	if err := trenttest.BuildTo(newer, "trent_upcoming"); err != nil {
		t.Fatal(err)
	}
	l := b.startLoad(t, 4)
	t.Run("rolling upgrade", func(t *testing.T) {
		defer b.in(t)()
		defer l.quiet(t)()
		b.upgrade(t, newer)
	})
	t.Run("leader killed", func(t *testing.T) {
		defer b.in(t)()
		defer l.quiet(t)()
		for range 2 {
			p := b.leader()
			p.kill()
			l.await(20)
			p.start()
			b.awaitReady(p)
		}
	})
	t.Run("rolling restart", func(t *testing.T) {
		defer b.in(t)()
		defer l.quiet(t)()
		leader := b.leader()
		b.restart(t, leader) // the one that has most to hand over
		for _, p := range b.nodes {
			if p != leader && !testing.Short() {
				b.restart(t, p)
			}
		}
	})
	l.stop()
	t.Logf("%d calls, %d of them took more than one attempt", l.calls.Load(), l.retried.Load())
	l.reread(t)
}

// upgrade replaces the binary of node after node by one that knows a further kind of command, uses it whenever it leads, and
// announces a feature level above the others'.
func (b *balanced) upgrade(t *testing.T, binary string) {
	const refused, committed = "upcoming: refused, there are older nodes", "upcoming: committed"
	used := func(what string) bool {
		for _, p := range b.nodes {
			if strings.Contains(p.log.String(), what) {
				return true
			}
		}
		return false
	}
	first := b.leader()
	for _, p := range append([]*process{first}, b.others(first)...) {
		p.binary = binary
		b.restart(t, p)
		if p == first { // a newer leader among older nodes
			b.lead(p)
			b.eventually("the newer leader has tried", func() bool { return used(refused) })
			if used(committed) {
				t.Error("the new command was used while there were older nodes")
			}
		}
	}
	b.lead(first) // whoever leads is new now
	b.eventually("the new command is used", func() bool { return used(committed) })
}

func (b *balanced) others(than *process) (all []*process) {
	for _, p := range b.nodes {
		if p != than {
			all = append(all, p)
		}
	}
	return all
}

// lead moves leadership to a node.
func (b *balanced) lead(to *process) {
	b.t.Helper()
	b.eventually(to.name+" leads", func() bool {
		p := b.leader()
		if p != to {
			_, _ = b.run("operator", "step-down", "--config", p.config)
		}
		return p == to
	})
}

// load are clients that never stop calling.
type load struct {
	end            context.CancelFunc
	clients        sync.WaitGroup
	calls, retried atomic.Int64
	mu             sync.Mutex
	failed         []string
	workers        []*worker
}

// worker is one client with a key of its own, of which it knows everything.
type worker struct {
	*load
	kms         *kms.Client
	key         string
	description string
	sealed      [][]byte
}

func (b *balanced) startLoad(t testing.TB, workers int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{end: cancel}
	t.Cleanup(l.stop)
	options := kms.Options{ // the retryer is the SDK's standard one
		Region: "eu-central-1", BaseEndpoint: aws.String(b.front), HTTPClient: &http.Client{Transport: b.transport()},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: b.key, SecretAccessKey: b.secret}, nil
		}),
	}
	for i := range workers {
		w := &worker{load: l, kms: kms.New(options)}
		l.workers = append(l.workers, w)
		l.clients.Go(func() { w.run(ctx, i) })
	}
	l.await(20)
	return l
}

func (l *load) stop() {
	l.end()
	l.clients.Wait()
}

// await waits until so many further calls have succeeded.
func (l *load) await(n int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit, target := time.Now().Add(time.Minute), l.calls.Load()+n; l.calls.Load() < target && time.Now().Before(limit); {
		<-tick.C
	}
}

// quiet returns a function that holds that no call has failed so far.
func (l *load) quiet(t *testing.T) func() {
	before := l.calls.Load()
	return func() {
		l.await(20)
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, f := range l.failed {
			t.Error(f)
		}
		l.failed = nil
		if l.calls.Load()-before < 50 {
			t.Errorf("%d calls: too little load to prove anything", l.calls.Load()-before)
		}
	}
}

// done counts a call, and notes it if it failed after all retries.
func (w *worker) done(ctx context.Context, what string, meta middleware.Metadata, err error) bool {
	if err != nil {
		if ctx.Err() == nil {
			w.mu.Lock()
			w.failed = append(w.failed, fmt.Sprintf("%s: %v", what, err))
			w.mu.Unlock()
		}
		return false
	}
	w.calls.Add(1)
	if tries, ok := retry.GetAttemptResults(meta); ok && len(tries.Results) > 1 {
		w.retried.Add(1)
	}
	return true
}

// run calls until the context ends.
func (w *worker) run(ctx context.Context, id int) {
	for w.key == "" {
		out, err := w.kms.CreateKey(ctx, &kms.CreateKeyInput{})
		if err == nil {
			w.done(ctx, "CreateKey", out.ResultMetadata, nil)
			w.key = *out.KeyMetadata.KeyId
		} else if !w.done(ctx, "CreateKey", middleware.Metadata{}, err) && ctx.Err() != nil {
			return
		}
	}
	for n := 0; ctx.Err() == nil; n++ {
		w.crypto(ctx, fmt.Sprintf("%d-%d", id, n))
		w.change(ctx, fmt.Sprintf("%d-%d", id, n))
		select {
		case <-time.After(10 * time.Millisecond): // leave the processors to the nodes
		case <-ctx.Done():
		}
	}
}

func (w *worker) crypto(ctx context.Context, text string) {
	out, err := w.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: &w.key, Plaintext: []byte(text)})
	if err != nil {
		w.done(ctx, "Encrypt", middleware.Metadata{}, err)
		return
	}
	w.done(ctx, "Encrypt", out.ResultMetadata, nil)
	w.sealed = append(w.sealed, out.CiphertextBlob)
	back, err := w.kms.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})
	if err == nil && !bytes.Equal(back.Plaintext, []byte(text)) {
		err = fmt.Errorf("opened to %q, want %q", back.Plaintext, text)
	}
	if err != nil {
		w.done(ctx, "Decrypt", middleware.Metadata{}, err)
		return
	}
	w.done(ctx, "Decrypt", back.ResultMetadata, nil)
}

// change writes and reads what was written: no other client touches the key.
func (w *worker) change(ctx context.Context, text string) {
	out, err := w.kms.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &w.key, Description: &text})
	if err != nil {
		w.description = ""
		w.done(ctx, "UpdateKeyDescription", middleware.Metadata{}, err)
		return
	}
	w.done(ctx, "UpdateKeyDescription", out.ResultMetadata, nil)
	w.description = text
	got, err := w.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &w.key})
	if err == nil && aws.ToString(got.KeyMetadata.Description) != text {
		err = fmt.Errorf("the key is described as %q, %q was acknowledged", aws.ToString(got.KeyMetadata.Description), text)
	}
	if err != nil {
		w.done(ctx, "DescribeKey", middleware.Metadata{}, err)
		return
	}
	w.done(ctx, "DescribeKey", got.ResultMetadata, nil)
}

// reread holds that everything that was acknowledged is still there.
func (l *load) reread(t *testing.T) {
	for _, w := range l.workers {
		got, err := w.kms.DescribeKey(ctx(t), &kms.DescribeKeyInput{KeyId: &w.key})
		if err != nil || w.description != "" && aws.ToString(got.KeyMetadata.Description) != w.description {
			t.Errorf("key %s: %+v, %v; %q was acknowledged", w.key, got, err, w.description)
		}
		for i := 0; i < len(w.sealed); i += 1 + len(w.sealed)/20 {
			if _, err := w.kms.Decrypt(ctx(t), &kms.DecryptInput{CiphertextBlob: w.sealed[i]}); err != nil {
				t.Errorf("an acknowledged ciphertext: %v", err)
			}
		}
	}
}
