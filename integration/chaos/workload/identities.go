package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// identities changes users, roles, access keys and policies through all regions, of which one decides, and uses access keys and sessions
// in all of them.
type identities struct {
	keys   []string // a KMS key in each region, of its own
	people slots[*citizen]
	number atomic.Int64
	begun  notebook
}

// citizen is a user with access keys, an inline policy and a role of its name. Who changes it holds writing; a change of unknown outcome
// is the last one.
type citizen struct {
	name    string
	writing sync.Mutex
	closed  bool // guarded by writing

	mu       sync.Mutex
	keys     map[string]*accessKey // by id, those that are deleted too; guarded by mu like all below
	exists   bool
	user     string // unique id
	role     string // unique id, "" while there is none
	policy   string // what is allowed, "" for none
	roles    string // what the role's policy allows
	values   []string
	sessions []temporary
}

type accessKey struct {
	Credentials
	status string // Active, Inactive, "" if deleted
}

// temporary are temporary credentials.
type temporary struct {
	Credentials
	parent, issuer, role string // role is "" for a session of the user
	skewed               bool
	begun                int64 // nanoseconds of the run
}

// Identities are shared by all regions of a run: what one region was told to forbid never happens there or at home again, a region never
// goes back to what was before, and in the end all have the same. It does nothing where each region has identities of its own.
func Identities() Workload {
	return &identities{people: slots[*citizen]{maxUses: 500, maxUnknown: 1}}
}

func (w *identities) Name() string { return check.IdentitiesName }

// presentPeople is how many are worked on at a time.
const presentPeople = 4

func (w *identities) Setup(ctx context.Context, t *Target) error {
	if t.Home == "" {
		return nil
	}
	s := t.setup(w.Name(), &w.begun)
	for r := range t.Regions {
		op := s.createKey(s.entry(r), &kms.CreateKeyInput{})
		if op.Outcome != history.OK {
			return fmt.Errorf("%s: no key could be made in %s: %s", w.Name(), t.Regions[r].Name, op.Error)
		}
		w.keys = append(w.keys, op.Key)
	}
	for range presentPeople {
		p, ok := w.newCitizen(s)
		if !ok {
			return fmt.Errorf("%s: no user could be made", w.Name())
		}
		w.people.add(p)
	}
	return w.awaitSessions(ctx, s)
}

// awaitSessions waits until each region opens the sessions of the others: after a federation their keys are on their way.
func (w *identities) awaitSessions(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p := w.people.now[0].v
	key := p.anyKey(s.rng, "Active")
	for from := range s.t.Regions {
		d := s.entry(from)
		got, err := s.t.STS(d.region, d.URL, key.Credentials).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
		if err != nil {
			return fmt.Errorf("%s: no session in %s: %w", w.Name(), d.region, err)
		}
		as := ofSession(got.Credentials)
		for to := range s.t.Regions {
			at := s.entry(to)
			for err = errNotYet; err != nil && s.trusts(d.region, at.region); {
				if _, err = s.t.STS(at.region, at.URL, as).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); ctx.Err() != nil {
					return fmt.Errorf("%s: a session of %s is not accepted in %s: %w", w.Name(), d.region, at.region, err)
				}
			}
		}
	}
	return nil
}

var errNotYet = errors.New("not yet")

// trusts tells whether a region accepts the sessions that another one has made.
func (s *session) trusts(issuer, at string) bool {
	return issuer == at || issuer == s.t.Home || at == s.t.Home || s.t.SessionsOfPeers
}

// skewed tells whether the clocks of one of these regions were off lately, so that sessions may begin too late or end too soon.
func (s *session) skewed(regions ...string) bool {
	return s.t.Skew != nil && slices.ContainsFunc(regions, func(r string) bool {
		lowest, highest := s.t.Skew(r)
		return lowest != 0 || highest != 0
	})
}

// decide makes a change, which the home decides.
func (w *identities) decide(s *session, d door, p *citizen, kind string, in map[string]string, f func(ctx context.Context, c *iam.Client, out map[string]string) error) history.Op {
	if in == nil {
		in = make(map[string]string)
	}
	in["home"] = s.t.Home
	c := s.iam(d)
	op := s.write(d, kind, p.name, in, func(ctx context.Context, out map[string]string) error {
		err := f(ctx, c, out)
		if err != nil {
			in["said"] = said(err)
		}
		return err
	})
	if op.Outcome == history.Unknown {
		p.closed = true
	}
	return op
}

// said is the message of an error, as long as it is of use.
func said(err error) string {
	text := err.Error()
	return text[:min(len(text), 400)]
}

func (w *identities) newCitizen(s *session) (*citizen, bool) {
	p := &citizen{name: fmt.Sprint("citizen-", w.number.Add(1)), keys: make(map[string]*accessKey)}
	p.writing.Lock()
	defer p.writing.Unlock()
	for _, step := range []func() history.Op{
		func() history.Op { return w.createUser(s, w.anywhere(s), p) },
		func() history.Op { return w.createKey(s, w.anywhere(s), p) },
		func() history.Op { return w.createRole(s, w.anywhere(s), p) },
		func() history.Op { return w.putPolicy(s, w.anywhere(s), p, true) },
		func() history.Op { return w.putPolicy(s, w.anywhere(s), p, false) },
	} {
		if step().Outcome != history.OK {
			return nil, false
		}
	}
	return p, true
}

// anywhere is a door of any region, the home's in half of the cases.
func (w *identities) anywhere(s *session) door {
	if s.rng.Intn(2) == 0 {
		return s.entry(slices.IndexFunc(s.t.Regions, func(r Region) bool { return r.Name == s.t.Home }))
	}
	return s.entry(s.rng.Intn(len(s.t.Regions)))
}

func (w *identities) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	if t.Home == "" {
		return
	}
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for n := 0; ctx.Err() == nil; n++ {
		x := w.people.pick(rng)
		op := w.step(s, x.v)
		if rng.Intn(60) == 0 {
			w.contest(s, fmt.Sprintf("contest-%d-%d", client, n))
		}
		if w.people.spent(x, op) {
			p, ok := w.newCitizen(s)
			w.people.replace(x, p, ok)
		}
		s.pause(ctx, op)
	}
}

// step is one observation, or a change and what follows from it.
func (w *identities) step(s *session, p *citizen) history.Op {
	at := s.rng.Intn(len(s.t.Regions))
	if s.rng.Intn(6) > 0 || !p.writing.TryLock() {
		return w.observe(s, s.entry(at), at, p)
	}
	defer p.writing.Unlock()
	if p.closed {
		return w.observe(s, s.entry(at), at, p)
	}
	d := w.anywhere(s)
	op := w.change(s, d, p)
	if op.Outcome == history.OK { // the moment at which a region that is late would betray itself
		for i, r := range s.t.Regions {
			for _, n := range r.Nodes {
				if r.Name == d.region || r.Name == s.t.Home || s.rng.Intn(3) == 0 {
					w.observe(s, door{r.Name, n}, i, p)
				}
			}
		}
	}
	return op
}

// change changes a citizen. The caller holds writing.
func (w *identities) change(s *session, d door, p *citizen) history.Op {
	active, inactive := p.anyKey(s.rng, "Active"), p.anyKey(s.rng, "Inactive")
	switch weighted(s.rng, 6, 2, 4, 5, 5, 3, 3, 2, 1) {
	case 0:
		return w.putPolicy(s, d, p, true)
	case 1:
		return w.deletePolicy(s, d, p, true)
	case 2:
		return w.putPolicy(s, d, p, false)
	case 3:
		if active != nil && p.live() > 1 {
			return w.deleteKey(s, d, p, active)
		}
		return w.createKey(s, d, p)
	case 4:
		if active != nil {
			return w.setStatus(s, d, p, active, "Inactive")
		}
	case 5:
		return w.tag(s, d, p)
	case 6:
		if p.role == "" {
			return w.createRole(s, d, p)
		}
		if p.roles != "" {
			if op := w.deletePolicy(s, d, p, false); op.Outcome != history.OK {
				return op
			}
		}
		return w.deleteRole(s, d, p)
	case 7: // what has been done already is refused
		if gone := p.anyKey(s.rng, ""); gone != nil {
			return w.deleteKey(s, d, p, gone)
		}
		return w.createUser(s, d, p)
	case 8:
		return w.deletePolicy(s, d, p, false)
	}
	switch {
	case inactive != nil && s.rng.Intn(2) == 0:
		return w.setStatus(s, d, p, inactive, "Active")
	case inactive != nil:
		return w.deleteKey(s, d, p, inactive)
	}
	return w.createKey(s, d, p)
}

func (w *identities) createUser(s *session, d door, p *citizen) history.Op {
	in := map[string]string{}
	if !p.exists {
		in["fresh"] = "1"
	}
	op := w.decide(s, d, p, "CreateUser", in, func(ctx context.Context, c *iam.Client, out map[string]string) error {
		o, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: &p.name})
		if err == nil {
			out["id"] = *o.User.UserId
		}
		return err
	})
	if op.Outcome == history.OK {
		p.exists, p.user = true, op.Out["id"]
	}
	return op
}

func (w *identities) createKey(s *session, d door, p *citizen) history.Op {
	if p.live() == 2 { // a quota
		return w.putPolicy(s, d, p, true)
	}
	var made Credentials
	op := w.decide(s, d, p, "CreateAccessKey", nil, func(ctx context.Context, c *iam.Client, out map[string]string) error {
		o, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &p.name})
		if err == nil {
			made = Credentials{AccessKeyID: *o.AccessKey.AccessKeyId, Secret: *o.AccessKey.SecretAccessKey}
			out["accessKeyId"] = made.AccessKeyID
		}
		return err
	})
	if op.Outcome == history.OK {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.keys[made.AccessKeyID] = &accessKey{made, "Active"}
	}
	return op
}

func (w *identities) setStatus(s *session, d door, p *citizen, k *accessKey, status string) history.Op {
	op := w.decide(s, d, p, "UpdateAccessKey", map[string]string{"accessKeyId": k.AccessKeyID, "status": status}, func(ctx context.Context, c *iam.Client, _ map[string]string) error {
		_, err := c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &p.name, AccessKeyId: &k.AccessKeyID, Status: iamtypes.StatusType(status)})
		return err
	})
	if op.Outcome == history.OK {
		p.mu.Lock()
		defer p.mu.Unlock()
		k.status = status
	}
	return op
}

func (w *identities) deleteKey(s *session, d door, p *citizen, k *accessKey) history.Op {
	op := w.decide(s, d, p, "DeleteAccessKey", map[string]string{"accessKeyId": k.AccessKeyID}, func(ctx context.Context, c *iam.Client, _ map[string]string) error {
		_, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &p.name, AccessKeyId: &k.AccessKeyID})
		return err
	})
	if op.Outcome == history.OK {
		p.mu.Lock()
		defer p.mu.Unlock()
		k.status = ""
	}
	return op
}

// createRole makes the role that the user may assume.
func (w *identities) createRole(s *session, d door, p *citizen) history.Op {
	trust := document(statement{Effect: "Allow", Principal: map[string]string{"AWS": s.userARN(p.name)}, Action: []string{"sts:AssumeRole"}})
	op := w.decide(s, d, p, "CreateRole", map[string]string{"fresh": "1"}, func(ctx context.Context, c *iam.Client, out map[string]string) error {
		o, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &p.name, AssumeRolePolicyDocument: &trust})
		if err == nil {
			out["id"] = *o.Role.RoleId
		}
		return err
	})
	if op.Outcome == history.OK {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.role = op.Out["id"]
	}
	return op
}

func (w *identities) deleteRole(s *session, d door, p *citizen) history.Op {
	op := w.decide(s, d, p, "DeleteRole", nil, func(ctx context.Context, c *iam.Client, _ map[string]string) error {
		_, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &p.name})
		return err
	})
	if op.Outcome == history.OK {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.role = ""
	}
	return op
}

const inlinePolicy = "chaos"

// putPolicy allows the user, or the role, to encrypt with one value in the encryption context that was never used before.
func (w *identities) putPolicy(s *session, d door, p *citizen, user bool) history.Op {
	if !user && p.role == "" {
		return w.createRole(s, d, p)
	}
	value := fmt.Sprint("v", w.number.Add(1))
	text := document(statement{Effect: "Allow", Action: []string{"kms:Encrypt"}, Resource: []string{"*"}, Condition: map[string]map[string]string{
		"StringEquals": {"kms:EncryptionContext:v": value},
	}}, statement{Effect: "Allow", Action: []string{"iam:TagUser"}, Resource: []string{"*"}})
	p.mu.Lock()
	p.values = append(p.values, value) // it may be seen before it is acknowledged
	p.mu.Unlock()
	in := map[string]string{"value": value}
	if user {
		op := w.decide(s, d, p, "PutUserPolicy", in, func(ctx context.Context, c *iam.Client, _ map[string]string) error {
			_, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &p.name, PolicyName: aws.String(inlinePolicy), PolicyDocument: &text})
			return err
		})
		if op.Outcome == history.OK {
			p.set(&p.policy, value)
		}
		return op
	}
	op := w.decide(s, d, p, "PutRolePolicy", in, func(ctx context.Context, c *iam.Client, _ map[string]string) error {
		_, err := c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &p.name, PolicyName: aws.String(inlinePolicy), PolicyDocument: &text})
		return err
	})
	if op.Outcome == history.OK {
		p.set(&p.roles, value)
	}
	return op
}

func (w *identities) deletePolicy(s *session, d door, p *citizen, user bool) history.Op {
	switch {
	case user && p.policy != "":
		op := w.decide(s, d, p, "DeleteUserPolicy", nil, func(ctx context.Context, c *iam.Client, _ map[string]string) error {
			_, err := c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: &p.name, PolicyName: aws.String(inlinePolicy)})
			return err
		})
		if op.Outcome == history.OK {
			p.set(&p.policy, "")
		}
		return op
	case !user && p.roles != "":
		op := w.decide(s, d, p, "DeleteRolePolicy", nil, func(ctx context.Context, c *iam.Client, _ map[string]string) error {
			_, err := c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &p.name, PolicyName: aws.String(inlinePolicy)})
			return err
		})
		if op.Outcome == history.OK {
			p.set(&p.roles, "")
		}
		return op
	}
	return w.putPolicy(s, d, p, user)
}

// tag is a change that the user signs itself, with any of its access keys, also those that are deleted: the home verifies who signs.
func (w *identities) tag(s *session, d door, p *citizen) history.Op {
	k := p.anyKey(s.rng, []string{"Active", "Inactive", ""}[s.rng.Intn(3)])
	if k == nil {
		return w.putPolicy(s, d, p, true)
	}
	in := map[string]string{"home": s.t.Home, "accessKeyId": k.AccessKeyID}
	return s.write(d, "TagUser", p.name, in, func(ctx context.Context, _ map[string]string) error {
		_, err := s.t.IAM(d.region, d.URL, k.Credentials).TagUser(ctx, &iam.TagUserInput{UserName: &p.name, Tags: []iamtypes.Tag{{Key: aws.String("chaos"), Value: aws.String("1")}}})
		if err != nil {
			in["said"] = said(err)
		}
		return err
	})
}

// contest has clients of two regions make one user at the same time.
func (w *identities) contest(s *session, name string) {
	s.together(2, func(i int, s *session) {
		d := s.entry((i + s.client) % len(s.t.Regions))
		in := map[string]string{"home": s.t.Home, "contest": name}
		s.write(d, "CreateUser", name, in, func(ctx context.Context, _ map[string]string) error {
			_, err := s.iam(d).CreateUser(ctx, &iam.CreateUserInput{UserName: &name})
			if err != nil {
				in["said"] = said(err)
			}
			return err
		})
	})
}

// document renders a policy.
func document(all ...statement) string {
	text, err := json.Marshal(policyDocument{"2012-10-17", all})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (p *citizen) set(field *string, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*field = value
}

// anyKey draws one of the access keys of a status, nil if there is none.
func (p *citizen) anyKey(rng *rand.Rand, status string) *accessKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*accessKey
	for _, id := range slices.Sorted(maps.Keys(p.keys)) {
		if p.keys[id].status == status {
			all = append(all, p.keys[id])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[rng.Intn(len(all))]
}

// live counts the access keys that are not deleted.
func (p *citizen) live() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.keys {
		if k.status != "" {
			n++
		}
	}
	return n
}

// value draws what a use asks for: mostly what is allowed now.
func (p *citizen) value(rng *rand.Rand, role bool) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.policy
	if role {
		now = p.roles
	}
	if (now == "" || rng.Intn(3) == 0) && len(p.values) > 0 {
		return p.values[max(0, len(p.values)-1-rng.Intn(4))]
	}
	return now
}

// observe looks at a citizen in a region, or uses its credentials.
func (w *identities) observe(s *session, d door, at int, p *citizen) history.Op {
	switch weighted(s.rng, 40, 30, 8, 5, 6, 4, 4) {
	case 1:
		return w.useSession(s, d, at, p)
	case 2:
		return w.assumeRole(s, d, p)
	case 3:
		return w.sessionToken(s, d, p)
	case 4:
		return w.getPolicy(s, d, p, "")
	case 5:
		return w.getRole(s, d, p, "")
	case 6:
		return w.listKeys(s, d, p, "")
	}
	return w.use(s, d, at, p)
}

// use encrypts with an access key, mostly one that is good.
func (w *identities) use(s *session, d door, at int, p *citizen) history.Op {
	k := p.anyKey(s.rng, []string{"Active", "Active", "Active", "Inactive", ""}[s.rng.Intn(5)])
	if k == nil {
		return w.getPolicy(s, d, p, "")
	}
	return w.encrypt(s, d, at, p, k.Credentials, map[string]string{"accessKeyId": k.AccessKeyID, "value": p.value(s.rng, false)})
}

func (w *identities) encrypt(s *session, d door, at int, p *citizen, as Credentials, in map[string]string) history.Op {
	return s.read(d, "Encrypt", p.name, in, func(ctx context.Context, _ map[string]string) error {
		_, err := s.t.KMS(d.region, d.URL, as).Encrypt(ctx, &kms.EncryptInput{KeyId: &w.keys[at], Plaintext: message, EncryptionContext: map[string]string{"v": in["value"]}})
		return err
	})
}

func (w *identities) useSession(s *session, d door, at int, p *citizen) history.Op {
	x := p.session(s.rng)
	if x == nil {
		return w.assumeRole(s, d, p)
	}
	return w.encrypt(s, d, at, p, x.Credentials, w.sessionUse(s, d, p, x))
}

// session draws one of the latest sessions, mostly one that has not ended; nil if there is none.
func (p *citizen) session(rng *rand.Rand) *temporary {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*temporary
	ended := rng.Intn(4) == 0
	for i := len(p.sessions) - 1; i >= 0 && len(all) < 6; i-- {
		x := p.sessions[i]
		if k := p.keys[x.parent]; ended || k.status == "Active" && (x.role == "" || x.role == p.role) {
			all = append(all, &x)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[rng.Intn(len(all))]
}

func (w *identities) sessionUse(s *session, d door, p *citizen, x *temporary) map[string]string {
	in := map[string]string{"accessKeyId": x.parent, "issuer": x.issuer, "role": x.role, "value": p.value(s.rng, x.role != ""), "begun": strconv.FormatInt(x.begun, 10)}
	if s.trusts(x.issuer, d.region) {
		in["trusted"] = "1"
	}
	if x.skewed || s.skewed(d.region) {
		in["aux"] = "1" // what the clocks make of it is another matter
	}
	return in
}

func (w *identities) assumeRole(s *session, d door, p *citizen) history.Op {
	k := p.anyKey(s.rng, []string{"Active", "Active", "Active", "Inactive", ""}[s.rng.Intn(5)])
	if k == nil {
		return w.getRole(s, d, p, "")
	}
	return s.read(d, "AssumeRole", p.name, map[string]string{"accessKeyId": k.AccessKeyID}, func(ctx context.Context, out map[string]string) error {
		o, err := s.t.STS(d.region, d.URL, k.Credentials).AssumeRole(ctx, &sts.AssumeRoleInput{
			RoleArn: aws.String(fmt.Sprintf("arn:aws:iam::%s:role/%s", s.t.Account, p.name)), RoleSessionName: aws.String("chaos"),
		})
		if err != nil {
			return err
		}
		out["id"], _, _ = strings.Cut(*o.AssumedRoleUser.AssumedRoleId, ":")
		p.begin(s, d, k, temporary{Credentials: ofSession(o.Credentials), role: out["id"]})
		return nil
	})
}

func (w *identities) sessionToken(s *session, d door, p *citizen) history.Op {
	k := p.anyKey(s.rng, []string{"Active", "Active", "Inactive", ""}[s.rng.Intn(4)])
	if k == nil {
		return w.listKeys(s, d, p, "")
	}
	return s.read(d, "GetSessionToken", p.name, map[string]string{"accessKeyId": k.AccessKeyID}, func(ctx context.Context, _ map[string]string) error {
		o, err := s.t.STS(d.region, d.URL, k.Credentials).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
		if err == nil {
			p.begin(s, d, k, temporary{Credentials: ofSession(o.Credentials)})
		}
		return err
	})
}

func ofSession(c *ststypes.Credentials) Credentials {
	return Credentials{AccessKeyID: *c.AccessKeyId, Secret: *c.SecretAccessKey, Token: *c.SessionToken}
}

// begin notes a session.
func (p *citizen) begin(s *session, d door, k *accessKey, x temporary) {
	x.parent, x.issuer, x.skewed = k.AccessKeyID, d.region, s.skewed(d.region)
	x.begun = s.t.Clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions = append(p.sessions, x)
}

func (w *identities) getPolicy(s *session, d door, p *citizen, final string) history.Op {
	return s.read(d, "GetUserPolicy", p.name, map[string]string{"final": final}, func(ctx context.Context, out map[string]string) error {
		o, err := s.iam(d).GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &p.name, PolicyName: aws.String(inlinePolicy)})
		if err == nil {
			out["value"], err = allowedValue(*o.PolicyDocument)
		}
		return err
	})
}

func (w *identities) getRole(s *session, d door, p *citizen, final string) history.Op {
	return s.read(d, "GetRole", p.name, map[string]string{"final": final}, func(ctx context.Context, out map[string]string) error {
		o, err := s.iam(d).GetRole(ctx, &iam.GetRoleInput{RoleName: &p.name})
		if err == nil {
			out["id"] = *o.Role.RoleId
		}
		return err
	})
}

func (w *identities) listKeys(s *session, d door, p *citizen, final string) history.Op {
	return s.read(d, "ListAccessKeys", p.name, map[string]string{"final": final}, func(ctx context.Context, out map[string]string) error {
		o, err := s.iam(d).ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &p.name})
		if err != nil {
			return err
		}
		out["keys"] = listed(o.AccessKeyMetadata)
		return nil
	})
}
