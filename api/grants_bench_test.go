package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm/soft"
	"github.com/trentkms/trent/region"
)

// machineCluster is a state machine that applies what is proposed at once: a cluster without a log, to be filled quickly.
type machineCluster struct {
	*fsm.FSM
	index uint64
}

func (c *machineCluster) View(context.Context) (*fsm.State, error) { return c.State(), nil }
func (c *machineCluster) Now() time.Time                           { return time.Now() }
func (c *machineCluster) Hold(context.Context, ...string) (cluster.Gate, func(), error) {
	return cluster.Gate{}, func() {}, nil
}
func (c *machineCluster) ProposeOn(ctx context.Context, _ cluster.Gate, cmd fsm.Command) (fsm.Result, error) {
	return c.Propose(ctx, cmd)
}
func (c *machineCluster) Propose(_ context.Context, cmd fsm.Command) (fsm.Result, error) {
	data, err := fsm.Encode(cmd)
	if err != nil {
		return fsm.Result{}, err
	}
	c.index++
	return c.Apply(&raft.Log{Index: c.index, Type: raft.LogCommand, Data: data}).(fsm.Result), nil
}

type discard struct{}

func (discard) Append(context.Context, ...[]byte) error { return nil }

// BenchmarkCallByGrant: a call that a grant allows costs the same beside 10 and beside 50,000 grants on the key, whether they are
// for as many grantees or all for the caller, each for another encryption context; so does one that no grant allows.
func BenchmarkCallByGrant(b *testing.B) {
	for _, spread := range []string{"grantee", "context"} {
		for _, n := range []int{10, 50_000} {
			call, refused := grantBench(b, spread, n)
			b.Run(fmt.Sprintf("%s/allowed/grants=%d", spread, n), call)
			b.Run(fmt.Sprintf("%s/refused/grants=%d", spread, n), refused)
		}
	}
}

func grantBench(b *testing.B, spread string, n int) (call, refused func(*testing.B)) {
	b.Helper()
	module, err := soft.Open(soft.Options{InMemory: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = module.Close() })
	machine, err := fsm.New(fsm.Options{Fatal: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	c := &machineCluster{FSM: machine}
	service := region.New(region.Config{Partition: "aws", Region: "us-east-1", Cluster: c, HSM: module})
	ctx := context.Background()
	propose := func(body fsm.Body) fsm.Result {
		res, err := c.Propose(ctx, fsm.Command{Attempt: 1, Time: time.Now().UnixMilli(), Body: body})
		if err != nil || res.Code != fsm.OK {
			b.Fatalf("%T: %+v, %v", body, res, err)
		}
		return res
	}
	if err := service.Initialize(ctx, region.InitConfig{ClusterID: "0123456789abcdef0123456789abcdef", Account: owner, AccessKeyID: "AKIA" + owner, Secret: secretOf(owner)}); err != nil {
		b.Fatal(err)
	}
	propose(&fsm.PutAccount{Account: fsm.Account{ID: partner}})
	if err := service.PutRootAccessKey(ctx, partner, "AKIA"+partner, secretOf(partner)); err != nil {
		b.Fatal(err)
	}
	handler := api.NewServer(api.Config{Service: service, Audit: discard{}}).Handler()
	send := func(b *testing.B, account, operation, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/", bytes.NewReader([]byte(body)))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "TrentService."+operation)
		signer, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: "AKIA" + account, SecretAccessKey: secretOf(account).Bytes()}, "us-east-1", "kms")
		if err != nil {
			b.Fatal(err)
		}
		if err := signer.Sign(r, sha256.Sum256([]byte(body)), time.Now()); err != nil {
			b.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	if w := send(b, owner, "CreateKey", "{}"); w.Code != http.StatusOK {
		b.Fatal(w.Body)
	}
	var key *fsm.Key
	for k := range c.State().Keys(owner, "") {
		key = k
	}
	for i := range n {
		g := fsm.Grant{ID: fmt.Sprintf("%064x", i), Account: owner, KeyID: key.ID, Grantee: fsm.GrantPrincipal{ARN: rootOf(partner)}, Operations: fsm.GrantEncrypt, IssuingAccount: owner}
		if spread == "context" {
			g.Constraint = &fsm.GrantConstraint{Type: fsm.ConstraintSubset, Pairs: []fsm.Pair{{Key: "aws:ebs:id", Value: fmt.Sprint("vol-", i)}}}
		} else if i != n/2 {
			g.Grantee.ARN = fmt.Sprintf("arn:aws:iam::%s:user/u%d", partner, i)
		}
		propose(&fsm.CreateGrant{Grant: g})
	}
	body := func(volume string) string {
		return `{"KeyId":"arn:aws:kms:us-east-1:` + owner + `:key/` + key.ID + `","Plaintext":"` + base64.StdEncoding.EncodeToString([]byte("x")) + `","EncryptionContext":{"aws:ebs:id":"` + volume + `"}}`
	}
	bench := func(operation, body string, want int) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := send(b, partner, operation, body); w.Code != want {
					b.Fatal(w.Body)
				}
			}
		}
	}
	return bench("Encrypt", body(fmt.Sprint("vol-", n/2)), http.StatusOK),
		bench("GenerateDataKey", `{"KeySpec":"AES_256",`+body("vol-none")[1:], http.StatusBadRequest)
}
