package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// rights changes who may use keys, in every way there is, while three principals use them.
type rights struct {
	people slots[*person]
	keys   slots[*sharedKey]
	number atomic.Int64
	begun  notebook
}

// person is a user with an access key, and those that it had.
type person struct {
	name string
	mu   sync.Mutex
	now  Credentials
	past []Credentials // deleted
}

// sharedKey is a key with its grants.
type sharedKey struct {
	id   string
	blob []byte
	mu   sync.Mutex
	open []grant
}

type grant struct{ name, id, principal string }

// Rights is W2: after an acknowledged change of a key policy, a grant, an identity policy or an access key nothing happens on any
// node that it forbids, and nothing is refused that it allows.
func Rights() Workload {
	return &rights{people: slots[*person]{maxUses: 1500, maxUnknown: 3}, keys: slots[*sharedKey]{maxUses: 350, maxUnknown: 4}}
}

func (w *rights) Name() string { return check.RightsName }

func (w *rights) Setup(_ context.Context, t *Target) error {
	s := t.setup(w.Name(), &w.begun)
	if err := w.people.fill(s, 3, "user", w.newPerson); err != nil {
		return err
	}
	return w.keys.fill(s, 2, "key", w.newKey)
}

func (w *rights) newPerson(s *session) (*person, bool) {
	p := &person{name: fmt.Sprint("chaos-", w.number.Add(1))}
	d := s.here()
	op := s.write(d, "CreateUser", "", map[string]string{"aux": "1"}, func(ctx context.Context, _ map[string]string) error {
		_, err := s.iam(d).CreateUser(ctx, &iam.CreateUserInput{UserName: &p.name})
		return err
	})
	if op.Outcome != history.OK {
		return nil, false
	}
	p.now, op = w.newAccessKey(s, d, p)
	return p, op.Outcome == history.OK
}

func (w *rights) newAccessKey(s *session, d door, p *person) (made Credentials, op history.Op) {
	op = s.write(d, "CreateAccessKey", "", map[string]string{"principal": p.name}, func(ctx context.Context, out map[string]string) error {
		o, err := s.iam(d).CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &p.name})
		if err == nil {
			made = Credentials{AccessKeyID: *o.AccessKey.AccessKeyId, Secret: *o.AccessKey.SecretAccessKey}
			out["accessKeyId"] = made.AccessKeyID
		}
		return err
	})
	return made, op
}

func (w *rights) newKey(s *session) (*sharedKey, bool) {
	d := s.here()
	op := s.createKey(d, &kms.CreateKeyInput{})
	k := &sharedKey{id: op.Key}
	if op.Outcome != history.OK {
		return nil, false
	}
	op = s.read(d, "Encrypt", k.id, map[string]string{"aux": "1"}, func(ctx context.Context, _ map[string]string) error {
		o, err := s.kms(d).Encrypt(ctx, &kms.EncryptInput{KeyId: &k.id, Plaintext: message})
		if err == nil {
			k.blob = o.CiphertextBlob
		}
		return err
	})
	return k, op.Outcome == history.OK
}

func (w *rights) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for n := 0; ctx.Err() == nil; n++ {
		x, y := w.keys.pick(rng), w.people.pick(rng)
		k, p := x.v, y.v
		op := w.step(s, s.here(), k, p, fmt.Sprintf("g%d-%d", client, n))
		if op.In["accessKeyId"] == "" && op.Outcome == history.OK && rng.Intn(2) == 0 {
			for _, d := range t.everywhere(0) { // the moment at which a stale node would betray itself
				w.use(s, d, k, p, rng.Intn(2) == 0)
			}
		}
		ops := []history.Op{op}
		if rng.Intn(25) == 0 {
			ops = append(ops, w.duel(s, k, p, fmt.Sprintf("v%d-%d", client, n))...)
		}
		w.keys.turn(s, x, w.newKey, ops...)
		global := op
		if op.Key != "" {
			global.Outcome = history.OK // the unknown outcomes of a person's own changes count in all of its pairs
		}
		w.people.turn(s, y, w.newPerson, global)
		s.pause(ctx, op)
	}
}

func (w *rights) step(s *session, d door, k *sharedKey, p *person, name string) history.Op {
	c := s.kms(d)
	switch weighted(s.rng, 60, 8, 5, 7, 5, 2, 5, 4, 2) {
	case 1:
		return w.putKeyPolicy(s, d, k)
	case 2:
		return w.getKeyPolicy(s, d, k)
	case 3:
		return w.createGrant(s, d, k, p, name)
	case 4, 5:
		g, ok := k.grant(s.rng)
		if !ok {
			return w.createGrant(s, d, k, p, name)
		}
		in := map[string]string{"principal": g.principal, "grant": g.name}
		if s.rng.Intn(3) == 0 {
			return s.write(d, "RetireGrant", k.id, in, func(ctx context.Context, _ map[string]string) error {
				_, err := c.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: aws.String(s.keyARN(d, k.id)), GrantId: &g.id})
				return err
			})
		}
		return s.write(d, "RevokeGrant", k.id, in, func(ctx context.Context, _ map[string]string) error {
			_, err := c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &k.id, GrantId: &g.id})
			return err
		})
	case 6:
		return w.listGrants(s, d, k, p)
	case 7:
		return w.putUserPolicy(s, d, p)
	case 8:
		return w.changeAccessKey(s, d, p)
	}
	return w.use(s, d, k, p, s.rng.Intn(8) == 0)
}

func (s *session) keyARN(d door, id string) string {
	return fmt.Sprintf("arn:aws:kms:%s:%s:key/%s", d.region, s.t.Account, id)
}

func (s *session) userARN(name string) string {
	return fmt.Sprintf("arn:aws:iam::%s:user/%s", s.t.Account, name)
}

// use is a call of a principal, with its access key or one that it had.
func (w *rights) use(s *session, d door, k *sharedKey, p *person, past bool) history.Op {
	p.mu.Lock()
	as := p.now
	if past && len(p.past) > 0 {
		as = p.past[s.rng.Intn(len(p.past))]
	}
	p.mu.Unlock()
	c := s.t.KMS(d.region, d.URL, as)
	in := map[string]string{"principal": p.name, "accessKeyId": as.AccessKeyID}
	kind, f := "DescribeKey", func(ctx context.Context) (err error) {
		_, err = c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.id})
		return err
	}
	switch s.rng.Intn(5) {
	case 0, 1:
		kind, f = "Encrypt", func(ctx context.Context) (err error) {
			_, err = c.Encrypt(ctx, &kms.EncryptInput{KeyId: &k.id, Plaintext: message})
			return err
		}
	case 2, 3:
		kind, f = "Decrypt", func(ctx context.Context) (err error) {
			_, err = c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: k.blob})
			return err
		}
	}
	return s.read(d, kind, k.id, in, func(ctx context.Context, _ map[string]string) error { return f(ctx) })
}

// statement and policyDocument are what the workload writes into policies, and reads from them.
type statement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    []string
	Resource  []string                     `json:",omitempty"`
	Condition map[string]map[string]string `json:",omitempty"`
}

type policyDocument struct {
	Version   string
	Statement []statement
}

var useActions = []string{"kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:TagResource"}

// putKeyPolicy draws for each principal whether the policy allows, denies or says nothing.
func (w *rights) putKeyPolicy(s *session, d door, k *sharedKey) history.Op {
	effects := make(map[string]string)
	for _, name := range w.names() {
		effects[name] = []string{"", "Allow", "Deny"}[weighted(s.rng, 4, 4, 2)]
	}
	return w.setKeyPolicy(s, d, k, effects)
}

func (w *rights) setKeyPolicy(s *session, d door, k *sharedKey, effects map[string]string) history.Op {
	doc := policyDocument{"2012-10-17", []statement{{Sid: "root", Effect: "Allow", Principal: map[string]string{"AWS": "arn:aws:iam::" + s.t.Account + ":root"}, Action: []string{"kms:*"}, Resource: []string{"*"}}}}
	var said []string
	for _, name := range slices.Sorted(maps.Keys(effects)) {
		if effect := effects[name]; effect != "" {
			doc.Statement = append(doc.Statement, statement{Effect: effect, Principal: map[string]string{"AWS": s.userARN(name)}, Action: useActions, Resource: []string{"*"}})
			said = append(said, name+"="+strings.ToLower(effect))
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return s.write(d, "PutKeyPolicy", k.id, map[string]string{"policy": strings.Join(said, ",")}, func(ctx context.Context, _ map[string]string) error {
		_, err := s.kms(d).PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &k.id, Policy: aws.String(string(text))})
		return err
	})
}

// names are those of the present principals.
func (w *rights) names() (all []string) {
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	for _, x := range w.people.now {
		all = append(all, x.v.name)
	}
	return all
}

func (w *rights) getKeyPolicy(s *session, d door, k *sharedKey) history.Op {
	return s.read(d, "GetKeyPolicy", k.id, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &k.id})
		if err != nil {
			return err
		}
		if strings.Contains(*o.Policy, defaultSid) {
			return nil // the one that a key gets without being asked
		}
		var doc policyDocument
		if err := json.Unmarshal([]byte(*o.Policy), &doc); err != nil {
			return fmt.Errorf("a policy of another form: %w", err)
		}
		var said []string
		for _, st := range doc.Statement {
			if _, name, ok := strings.Cut(st.Principal["AWS"], ":user/"); ok {
				said = append(said, name+"="+strings.ToLower(st.Effect))
			}
		}
		out["policy"] = strings.Join(said, ",")
		return nil
	})
}

func (w *rights) createGrant(s *session, d door, k *sharedKey, p *person, name string) history.Op {
	return s.write(d, "CreateGrant", k.id, map[string]string{"principal": p.name, "grant": name}, func(ctx context.Context, _ map[string]string) error {
		o, err := s.kms(d).CreateGrant(ctx, &kms.CreateGrantInput{
			KeyId: &k.id, GranteePrincipal: aws.String(s.userARN(p.name)), Name: &name,
			Operations: []types.GrantOperation{types.GrantOperationEncrypt, types.GrantOperationDecrypt, types.GrantOperationDescribeKey},
		})
		if err == nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.open = append(k.open, grant{name, *o.GrantId, p.name})
		}
		return err
	})
}

// grant draws one of the key's grants; mostly it is forgotten, sometimes it stays to be revoked again.
func (k *sharedKey) grant(rng *rand.Rand) (grant, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.open) == 0 {
		return grant{}, false
	}
	i := rng.Intn(len(k.open))
	g := k.open[i]
	if rng.Intn(5) > 0 {
		k.open = slices.Delete(k.open, i, i+1)
	}
	return g, true
}

func (w *rights) listGrants(s *session, d door, k *sharedKey, p *person) history.Op {
	return s.read(d, "ListGrants", k.id, map[string]string{"principal": p.name}, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).ListGrants(ctx, &kms.ListGrantsInput{KeyId: &k.id, GranteePrincipal: aws.String(s.userARN(p.name)), Limit: aws.Int32(100)})
		if err != nil {
			return err
		}
		var names []string
		for _, g := range o.Grants {
			names = append(names, aws.ToString(g.Name))
		}
		slices.Sort(names)
		out["grants"] = strings.Join(names, ",")
		return nil
	})
}

// putUserPolicy draws the keys that an identity policy allows.
func (w *rights) putUserPolicy(s *session, d door, p *person) history.Op {
	resources := []string{s.keyARN(d, "00000000-0000-4000-8000-000000000000")} // a policy that names nothing is none
	var ids []string
	w.keys.mu.Lock()
	for _, x := range w.keys.now {
		if s.rng.Intn(3) == 0 {
			ids = append(ids, x.v.id)
			resources = append(resources, s.keyARN(d, x.v.id))
		}
	}
	w.keys.mu.Unlock()
	text, err := json.Marshal(policyDocument{"2012-10-17", []statement{{Effect: "Allow", Action: useActions, Resource: resources}}})
	if err != nil {
		panic(err)
	}
	return s.write(d, "PutUserPolicy", "", map[string]string{"principal": p.name, "keys": strings.Join(ids, ",")}, func(ctx context.Context, _ map[string]string) error {
		_, err := s.iam(d).PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &p.name, PolicyName: aws.String("chaos"), PolicyDocument: aws.String(string(text))})
		return err
	})
}

// changeAccessKey makes a new access key and deletes the old one.
func (w *rights) changeAccessKey(s *session, d door, p *person) history.Op {
	made, op := w.newAccessKey(s, d, p)
	if op.Outcome != history.OK {
		return op // another client is at it, or an answer was lost: then its key takes one of the two places
	}
	p.mu.Lock()
	old := p.now
	p.now = made
	p.past = append(p.past, old)
	p.mu.Unlock()
	return s.write(d, "DeleteAccessKey", "", map[string]string{"principal": p.name, "accessKeyId": old.AccessKeyID}, func(ctx context.Context, _ map[string]string) error {
		_, err := s.iam(d).DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &p.name, AccessKeyId: &old.AccessKeyID})
		return err
	})
}

// Check uses every present key as every present principal on every node, and judges.
func (w *rights) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	var silent sync.Map
	for _, x := range w.keys.now {
		for _, y := range w.people.now {
			for _, d := range t.everywhere(0) {
				for _, f := range []func() history.Op{
					func() history.Op { return w.use(s, d, x.v, y.v, false) }, func() history.Op { return w.use(s, d, x.v, y.v, true) },
					func() history.Op { return w.listGrants(s, d, x.v, y.v) }, func() history.Op { return w.changed(s, d, x.v, y.v) }, func() history.Op { return w.getKeyPolicy(s, d, x.v) },
				} {
					if op := s.insist(f); op.Outcome == history.Failed {
						silent.Store(d.Name, op)
					}
				}
			}
		}
	}
	return append(check.Rights(append(ops, last.ops...)), unserved(w.Name(), &silent)...)
}
