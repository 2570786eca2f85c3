package region

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keystate"
	"github.com/trentkms/trent/region/shape"
)

const labAccount = "111122223333"

// clockLab is a region of one node, a real Raft group and an HSM in memory, whose clock the test moves.
type clockLab struct {
	t       testing.TB
	node    *cluster.Node
	service *Service
	ahead   atomic.Int64 // nanoseconds
	events  []InternalEvent
}

func newClockLab(t testing.TB) *clockLab {
	t.Helper()
	return newClockLabIn(t, "us-east-1")
}

// newClockLabIn is a lab of a region of another name.
func newClockLabIn(t testing.TB, region string) *clockLab {
	t.Helper()
	l := &clockLab{t: t}
	module, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = module.Close() })
	fatal := func(err error) { t.Errorf("the node must stop: %v", err) }
	machine, err := fsm.New(fsm.Options{Fatal: fatal, OnEvent: func(ev fsm.Event) {
		if l.service != nil {
			l.service.Forget(ev)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	const soon = 20 * time.Millisecond
	l.node, err = cluster.Open(cluster.Config{
		Dir: t.TempDir(), FSM: machine, Fatal: fatal, Bootstrap: true, Ballast: -1, MinFree: -1, Clock: l.clock,
		HeartbeatTimeout: soon, ElectionTimeout: soon, LeaseTimeout: soon,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.node.Close() })
	l.service = New(Config{Partition: "aws", Region: region, Cluster: l.node, HSM: module, Record: l.record})
	l.initialize()
	return l
}

func (l *clockLab) clock() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())) }

// pass lets time pass.
//
// Region time goes along in steps of less than a day, as the scheduler's ticks carry it.
func (l *clockLab) pass(d time.Duration) {
	l.t.Helper()
	for step := 23 * time.Hour; d > step; d -= step {
		l.jump(step)
		if err := l.service.proposeSetup(l.t.Context(), &fsm.TermStart{Node: "clock"}); err != nil {
			l.t.Fatal(err)
		}
	}
	l.jump(d)
}

// jump steps the clock.
func (l *clockLab) jump(d time.Duration) { l.ahead.Add(int64(d)) }

// record keeps the region's own events and renders them as little as the state needs.
func (l *clockLab) record(ev InternalEvent) []byte {
	l.events = append(l.events, ev)
	return []byte(`{}`)
}

func (l *clockLab) initialize() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	for _, err := l.node.View(ctx); err != nil; _, err = l.node.View(ctx) {
		if ctx.Err() != nil {
			l.t.Fatal(err)
		}
	}
	if err := l.service.Initialize(ctx, InitConfig{
		ClusterID: "0123456789abcdef0123456789abcdef", Account: labAccount, AccessKeyID: "AKIAIOSFODNN7EXAMPLE",
		Secret: shape.NewSecret([]byte("a secret access key of the lab")),
	}); err != nil {
		l.t.Fatal(err)
	}
}

// labEdge is the layer above, as far as these tests need one.
type labEdge struct{ Edge }

func (labEdge) Record(*Call, any) []byte { return []byte(`{}`) }
func (labEdge) Claim(c *Call) Claim {
	return Claim{Account: c.Caller.Account, Principal: RootPrincipal}
}

func (labEdge) CheckPolicy(*Call, PolicyKind, string) ([]fsm.PolicyPrincipal, error) {
	return nil, nil
}

func (labEdge) ShowPolicy(st *fsm.State, document string, principals []fsm.PolicyPrincipal) string {
	return document
}

func (labEdge) CheckKeyPolicy(context.Context, *Call, *fsm.Key, string, bool) error {
	return nil
}

// perform runs an operation as the edge does, without authorization.
func perform[In, Out any, P interface {
	*In
	Input
}](l *clockLab, op string, do func(*Service, context.Context, *Call, *In) (*Out, error), in P) (*Out, error) {
	l.t.Helper()
	st, err := l.service.View(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	c := &Call{
		Operation: op, State: st, Caller: &Caller{Kind: PrincipalRoot, Account: labAccount}, Now: l.service.Now(),
		RequestID: "request-" + op, EventID: "event-" + op, Attempt: 1, Edge: labEdge{},
	}
	_, _ = rand.Read(c.CommandID[:])
	if check, ok := any(in).(Checker); ok {
		if err := check.Check(); err != nil {
			return nil, err
		}
	}
	r := l.service.NewResolver(c, op, true, true)
	if err := in.Resolve(&r); err != nil {
		return nil, err
	}
	for i := range c.Targets {
		t := &c.Targets[i]
		c.Decisions = append(c.Decisions, Decision{})
		if t.Key == nil {
			continue
		}
		if err := keystate.Check(op, Facts(t.Key, c.Now), t.ARN); err != nil {
			return nil, err
		}
	}
	return do(l.service, l.t.Context(), c, (*In)(in))
}

// must is the result of an operation that has to succeed.
func must[Out any](l *clockLab, out *Out, err error) *Out {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// refused holds that an operation failed with a text.
func refused(t testing.TB, err error, want string) {
	t.Helper()
	if got := fault.From(err); got == nil || got.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func (l *clockLab) createKey(change ...func(*CreateKeyInput)) *KeyMetadata {
	l.t.Helper()
	in := &CreateKeyInput{Origin: shape.OriginAWSKMS}
	for _, f := range change {
		f(in)
	}
	out, err := perform(l, "CreateKey", (*Service).CreateKey, in)
	return must(l, out, err).KeyMetadata
}

func (l *clockLab) describe(id string) (*KeyMetadata, error) {
	out, err := perform(l, "DescribeKey", (*Service).DescribeKey, &DescribeKeyInput{KeyID: id})
	if err != nil {
		return nil, err
	}
	return out.KeyMetadata, nil
}

func (l *clockLab) encrypt(id, plaintext string) ([]byte, error) {
	out, err := perform(l, "Encrypt", (*Service).Encrypt, &EncryptInput{
		KeyID: id, Plaintext: shape.NewSecret([]byte(plaintext)), EncryptionAlgorithm: shape.EncryptionAlgorithmSymmetricDefault,
	})
	if err != nil {
		return nil, err
	}
	return out.CiphertextBlob, nil
}

func (l *clockLab) decrypt(blob []byte) (string, error) {
	out, err := perform(l, "Decrypt", (*Service).Decrypt, &DecryptInput{CiphertextBlob: blob, EncryptionAlgorithm: shape.EncryptionAlgorithmSymmetricDefault})
	if err != nil {
		return "", err
	}
	return string(out.Plaintext.Bytes()), nil
}

// runDue makes one pass of the scheduler.
func (l *clockLab) runDue() {
	l.t.Helper()
	if err := l.service.RunDue(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// happened counts the region's own events of a name that took effect or were proposed.
func (l *clockLab) happened(name string) (n int) {
	for _, ev := range l.events {
		if ev.Name == name {
			n++
		}
	}
	return n
}

// parameters are a wrapping key and its token.
func (l *clockLab) parameters(id string) *GetParametersForImportOutput {
	l.t.Helper()
	out, err := perform(l, "GetParametersForImport", (*Service).GetParametersForImport, &GetParametersForImportInput{
		KeyID: id, WrappingAlgorithm: shape.WrappingAlgorithmOAEPSHA256, WrappingKeySpec: shape.WrappingKeySpecRSA2048,
	})
	return must(l, out, err)
}

// wrap encrypts material for a set of parameters.
func wrap(t testing.TB, p *GetParametersForImportOutput, material []byte) []byte {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(p.PublicKey.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key.(*rsa.PublicKey), material, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// importMaterial imports material that expires after a time, 0 for never.
func (l *clockLab) importMaterial(id string, p *GetParametersForImportOutput, material []byte, life time.Duration) error {
	l.t.Helper()
	in := &ImportKeyMaterialInput{KeyID: id, ImportToken: p.ImportToken, EncryptedKeyMaterial: wrap(l.t, p, material)}
	if life > 0 {
		in.ValidTo = shape.Some(l.service.Now().Add(life))
	} else {
		in.ExpirationModel = shape.Some(shape.ExpirationModelKeyMaterialDoesNotExpire)
	}
	_, err := perform(l, "ImportKeyMaterial", (*Service).ImportKeyMaterial, in)
	return err
}

func external(in *CreateKeyInput) { in.Origin = shape.OriginExternal }

// asJSON shows a value in a failure.
func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
