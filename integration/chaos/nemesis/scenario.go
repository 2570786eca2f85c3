//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/lab"
)

// The two decisive scenarios. In both a leader is put out of action without noticing, another is elected, a key is disabled there,
// and requests to use the key reach the old leader: whatever is sent after the change was acknowledged must fail.

// Round is the result of one round of a scenario.
type Round struct {
	// Sent is how many uses were sent to the old leader after the acknowledgement; Forbidden how many of them succeeded: 0, or
	// the promise is broken. Refused had an answer that the key is disabled, the rest got none in time.
	Sent, Forbidden, Refused int
	// Election is how long the region had no leader that acknowledged the change.
	Election time.Duration
}

// Scenario runs rounds on one region.
type Scenario struct {
	Region *lab.Region
	Rng    *rand.Rand
	// Uses are sent to the old leader in each round, 200 if 0.
	Uses int
	// Nonvoters are members without a vote, on the old leader's side.
	Nonvoters []*lab.Node
	Log       func(string, ...any)

	key        string
	ciphertext []byte
}

func (s *Scenario) client(n *lab.Node, timeout time.Duration) *kms.Client {
	return kms.New(kms.Options{
		Region: s.Region.Name, BaseEndpoint: aws.String(n.URL), Retryer: aws.NopRetryer{},
		HTTPClient: &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.Region.AccessKeyID, SecretAccessKey: s.Region.Secret}, nil
		}),
	})
}

// prepare makes an enabled key and a ciphertext under it that every node has decrypted once, so that its material is loaded.
func (s *Scenario) prepare(ctx context.Context) error {
	n := s.Region.Members()[0]
	c := s.client(n, 10*time.Second)
	if s.key == "" {
		made, err := c.CreateKey(ctx, &kms.CreateKeyInput{})
		if err != nil {
			return err
		}
		s.key = *made.KeyMetadata.KeyId
		out, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: &s.key, Plaintext: []byte("attack at dawn")})
		if err != nil {
			return err
		}
		s.ciphertext = out.CiphertextBlob
	}
	if _, err := c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &s.key}); err != nil {
		return err
	}
	for _, n := range s.Region.Members() {
		if _, err := s.client(n, 10*time.Second).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: s.ciphertext}); err != nil {
			return fmt.Errorf("decrypt on %s: %w", n.Name, err)
		}
	}
	return nil
}

// writers keep changes going through the given nodes until stop is called.
func (s *Scenario) writers(ctx context.Context, nodes []*lab.Node) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i, n := range nodes {
		c := s.client(n, 3*time.Second)
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				text := fmt.Sprintf("%d-%d", i, k)
				if _, err := c.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &s.key, Description: &text}); err != nil {
					pause(ctx, 10*time.Millisecond)
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// disable disables the key at any of the nodes, trying until it is acknowledged.
func (s *Scenario) disable(ctx context.Context, nodes []*lab.Node) (time.Duration, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := errors.New("no node was asked")
	for i := 0; ctx.Err() == nil; i++ {
		if _, err = s.client(nodes[i%len(nodes)], 3*time.Second).DisableKey(ctx, &kms.DisableKeyInput{KeyId: &s.key}); err == nil {
			return time.Since(start), nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return 0, fmt.Errorf("the change was not acknowledged: %w", err)
}

// use sends uses of the key to a node, at once; they may wait there for longer than the rest of the round takes. judge waits for
// the answers.
func (s *Scenario) use(ctx context.Context, n *lab.Node) (judge func(*Round)) {
	count := s.Uses
	if count == 0 {
		count = 200
	}
	c := s.client(n, 25*time.Second)
	var wg sync.WaitGroup
	var forbidden, refused atomic.Int64
	for range count {
		wg.Go(func() {
			_, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: s.ciphertext})
			var disabled *types.DisabledException
			switch {
			case err == nil:
				forbidden.Add(1)
			case errors.As(err, &disabled):
				refused.Add(1)
			}
		})
	}
	return func(r *Round) {
		wg.Wait()
		r.Sent, r.Forbidden, r.Refused = count, int(forbidden.Load()), int(refused.Load())
	}
}

// without is the region's voters but one.
func (s *Scenario) without(n *lab.Node) []*lab.Node {
	var rest []*lab.Node
	for _, m := range s.Region.Members() {
		if m != n && !slices.Contains(s.Nonvoters, m) {
			rest = append(rest, m)
		}
	}
	return rest
}

// begin prepares a round and finds its leader.
func (s *Scenario) begin(ctx context.Context) (*lab.Node, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare the round: %w", err)
	}
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return s.Region.AwaitLeader(limit)
}

// Paused is a round of F-P1: the leader is stopped under writes, for at least hold, and goes on after the others have elected
// another and disabled the key.
func (s *Scenario) Paused(ctx context.Context, hold time.Duration) (r Round, err error) {
	old, err := s.begin(ctx)
	if err != nil {
		return r, err
	}
	rest := s.without(old)
	stop := s.writers(ctx, s.Region.Members())
	pause(ctx, time.Duration(100+s.Rng.Intn(200))*time.Millisecond)
	start := time.Now()
	err = old.Pause()
	stop()
	defer func() { err = errors.Join(err, s.settle(ctx)) }()
	if err != nil {
		return r, err
	}
	if r.Election, err = s.disable(ctx, rest); err != nil {
		return r, err
	}
	judge := s.use(ctx, old)
	pause(ctx, hold-time.Since(start))
	if err := old.Resume(); err != nil {
		return r, err
	}
	judge(&r)
	return r, nil
}

// Deposed is a round of F-P2: the leader's disk stalls and it is cut off while answers to its heartbeats are on their way; others
// elect and disable the key; requests reach the old leader; then the stall ends, and up to 20 ms later the answers arrive.
func (s *Scenario) Deposed(ctx context.Context) (r Round, err error) {
	old, err := s.begin(ctx)
	if err != nil {
		return r, err
	}
	rest := s.without(old)
	defer func() { err = errors.Join(err, s.settle(ctx)) }()
	st, err := old.State(ctx, false)
	if err == nil {
		err = old.Arm(ctx, lab.Failpoint{Point: "store.before", Do: "hold"})
	}
	if err != nil {
		return r, err
	}
	// A write occupies the stalled disk, and with it the leader's main loop.
	var stuck sync.WaitGroup
	write, cancel := context.WithCancel(ctx)
	defer stuck.Wait()
	defer cancel()
	stuck.Go(func() {
		text := "stuck"
		_, _ = s.client(old, 25*time.Second).UpdateKeyDescription(write, &kms.UpdateKeyDescriptionInput{KeyId: &s.key, Description: &text})
	})
	if err := s.await(ctx, old, "store.before hold", st.Hits["store.before hold"]); err != nil {
		return r, err
	}
	// Answers are held from here on, then nothing reaches the others any more: what is held are answers to what was sent before.
	// Each follower's are held apart: what arrives first tells the old leader that it is still in touch, what arrives after it has
	// gone on looks like a confirmation.
	var release []func()
	var held []func() int64
	for _, n := range rest {
		let, count, err := old.Hold(n)
		if err != nil {
			return r, err
		}
		release, held = append(release, let), append(held, count)
	}
	pause(ctx, time.Duration(s.Rng.Intn(60))*time.Millisecond)
	for _, n := range rest {
		if err := n.Cut(old); err != nil {
			return r, err
		}
	}
	if r.Election, err = s.disable(ctx, rest); err != nil {
		return r, err
	}
	judge := s.use(ctx, old)
	pause(ctx, 50*time.Millisecond) // for the requests to be under way there
	for i, count := range held {
		if count() == 0 {
			return r, fmt.Errorf("no answer of %s was held: the round proves nothing", rest[i].Name)
		}
	}
	early := s.Rng.Intn(len(release) + 1) // so many arrive before the stall ends
	for _, let := range release[:early] {
		let()
	}
	pause(ctx, time.Duration(s.Rng.Intn(5))*time.Millisecond)
	if err := old.Disarm(ctx, "store.before"); err != nil {
		return r, err
	}
	pause(ctx, time.Duration(s.Rng.Intn(20))*time.Millisecond)
	for _, let := range release[early:] {
		let()
	}
	judge(&r)
	return r, nil
}

// Outvoted is a round of F-P2 with nodes without a vote: the leader is parted from the other voters, with as many nodes without a
// vote on its side as there are voters on the other. Those elect and disable the key; requests reach the leader and all on its
// side, where more nodes than a majority of the voters can be asked, and no majority of the voters.
func (s *Scenario) Outvoted(ctx context.Context) (r Round, err error) {
	old, err := s.begin(ctx)
	if err != nil {
		return r, err
	}
	rest := s.without(old)
	side := append([]*lab.Node{old}, s.Nonvoters...)
	defer func() { err = errors.Join(err, s.settle(ctx)) }()
	stop := s.writers(ctx, s.Region.Members())
	pause(ctx, time.Duration(50+s.Rng.Intn(100))*time.Millisecond)
	stop()
	pause(ctx, 50*time.Millisecond) // an entry that is under way would have every reader wait for its commit
	if err := errors.Join(cutFrom(rest, side...), cutFrom(side, rest...)); err != nil {
		return r, err
	}
	if r.Election, err = s.disable(ctx, rest); err != nil {
		return r, err
	}
	var judges []func(*Round)
	for _, n := range side {
		judges = append(judges, s.use(ctx, n))
	}
	pause(ctx, 300*time.Millisecond) // for the requests to be under way there
	for _, n := range s.Region.Members() {
		if err := n.HealLinks(); err != nil {
			return r, err
		}
	}
	for _, judge := range judges {
		var one Round
		judge(&one)
		r.Sent, r.Forbidden, r.Refused = r.Sent+one.Sent, r.Forbidden+one.Forbidden, r.Refused+one.Refused
	}
	return r, nil
}

// await waits until a failpoint was met more often than before.
func (s *Scenario) await(ctx context.Context, n *lab.Node, hit string, before int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	st, err := n.State(ctx, false)
	for err == nil && st.Hits[hit] <= before {
		pause(ctx, 2*time.Millisecond)
		st, err = n.State(ctx, false)
	}
	return err
}

// settle makes the region whole again.
func (s *Scenario) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 60*time.Second)
	defer cancel()
	var errs []error
	for _, n := range s.Region.Members() {
		errs = append(errs, n.HealLinks(), n.Heal())
	}
	for _, n := range s.Region.Members() {
		errs = append(errs, n.Await(ctx))
	}
	return errors.Join(errs...)
}
