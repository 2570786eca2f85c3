package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/shape"
)

// The accounts of the grant tests: the first owns the keys.
const (
	owner    = "111122223333"
	partner  = "444455556666"
	stranger = "777788889999"
	aGrant   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func rootOf(account string) string { return "arn:aws:iam::" + account + ":root" }

// grantLab is a node in this process: a Raft group of one on a disk, an HSM in memory, the API over HTTP, and three accounts
// whose root users have clients.
type grantLab struct {
	t       testing.TB
	node    *cluster.Node
	service *region.Service
	server  *api.Server
	url     string
	clients map[string]*kms.Client

	ahead atomic.Int64 // nanoseconds that the node's clock is ahead of the real one

	mu      sync.Mutex
	records [][]byte
	// before, if set, is called once before the next proposal.
	before func()
}

func newGrantLab(t testing.TB) *grantLab {
	t.Helper()
	l := &grantLab{t: t, clients: make(map[string]*kms.Client)}
	module, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = module.Close() })
	fatal := func(err error) { t.Errorf("the node must stop: %v", err) }
	machine, err := fsm.New(fsm.Options{Sink: l.sink, Fatal: fatal, OnEvent: func(ev fsm.Event) {
		if l.service != nil {
			l.service.Forget(ev)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	const soon = 20 * time.Millisecond
	l.node, err = cluster.Open(cluster.Config{
		Dir: t.TempDir(), FSM: machine, Fatal: fatal, Bootstrap: true, Ballast: -1, MinFree: -1,
		Clock:            func() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())) },
		HeartbeatTimeout: soon, ElectionTimeout: soon, LeaseTimeout: soon,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.node.Close() })
	l.service = region.New(region.Config{
		Partition: "aws", Region: "us-east-1", Cluster: l, HSM: module, BuiltIn: api.BuiltInPolicies("aws"),
		Record: func(ev region.InternalEvent) []byte { return api.InternalRecord("us-east-1", ev) },
	})
	l.initialize()
	l.server = api.NewServer(api.Config{Service: l.service, Audit: l})
	server := httptest.NewServer(l.server.Handler())
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

func (l *grantLab) initialize() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	for _, err := l.node.View(ctx); err != nil; _, err = l.node.View(ctx) {
		if ctx.Err() != nil {
			l.t.Fatal(err)
		}
	}
	err := l.service.Initialize(ctx, region.InitConfig{
		ClusterID: "0123456789abcdef0123456789abcdef", Account: owner, AccessKeyID: "AKIA" + owner, Secret: secretOf(owner),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, account := range []string{partner, stranger} {
		l.propose(&fsm.PutAccount{Account: fsm.Account{ID: account}})
		if err := l.service.PutRootAccessKey(ctx, account, "AKIA"+account, secretOf(account)); err != nil {
			l.t.Fatal(err)
		}
	}
}

func secretOf(account string) shape.Secret {
	return shape.NewSecret([]byte("secret of account " + account))
}

// propose commits a change past the API.
func (l *grantLab) propose(bodies ...fsm.Body) {
	l.t.Helper()
	for _, body := range bodies {
		if res, err := l.node.Propose(l.t.Context(), fsm.Command{Attempt: 1, Time: time.Now().UnixMilli(), Body: body}); err != nil || res.Code != fsm.OK {
			l.t.Fatalf("%T: %+v, %v", body, res, err)
		}
	}
}

// proposeAll is propose for many changes at once.
func (l *grantLab) proposeAll(bodies []fsm.Body) {
	l.t.Helper()
	var wait sync.WaitGroup
	for part := range slices.Chunk(bodies, len(bodies)/64+1) {
		wait.Go(func() {
			for _, body := range part {
				cmd := fsm.Command{Attempt: 1, Time: time.Now().UnixMilli(), Body: body}
				if res, err := l.node.Propose(l.t.Context(), cmd); err != nil || res.Code != fsm.OK {
					l.t.Errorf("%T: %+v, %v", body, res, err)
				}
			}
		})
	}
	wait.Wait()
}

// View and the following methods make the lab the service's cluster, which is the node but for what a test puts in between.
func (l *grantLab) View(ctx context.Context) (*fsm.State, error) { return l.node.View(ctx) }
func (l *grantLab) State() *fsm.State                            { return l.node.State() }
func (l *grantLab) Now() time.Time                               { return l.node.Now() }
func (l *grantLab) Wait(ctx context.Context, index uint64) (*fsm.State, error) {
	return l.node.Wait(ctx, index)
}
func (l *grantLab) Hold(ctx context.Context, keys ...string) (cluster.Gate, func(), error) {
	return l.node.Hold(ctx, keys...)
}

func (l *grantLab) Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	return l.ProposeOn(ctx, cluster.Gate{}, cmd)
}

func (l *grantLab) ProposeOn(ctx context.Context, gate cluster.Gate, cmd fsm.Command) (fsm.Result, error) {
	l.mu.Lock()
	before := l.before
	l.before = nil
	l.mu.Unlock()
	if before != nil {
		before()
	}
	return l.node.ProposeOn(ctx, gate, cmd)
}

// Append and sink collect audit records.
func (l *grantLab) Append(_ context.Context, records ...[]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.records = append(l.records, bytes.Clone(r))
	}
	return nil
}

func (l *grantLab) sink(_ uint64, record []byte) error {
	return l.Append(context.Background(), bytes.Split(record, []byte{'\n'})...)
}

// recorded returns the records of an operation since the last call.
func (l *grantLab) recorded(operation string) []map[string]any {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for _, raw := range l.records {
		var r map[string]any
		if err := json.Unmarshal(raw, &r); err != nil {
			l.t.Fatalf("%v in %s", err, raw)
		}
		if r["eventName"] == operation {
			out = append(out, r)
		}
	}
	l.records = nil
	return out
}

// as is the client of an account's root user. It does not retry.
func (l *grantLab) as(account string) *kms.Client {
	if c := l.clients[account]; c != nil {
		return c
	}
	c := kms.New(kms.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(l.url), Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIA" + account, SecretAccessKey: string(secretOf(account).Bytes())}, nil
		}),
	})
	l.clients[account] = c
	return c
}

// key makes a key of the owner and returns its ARN.
func (l *grantLab) key(change ...func(*kms.CreateKeyInput)) *string {
	l.t.Helper()
	in := &kms.CreateKeyInput{}
	for _, f := range change {
		f(in)
	}
	return must(l.as(owner).CreateKey(l.t.Context(), in))(l.t).KeyMetadata.Arn
}

// grant makes a grant on a key of the owner's, for the partner's root user unless changed.
func (l *grantLab) grant(key *string, change func(*kms.CreateGrantInput), ops ...types.GrantOperation) *kms.CreateGrantOutput {
	l.t.Helper()
	in := &kms.CreateGrantInput{KeyId: key, GranteePrincipal: aws.String(rootOf(partner)), Operations: ops}
	if change != nil {
		change(in)
	}
	return must(l.as(owner).CreateGrant(l.t.Context(), in))(l.t)
}

// must returns the result of a call that has to succeed.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// failure renders an error as "Name: message".
func failure(err error) string {
	var e smithy.APIError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &e):
		return err.Error()
	case e.ErrorMessage() == "":
		return e.ErrorCode()
	}
	return e.ErrorCode() + ": " + e.ErrorMessage()
}

// wantFailure holds an error to a text; one that ends in "…" is a beginning.
func wantFailure(t testing.TB, what string, err error, want string) {
	t.Helper()
	got := failure(err)
	if head, ok := strings.CutSuffix(want, "…"); ok && head != "" && strings.HasPrefix(got, head) {
		return
	}
	if got != want {
		t.Errorf("%s\ngot  %s\nwant %s", what, got, want)
	}
}

const (
	hidden      = " on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
	dryRunWould = "DryRunOperationException: The request would have succeeded, but the DryRun option is set."
)

func denied(account, action string) string {
	return "AccessDeniedException: User: " + rootOf(account) + " is not authorized to perform: kms:" + action
}
