package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestRegionOfThree(t *testing.T) {
	r := newRegion(t)
	t.Run("writes are read everywhere at once", r.readsEverywhere)
	t.Run("revocations", r.revocations)
	t.Run("a killed leader", r.killedLeader)
	t.Run("nobody is starved", r.fairness)
	t.Run("rotation under traffic", r.rotation)
	t.Run("joining while traffic runs", r.joinUnderTraffic)
	t.Run("a wiped node", r.wipedNode)
	t.Run("a removed node", r.removedNode)
	t.Run("tokens", r.tokens)
}

// in runs the steps of a subtest with its own t.
func (r *regionOf) in(t *testing.T) func() {
	before := r.t
	r.t = t
	return func() { r.t = before }
}

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return c
}

func (r *regionOf) readsEverywhere(t *testing.T) {
	defer r.in(t)()
	var clients []*kms.Client
	for _, p := range r.nodes {
		clients = append(clients, r.client(p, 1))
	}
	for i := range 12 {
		writer, reader := clients[i%3], clients[(i+1+i/3%2)%3]
		made, err := writer.CreateKey(ctx(t), &kms.CreateKeyInput{})
		if err != nil {
			t.Fatal(err)
		}
		id := made.KeyMetadata.KeyId
		sealed, err := reader.Encrypt(ctx(t), &kms.EncryptInput{KeyId: id, Plaintext: []byte("x")})
		if err != nil {
			t.Fatalf("a key made elsewhere a moment ago: %v", err)
		}
		if out, err := writer.Decrypt(ctx(t), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob}); err != nil || !bytes.Equal(out.Plaintext, []byte("x")) {
			t.Fatalf("decrypt: %v", err)
		}
		if _, err := writer.DisableKey(ctx(t), &kms.DisableKeyInput{KeyId: id}); err != nil {
			t.Fatal(err)
		}
		var disabled *types.DisabledException
		for _, c := range clients {
			if _, err := c.Decrypt(ctx(t), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob}); !errors.As(err, &disabled) {
				t.Fatalf("after DisableKey was acknowledged: %v", err)
			}
		}
	}
}

// killedLeader kills the leader while clients of the survivors write and read, and measures how long they are without.
func (r *regionOf) killedLeader(t *testing.T) {
	defer r.in(t)()
	made, err := r.client(r.nodes[0], 1).CreateKey(ctx(t), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	for round := range 2 {
		old := r.leader()
		var survivor *process
		for _, p := range r.nodes {
			if p != old {
				survivor = p
			}
		}
		c := r.client(survivor, 1)
		if _, err := c.Encrypt(ctx(t), &kms.EncryptInput{KeyId: id, Plaintext: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		<-time.After(200 * time.Millisecond) // idle, so that the survivors have learned the last commit
		old.kill()
		killed := time.Now()
		if _, err := c.Encrypt(ctx(t), &kms.EncryptInput{KeyId: id, Plaintext: []byte("x")}); err != nil {
			t.Fatalf("a read without a leader: %v", err)
		}
		read := time.Since(killed)
		var written time.Duration
		r.eventually("the survivors write", func() bool {
			_, err := c.UpdateKeyDescription(ctx(t), &kms.UpdateKeyDescriptionInput{KeyId: id, Description: aws.String(fmt.Sprint("round ", round))})
			written = time.Since(killed)
			return err == nil
		})
		t.Logf("leader killed: first read after %v, first write after %v", read.Round(time.Millisecond), written.Round(time.Millisecond))
		old.start()
		old.await()
		out, err := r.client(old, 1).DescribeKey(ctx(t), &kms.DescribeKeyInput{KeyId: id})
		if err != nil || aws.ToString(out.KeyMetadata.Description) != fmt.Sprint("round ", round) {
			t.Fatalf("the old leader came back with %+v, %v", out, err)
		}
	}
	// Latency of a read on a follower, with TLS between the nodes and without on the API.
	lead := r.leader()
	for _, p := range r.nodes {
		if p != lead {
			c := r.client(p, 1)
			const n = 200
			start := time.Now()
			for range n {
				if _, err := c.Encrypt(ctx(t), &kms.EncryptInput{KeyId: id, Plaintext: []byte("x")}); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("Encrypt on a follower: %v", (time.Since(start) / n).Round(time.Microsecond))
			break
		}
	}
}

// fairness has clients of every node put the policy of one key at the same time, without retries of their own. Each is judged
// on a policy that the others replace meanwhile: were it not for the leader, which holds the others back for one that was
// refused twice, most would be told to try again.
func (r *regionOf) fairness(t *testing.T) {
	defer r.in(t)()
	made, err := r.client(r.nodes[0], 1).CreateKey(ctx(t), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	policy, err := r.client(r.nodes[0], 1).GetKeyPolicy(ctx(t), &kms.GetKeyPolicyInput{KeyId: id})
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	const each = 20
	start := time.Now()
	for i := range 6 {
		c := r.client(r.nodes[i%3], 1)
		clients.Go(func() {
			for n := range each {
				if _, err := c.PutKeyPolicy(ctx(t), &kms.PutKeyPolicyInput{KeyId: id, Policy: policy.Policy}); err != nil {
					t.Errorf("client %d, call %d: %v", i, n, err)
				}
			}
		})
	}
	clients.Wait()
	t.Logf("%d changes of one policy by six clients in %v", 6*each, time.Since(start).Round(time.Millisecond))
}

// balancer passes connections on to the nodes in turn, as a TCP load balancer does.
func (r *regionOf) balancer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	var turn atomic.Int64
	targets := append([]*process(nil), r.nodes...)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", targets[int(turn.Add(1))%len(targets)].clusterA)
			if err != nil {
				c.Close()
				continue
			}
			pass := func(a, b net.Conn) {
				defer a.Close()
				buf := make([]byte, 4096)
				for {
					n, err := b.Read(buf)
					if _, werr := a.Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			}
			go pass(c, to)
			go pass(to, c)
		}
	}()
	return ln.Addr().String()
}

func (r *regionOf) joinUnderTraffic(t *testing.T) {
	defer r.in(t)()
	stop := make(chan struct{})
	var calls atomic.Int64
	var traffic sync.WaitGroup
	for _, p := range r.nodes {
		traffic.Go(func() {
			c := r.client(p, 1)
			for {
				select {
				case <-stop:
					return
				default:
				}
				made, err := c.CreateKey(ctx(t), &kms.CreateKeyInput{})
				if err == nil {
					_, err = c.Encrypt(ctx(t), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("x")})
				}
				if err != nil {
					t.Errorf("traffic while a node joins: %v", err)
					return
				}
				calls.Add(2)
			}
		})
	}
	via := &process{clusterA: r.balancer(t), config: r.nodes[1].config}
	p := r.join(via)
	r.awaitVoters(4)
	close(stop)
	traffic.Wait()
	t.Logf("%d calls while a node joined", calls.Load())
	made, err := r.client(p, 1).CreateKey(ctx(t), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client(r.nodes[0], 1).Encrypt(ctx(t), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("x")}); err != nil {
		t.Fatal(err)
	}
}

// wipedNode takes the newest node's log away: it must not come back under its id.
func (r *regionOf) wipedNode(t *testing.T) {
	defer r.in(t)()
	p := r.nodes[3]
	p.kill()
	if err := os.RemoveAll(filepath.Join(p.dir, "data", "raft")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.run("server", "--config", p.config); err == nil || !strings.Contains(err.Error(), "holds no node") {
		t.Errorf("a node without its log started: %v", err)
	}
	_, err := r.run("operator", "join", "--config", p.config, "--token-file", r.token(r.nodes[0], p), "--via", r.nodes[0].clusterA)
	if err == nil || !strings.Contains(err.Error(), "belongs to the region already") {
		t.Errorf("a wiped node joined under its old id: %v", err)
	}
}

func (r *regionOf) removedNode(t *testing.T) {
	defer r.in(t)()
	p := r.nodes[3]
	r.must("operator", "remove", p.id, "--config", r.nodes[2].config)
	r.awaitVoters(3)
	_, err := r.run("operator", "join", "--config", p.config, "--token-file", r.token(r.nodes[0], p), "--via", r.nodes[1].clusterA)
	if err == nil || !strings.Contains(err.Error(), "was removed from the region") {
		t.Errorf("a removed id joined again: %v", err)
	}
	// Emptied, it joins as a new node, and is removed while it runs.
	if err := os.RemoveAll(filepath.Join(p.dir, "data")); err != nil {
		t.Fatal(err)
	}
	r.nodes = r.nodes[:3]
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	again := r.join(r.nodes[0])
	r.awaitVoters(4)
	if again.id == p.id {
		t.Error("the emptied node kept its id")
	}
	r.must("operator", "remove", again.id, "--config", r.nodes[0].config)
	client := r.client(again, 1)
	r.eventually("the removed node serves nothing", func() bool {
		_, err := client.ListKeys(ctx(t), &kms.ListKeysInput{})
		return err != nil
	})
	if _, err := client.CreateKey(ctx(t), &kms.CreateKeyInput{}); err == nil {
		t.Error("a removed node writes")
	}
	r.eventually("the removed node says why", func() bool { return strings.Contains(again.log.String(), "this node was removed from the region") })
	again.kill()
	// Started again it ends, and says what to do.
	again.start()
	r.eventually("the removed node ends", func() bool { return !again.running() })
	if code := again.cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(again.log.String(), "join as a new node") {
		t.Errorf("a removed node ended with code %d", code)
	}
	// Two of three are the least: the next removal but one would leave no majority.
	r.nodes[2].kill()
	if _, err := r.run("operator", "remove", r.nodes[1].id, "--config", r.nodes[0].config); err == nil || !strings.Contains(err.Error(), "majority") {
		t.Errorf("the removal of the last majority: %v", err)
	}
	r.nodes[2].start()
	r.nodes[2].await()
}

func (r *regionOf) tokens(t *testing.T) {
	defer r.in(t)()
	r.nodes = r.nodes[:3]
	p := &process{region: r, dir: t.TempDir()}
	used := r.token(r.nodes[0], p)
	_ = os.RemoveAll(filepath.Join(r.dir, "n4"))
	q := r.configure()
	bad := filepath.Join(p.dir, "bad")
	text, err := os.ReadFile(used)
	if err != nil {
		t.Fatal(err)
	}
	text[20] ^= 1
	if text[20] == '_' || text[20] == '-' {
		text[20] = 'A'
	}
	if err := os.WriteFile(bad, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.run("operator", "join", "--config", q.config, "--token-file", bad, "--via", r.nodes[0].clusterA); err == nil {
		t.Error("joined by the token of another cluster")
	}
	out := r.must("operator", "join", "--config", q.config, "--token-file", used, "--via", r.nodes[0].clusterA)
	if !strings.Contains(string(out), "belongs to region eu-central-1") {
		t.Errorf("join said %q", out)
	}
	if err := os.RemoveAll(filepath.Join(q.dir, "data")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.run("operator", "join", "--config", q.config, "--token-file", used, "--via", r.nodes[0].clusterA); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("a token was used twice: %v", err)
	}
	for _, n := range r.nodes[:3] {
		if strings.Contains(n.log.String(), strings.TrimSpace(string(text))[40:60]) {
			t.Error("a token is in a node's log")
		}
	}
	r.nodes = r.nodes[:3]
}
