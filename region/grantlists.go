package region

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// defaultGrants is how many grants a page holds if the request does not say (spec 04 GM-01).
const defaultGrants = 50

// ListGrantsInput asks for a page of the grants on a key.
type ListGrantsInput struct {
	Limit            shape.Opt[int32]  `wire:"Limit" range:"1..100"`
	Marker           shape.Opt[string] `wire:"Marker" is:"MarkerType"`
	KeyID            string            `wire:"KeyId,required" is:"KeyIdType"`
	GrantID          shape.Opt[string] `wire:"GrantId" is:"GrantIdType"`
	GranteePrincipal shape.Opt[string] `wire:"GranteePrincipal" is:"PrincipalIdType"`
}

// Check implements Checker.
func (in *ListGrantsInput) Check() error {
	if in.GrantID.Set {
		return checkGrantID(in.GrantID.Value)
	}
	return nil
}

// checkGrantID accepts what CreateGrant gives out.
func checkGrantID(id string) error {
	if len(id) != 2*grantIDSize || strings.Trim(id, "0123456789abcdef") != "" {
		return fault.InvalidGrantID(id)
	}
	return nil
}

// Resolve implements Input.
func (in *ListGrantsInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// GrantListEntry is one grant of a list (spec 04 GR-16). It never has a token.
type GrantListEntry struct {
	KeyID             string                 `wire:"KeyId"` // the ARN
	GrantID           string                 `wire:"GrantId"`
	Name              string                 `wire:"Name"`
	CreationDate      time.Time              `wire:"CreationDate"`
	GranteePrincipal  string                 `wire:"GranteePrincipal"`
	RetiringPrincipal shape.Opt[string]      `wire:"RetiringPrincipal"`
	IssuingAccount    string                 `wire:"IssuingAccount"`
	Operations        []shape.GrantOperation `wire:"Operations"`
	Constraints       *GrantConstraints      `wire:"Constraints"`
}

// ListGrantsOutput is a page of grants.
type ListGrantsOutput struct {
	Grants     []GrantListEntry  `wire:"Grants"`
	NextMarker shape.Opt[string] `wire:"NextMarker"`
	Truncated  bool              `wire:"Truncated"`
}

// ListGrants lists the grants on a key in every key state: in the order in which they were made, or, of one grantee, in an order
// that stays as it is (spec 10 LGR).
func (s *Service) ListGrants(_ context.Context, c *Call, in *ListGrantsInput) (*ListGrantsOutput, error) {
	k := c.Key()
	scope := pageScope{"ListGrants", k.Account, k.ID + "\x00" + in.GrantID.Value + "\x00" + in.GranteePrincipal.Value}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	switch {
	case in.GrantID.Set:
		return s.grantPage(c, scope, in.Limit, s.oneGrant(c, in), creationMark), nil
	case in.GranteePrincipal.Set:
		rows := c.State.GrantsOfGrantee(keyRef(k), s.principalKey(c, in.GranteePrincipal.Value), after)
		return s.grantPage(c, scope, in.Limit, rows, (*fsm.Grant).Place), nil
	}
	version, err := openCreationMark(after)
	if err != nil {
		return nil, err
	}
	return s.grantPage(c, scope, in.Limit, c.State.GrantsOf(keyRef(k), version), creationMark), nil
}

// oneGrant is the grant that the request names, if it is on the key and for the grantee that the request may name besides. An
// unknown one is an empty list (spec 04 GM-01).
func (s *Service) oneGrant(c *Call, in *ListGrantsInput) iter.Seq[*fsm.Grant] {
	g, k := c.State.Grant(in.GrantID.Value), c.Key()
	if !grantOn(g, k) || in.GranteePrincipal.Set && g.Grantee.Key() != s.principalKey(c, in.GranteePrincipal.Value) {
		return slices.Values([]*fsm.Grant(nil))
	}
	return slices.Values([]*fsm.Grant{g})
}

// grantOn tells whether a grant is there and on a key.
func grantOn(g *fsm.Grant, k *fsm.Key) bool {
	return g != nil && g.Account == k.Account && g.KeyID == k.ID
}

// principalKey is what the grants of a principal are found by. One that does not exist is looked up as it is written: so grants
// of a principal that is gone are found by its unique id.
func (s *Service) principalKey(c *Call, name string) string {
	p, err := c.Edge.GrantPrincipal(c, name)
	if err != nil {
		return name
	}
	return p.Key()
}

// creationMark marks a place in the order in which grants were made.
func creationMark(g *fsm.Grant) string { return strconv.FormatUint(g.Version, 10) }

func openCreationMark(mark string) (uint64, error) {
	if mark == "" {
		return 0, nil
	}
	version, err := strconv.ParseUint(mark, 10, 63)
	if err != nil {
		return 0, fault.InvalidMarker()
	}
	return version, nil
}

// grantPage fills a page; mark says where in the order of rows a grant stands.
func (s *Service) grantPage(c *Call, scope pageScope, limit shape.Opt[int32], rows iter.Seq[*fsm.Grant],
	mark func(*fsm.Grant) string) *ListGrantsOutput {
	out := &ListGrantsOutput{Grants: []GrantListEntry{}}
	out.NextMarker, out.Truncated = fill(scope, rows, int(limit.Or(defaultGrants)), func(g *fsm.Grant) string {
		out.Grants = append(out.Grants, s.grantEntry(c, g))
		return mark(g)
	})
	return out
}

func (s *Service) grantEntry(c *Call, g *fsm.Grant) GrantListEntry {
	e := GrantListEntry{
		KeyID: s.names.Key(g.Account, g.KeyID), GrantID: g.ID, Name: g.Name, CreationDate: millis(g.CreatedAt),
		GranteePrincipal: c.Edge.PrincipalName(c, &g.Grantee), IssuingAccount: arn.Root(s.cfg.Partition, g.IssuingAccount),
		Operations: GrantOpNames[shape.GrantOperation](g.Operations), Constraints: constraintsOf(g),
	}
	if g.Retiring != nil {
		e.RetiringPrincipal = shape.Some(c.Edge.PrincipalName(c, g.Retiring))
	}
	return e
}

func constraintsOf(g *fsm.Grant) *GrantConstraints {
	pairs := GrantContext(g)
	switch {
	case g.Constraint == nil:
		return nil
	case g.Constraint.Type == fsm.ConstraintEquals:
		return &GrantConstraints{EncryptionContextEquals: pairs}
	}
	return &GrantConstraints{EncryptionContextSubset: pairs}
}

// GrantContext returns the pairs of a grant's constraint, absent if it has none.
func GrantContext(g *fsm.Grant) shape.EncryptionContext {
	if g.Constraint == nil {
		return shape.EncryptionContext{}
	}
	pairs := make([]shape.Pair, len(g.Constraint.Pairs))
	for i, p := range g.Constraint.Pairs {
		pairs[i] = shape.Pair{Key: p.Key, Value: p.Value}
	}
	ec, _ := shape.NewEncryptionContext(pairs) // no key is stored twice
	return ec
}

// ListRetirableGrantsInput asks for a page of the grants that a principal may retire.
type ListRetirableGrantsInput struct {
	Limit             shape.Opt[int32]  `wire:"Limit" range:"1..100"`
	Marker            shape.Opt[string] `wire:"Marker" is:"MarkerType"`
	RetiringPrincipal string            `wire:"RetiringPrincipal,required" is:"PrincipalIdType"`
}

// Check implements Checker.
func (in *ListRetirableGrantsInput) Check() error { return checkGrantPrincipal(in.RetiringPrincipal) }

// Resolve needs kms:ListRetirableGrants on the principal, which must be of the caller's account (spec 04 GM-02).
func (in *ListRetirableGrantsInput) Resolve(r *Resolver) error {
	p, _ := arn.ParsePrincipal(in.RetiringPrincipal)
	r.Call.Targets = append(r.Call.Targets, Target{
		Permission: r.Permission, Account: p.Account, ARN: in.RetiringPrincipal, Principal: true,
	})
	return nil
}

// ListRetirableGrants lists the grants in the Region, on keys of whatever account, that name the retiring principal, in the order
// in which they were made (spec 10 LRG).
func (s *Service) ListRetirableGrants(_ context.Context, c *Call, in *ListRetirableGrantsInput) (*ListGrantsOutput, error) {
	scope := pageScope{"ListRetirableGrants", c.Caller.Account, in.RetiringPrincipal}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	version, err := openCreationMark(after)
	if err != nil {
		return nil, err
	}
	rows := c.State.GrantsRetiredBy(s.principalKey(c, in.RetiringPrincipal), version)
	return s.grantPage(c, scope, in.Limit, rows, creationMark), nil
}
