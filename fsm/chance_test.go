package fsm

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// chance draws commands from a small world, so that they meet: three accounts of which one is unknown, eight keys, six
// aliases, four domain key versions, four nodes, four principals of grants.
type chance struct {
	*rand.Rand
	s *State
	// sets tells that commands about other regions and multi-Region keys are drawn too.
	sets bool
}

func (c chance) account() string {
	return []string{account1, account1, account2, "777788889999"}[c.Intn(4)]
}

func (c chance) ref() KeyRef {
	return KeyRef{[]string{account1, account1, account2}[c.Intn(3)], keyID(c.Intn(8))}
}

func (c chance) alias() string { return fmt.Sprintf("alias/%c", 'a'+c.Intn(6)) }

func (c chance) flag() bool { return c.Intn(2) == 0 }

func (c chance) tags() (tags []Tag) {
	for _, i := range c.Perm(6)[:c.Intn(4)+1] {
		tags = append(tags, Tag{fmt.Sprintf("tag%d", i), fmt.Sprint(c.Intn(9))})
	}
	return tags
}

func (c chance) material(state MaterialState) Material {
	m := Material{ID: materialID(c.Intn(30)), Domain: uint32(c.Intn(3) + 1), Blob: fmt.Append(nil, "blob", c.Int()), State: state, AddedAt: now0}
	if c.flag() {
		m.Expires, m.ExpiresAt = true, c.s.Now()+int64(c.Intn(5))*day
	}
	return m
}

// existing returns a key of the state if it can, so that conditions on the object often hold.
func (c chance) existing() (KeyRef, *Key) {
	ref := c.ref()
	if k := c.s.Key(ref.Account, ref.ID); k != nil {
		return ref, k
	}
	return ref, &Key{Current: -1}
}

func (c chance) someMaterial(k *Key) Material {
	if len(k.Materials) == 0 || c.Intn(8) == 0 {
		return c.material(MaterialCurrent)
	}
	return k.Materials[c.Intn(len(k.Materials))]
}

func (c chance) current(k *Key) []byte {
	if k.Current < 0 || c.Intn(8) == 0 {
		return materialID(0)
	}
	return k.Materials[k.Current].ID
}

func (c chance) aliasOwner(account, name string) string {
	if a := c.s.Alias(account, name); a != nil && c.Intn(8) != 0 {
		return a.KeyID
	}
	return keyID(c.Intn(8))
}

func (c chance) createKey() Body {
	if c.Intn(3) == 0 {
		k := externalKey(c.account(), c.Intn(8))
		return k
	}
	k := newKey(c.account(), c.Intn(8))
	k.Key.Materials = []Material{c.material(MaterialCurrent)}
	k.Key.Materials[0].Expires, k.Key.Materials[0].ExpiresAt = false, 0
	k.Key.Enabled = c.Intn(5) > 0
	k.Key.MultiRegion = c.sets
	k.Key.Manager = []string{"CUSTOMER", "CUSTOMER", "AWS"}[c.Intn(3)]
	k.Key.Tags = c.tags()
	return k
}

// body draws a body of any kind. Kinds that make things are drawn more often.
func (c chance) body() Body {
	ref, k := c.existing()
	if c.sets && c.Intn(3) == 0 {
		return c.setBody(ref, k)
	}
	switch kind := c.Intn(88); kind {
	case 0:
		return &TermStart{fmt.Sprint("node-", c.Intn(4))}
	case 1:
		b := initBody()
		return b
	case 2:
		q := DefaultQuotas()
		q.KeysPerAccount, q.AliasesPerKey, q.TagsPerKey, q.OnDemandRotations = c.Intn(6)+3, c.Intn(3)+1, c.Intn(5)+2, c.Intn(3)+1
		q.GrantsPerKey = c.Intn(12) + 1
		return &SetQuotas{q}
	case 3:
		return &PutAccount{Account{ID: c.account(), CreatedAt: now0}}
	case 4:
		if c.flag() {
			return &PutServiceKey{AccessKey{ID: fmt.Sprint("AKIAS", c.Intn(3)), Account: c.account(), Principal: "service/ssm", Domain: uint32(c.Intn(4) + 1), Secret: []byte{1}, Active: c.flag()}}
		}
		return &PutAccessKey{AccessKey{ID: fmt.Sprint("AKIA", c.Intn(5)), Account: c.account(), Principal: "root", Domain: uint32(c.Intn(4) + 1), Secret: []byte{1}, Active: c.flag()}}
	case 5:
		return &DeleteAccessKey{fmt.Sprint("AKIA", c.Intn(5))}
	case 6:
		v := c.Intn(5) + 1
		return &PutDomainKey{DomainKey{Version: uint32(v), ID: fmt.Sprint("domain-", v), Active: c.flag(), Wrapped: []WrappedDomain{{"b", []byte{1}}, {"a", []byte{2}}}, Probe: []byte("probe")}}
	case 7:
		return &PutAuditHead{AuditHead{NodeID: fmt.Sprint("node-", c.Intn(4)), Segment: uint64(c.Intn(5)), LastSeq: uint64(c.Intn(9)), Chain: []byte{1}, Sig: []byte{1}, KeyID: "k", Closed: c.flag()}}
	case 8:
		return &SetDescription{ref, fmt.Sprint(c.Intn(99))}
	case 9, 10:
		return &SetEnabled{ref, c.Intn(3) > 0}
	case 11:
		return &ScheduleDeletion{ref, c.s.Now() + int64(c.Intn(3)+1)*day, 7}
	case 12:
		return &CancelDeletion{ref}
	case 13, 14:
		return &DeleteKey{ref, max(k.DeletionAt, 1)}
	case 15:
		return &PutKeyPolicy{Key: ref, Policy: strings.Repeat("p", c.Intn(600)+1)}
	case 16:
		return &TagKey{ref, c.tags()}
	case 17:
		return &UntagKey{ref, []string{"tag1", "tag2"}}
	case 18, 19, 20:
		return &CreateAlias{ref.Account, c.alias(), ref.ID}
	case 21, 22:
		name := c.alias()
		return &UpdateAlias{ref.Account, name, c.aliasOwner(ref.Account, name), ref.ID}
	case 23:
		name := c.alias()
		return &DeleteAlias{ref.Account, name, c.aliasOwner(ref.Account, name)}
	case 24, 25:
		return &SetRotation{ref, Rotation{c.Intn(4) > 0, 90, c.s.Now() + int64(c.Intn(4))*day + 1}}
	case 26, 27, 28:
		r := &RotateKey{Key: ref, From: c.current(k), Material: c.material(MaterialCurrent), Type: RotationOnDemand}
		if c.flag() {
			r.Type, r.NextAt = RotationAutomatic, c.s.Now()+90*day
		}
		if k.hasPendingRotation() {
			r.Material = Material{ID: k.Materials[len(k.Materials)-1].ID}
		}
		return r
	case 29, 30, 31, 32:
		m, isNew := c.material(MaterialPendingRotation), true
		if k.Current < 0 {
			m.State = MaterialCurrent
		} else if c.flag() {
			m.ID, isNew = c.someMaterial(k).ID, false
		}
		return &ImportMaterial{ref, m, isNew}
	case 33, 86, 87:
		return &DeleteMaterial{ref, c.someMaterial(k).ID}
	case 34, 35:
		m := c.someMaterial(k)
		return &ExpireMaterial{ref, m.ID, max(m.ExpiresAt, 1)}
	case 36, 37:
		m := c.someMaterial(k)
		return &RewrapMaterial{ref, m.ID, m.Domain, m.Domain%4 + 1, []byte("rewrapped")}
	case 38:
		other := c.ref()
		return &LastUsage{[]KeyUse{{ref.Account, ref.ID, int64(c.Intn(99) + 1), "Decrypt", "e", "r"}, {other.Account, other.ID, int64(c.Intn(99) + 1), "Sign", "e", "r"}}}
	case 39, 40, 41, 42, 43, 44:
		return c.createGrant(ref)
	case 45, 46, 47:
		return &DeleteGrant{ref, c.grantOf(ref), GrantEnd(c.Intn(2) + 1)}
	case 72, 73, 74, 75:
		return c.nodeBody()
	case 78, 79, 80, 81, 82, 83:
		return c.rotationBody()
	case 48:
		for r := range c.s.Remains() {
			ref = KeyRef{r.Account, r.KeyID}
		}
		return &PurgeGrants{ref}
	case 56, 57, 58, 59, 60, 61, 62:
		return c.putIdentity()
	case 63, 64:
		return c.deleteIdentity()
	case 65, 66, 67:
		return c.putManagedPolicy()
	case 68, 69:
		id := policyID(c.Intn(3))
		return &DeleteManagedPolicy{id, c.s.Version(Read{Doc: DocManagedPolicy, Name: id})}
	case 70:
		return &SetAccessKeyStatus{fmt.Sprint("AKIA", c.Intn(5)), c.flag()}
	case 84, 85:
		return c.oidcProvider()
	case 71:
		return userKey(c.Intn(3), fmt.Sprint("AKIAU", c.Intn(5)))
	}
	return c.createKey()
}

func (c chance) grantPrincipal() GrantPrincipal {
	n := c.Intn(4)
	p := GrantPrincipal{ARN: fmt.Sprintf("arn:aws:iam::%s:user/u%d", account1, n)}
	if n < 2 {
		p.UniqueID = fmt.Sprint("AIDA", n)
	}
	return p
}

func (c chance) constraint() *GrantConstraint {
	g := &GrantConstraint{Type: ConstraintType(c.Intn(2) + 1)}
	for i := range c.Intn(3) {
		g.Pairs = append(g.Pairs, Pair{fmt.Sprint("k", i), fmt.Sprint(c.Intn(2))})
	}
	if len(g.Pairs) == 0 {
		return nil
	}
	return g
}

func (c chance) createGrant(ref KeyRef) Body {
	g := Grant{
		ID: grantID(c.Intn(4000)), Account: ref.Account, KeyID: ref.ID, Grantee: c.grantPrincipal(),
		Operations: GrantOps(c.Intn(7)+1) | GrantDescribeKey<<c.Intn(2), Constraint: c.constraint(), IssuingAccount: account2,
		Name: []string{"", "a", "b"}[c.Intn(3)],
	}
	if c.flag() {
		p := c.grantPrincipal()
		g.Retiring = &p
	}
	return &CreateGrant{g}
}

// grantOf returns the id of a grant on the key if there is one.
func (c chance) grantOf(ref KeyRef) string {
	id := grantID(c.Intn(4000))
	for g := range c.s.GrantsOf(ref, 0) {
		id = g.ID
		if c.Intn(3) == 0 {
			break
		}
	}
	return id
}

func (c chance) reads(ref KeyRef) (reads []Read) {
	for c.Intn(3) == 0 {
		r := Read{Doc: Doc(c.Intn(int(lastDoc)) + 1), Account: ref.Account, Name: []string{ref.ID, c.alias(), "AKIA1", identityID(IdentityUser, 1), policyID(1)}[c.Intn(5)]}
		r.Version = c.s.Version(r)
		if c.Intn(10) == 0 {
			r.Version++
		}
		reads = append(reads, r)
	}
	return reads
}

// randomLog applies a log of random entries one by one and returns it with its responses.
func randomLog(t *testing.T, seed int64, length int, sets bool) (*lab, []any) {
	l := newLab(t)
	c := chance{Rand: rand.New(rand.NewSource(seed)), sets: sets}
	var responses []any
	time := now0
	for len(l.log) < length {
		c.s = l.state()
		l.index += uint64(c.Intn(2))        // no-ops of raft, which never reach the FSM
		time += int64(c.Intn(int(day / 8))) // mostly below what counts as a jump of region time
		var entry *raft.Log
		switch draw := c.Intn(30); {
		case draw == 0:
			l.index++
			servers := raft.Configuration{Servers: []raft.Server{{ID: "node-1", Address: "host:1"}, {Suffrage: raft.Nonvoter, ID: raft.ServerID(fmt.Sprint("node-", l.index)), Address: "host:2"}}}
			entry = &raft.Log{Index: l.index, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(servers)}
		case draw == 1 && len(l.log) > 0 && l.log[len(l.log)-1].Type == raft.LogCommand:
			l.index++
			entry = &raft.Log{Index: l.index, Type: raft.LogCommand, Data: l.log[len(l.log)-1].Data} // a retry that committed twice
		default:
			var body Body = initBody()
			if len(l.log) > 2 {
				body = c.body()
			}
			cmd := l.command(body)
			cmd.Time, cmd.Reads = time, c.reads(c.ref())
			entry = l.entry(cmd)
		}
		l.log = append(l.log, entry)
		responses = append(responses, l.fsm.Apply(entry))
	}
	return l, responses
}
