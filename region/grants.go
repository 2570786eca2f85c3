package region

import (
	"context"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// CreateGrantInput lets a principal use a key (spec 04 GR, spec 10 CGR). Members that only service integrations may send are
// refused and not ignored: without them the grant would be another.
type CreateGrantInput struct {
	KeyID             string                 `wire:"KeyId,required" is:"KeyIdType"`
	GranteePrincipal  string                 `wire:"GranteePrincipal,required" is:"PrincipalIdType"`
	RetiringPrincipal shape.Opt[string]      `wire:"RetiringPrincipal" is:"PrincipalIdType"`
	Operations        []shape.GrantOperation `wire:"Operations,required"`
	Constraints       *GrantConstraints      `wire:"Constraints"`
	GrantTokens       []string               `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	Name              shape.Opt[string]      `wire:"Name" is:"GrantNameType"`
	DryRun            shape.Opt[bool]        `wire:"DryRun"`
	_                 struct{}               `refuse:"GranteeServicePrincipal,RetiringServicePrincipal"`
}

// GrantConstraints limit a grant to calls with an encryption context. A constraint that is not known here is refused: ignoring it
// would make a wider grant.
type GrantConstraints struct {
	EncryptionContextSubset shape.EncryptionContext `wire:"EncryptionContextSubset"`
	EncryptionContextEquals shape.EncryptionContext `wire:"EncryptionContextEquals"`
	_                       struct{}                `refuse:"*"`
}

// Limits of a constraint in characters (spec 04 GR-07). The limit of a key is this service's own.
const (
	maxConstraintPairs = 8
	maxConstraintKey   = 2048
	maxConstraintValue = 384
)

// context is the pairs of the one constraint that is there; an empty map is none (spec 04 GR-07).
func (g *GrantConstraints) context() (shape.EncryptionContext, fsm.ConstraintType) {
	switch {
	case g == nil:
	case g.EncryptionContextEquals.Len() > 0:
		return g.EncryptionContextEquals, fsm.ConstraintEquals
	case g.EncryptionContextSubset.Len() > 0:
		return g.EncryptionContextSubset, fsm.ConstraintSubset
	}
	return shape.EncryptionContext{}, 0
}

func (g *GrantConstraints) check() error {
	pairs, kind := g.context()
	if kind == 0 {
		return nil
	}
	if g.EncryptionContextEquals.Len() > 0 && g.EncryptionContextSubset.Len() > 0 {
		return fault.New(fault.ValidationException, "Constraints must not hold both EncryptionContextEquals and EncryptionContextSubset.")
	}
	if pairs.Len() > maxConstraintPairs {
		return fault.New(fault.ValidationException, "A grant constraint must not hold more than %d encryption context pairs.",
			maxConstraintPairs)
	}
	for k, v := range pairs.Pairs() {
		if utf8.RuneCountInString(k) > maxConstraintKey || utf8.RuneCountInString(v) > maxConstraintValue {
			return fault.New(fault.ValidationException,
				"An encryption context pair in a grant constraint must not have a key of more than %d or a value of more than %d characters.",
				maxConstraintKey, maxConstraintValue)
		}
	}
	return nil
}

// row is the constraint as it is stored, nil for none.
func (g *GrantConstraints) row() *fsm.GrantConstraint {
	pairs, kind := g.context()
	if kind == 0 {
		return nil
	}
	c := &fsm.GrantConstraint{Type: kind, Pairs: make([]fsm.Pair, 0, pairs.Len())}
	for k, v := range pairs.Pairs() {
		c.Pairs = append(c.Pairs, fsm.Pair{Key: k, Value: v})
	}
	return c
}

// Check implements Checker.
func (in *CreateGrantInput) Check() error {
	switch opsOf(in.Operations) {
	case 0:
		return fault.New(fault.ValidationException, "Operations must hold at least one grant operation.")
	case fsm.GrantCreateGrant:
		return fault.OnlyCreateGrant()
	}
	if err := in.Constraints.check(); err != nil {
		return err
	}
	if err := checkGrantPrincipal(in.GranteePrincipal); err != nil || !in.RetiringPrincipal.Set {
		return err
	}
	return checkGrantPrincipal(in.RetiringPrincipal.Value)
}

// checkGrantPrincipal accepts the ARN of an account root, user, role, role session or federated user (spec 04 GR-02). Whether it
// exists is asked once the caller may make the grant.
func checkGrantPrincipal(s string) error {
	if p, ok := arn.ParsePrincipal(s); !ok || p.Kind == arn.Group {
		return fault.GrantPrincipal(s)
	}
	return nil
}

// Resolve implements Input. The pairs of the constraint count as the encryption context in conditions (spec 05 KCK-04).
func (in *CreateGrantInput) Resolve(r *Resolver) error {
	t, err := r.Find(in.KeyID)
	if err != nil {
		return err
	}
	t.Grant = in.grant()
	t.Conditions.EncryptionContext, _ = in.Constraints.context()
	r.add(t)
	return nil
}

// grant is the grant as far as the request says.
func (in *CreateGrantInput) grant() *fsm.Grant {
	g := &fsm.Grant{
		Grantee: fsm.GrantPrincipal{ARN: in.GranteePrincipal}, Operations: opsOf(in.Operations), Constraint: in.Constraints.row(),
		Name: in.Name.Value,
	}
	if in.RetiringPrincipal.Set {
		g.Retiring = &fsm.GrantPrincipal{ARN: in.RetiringPrincipal.Value}
	}
	return g
}

// CreateGrantOutput names a grant. Its token is nowhere else to be had (spec 04 GT-02).
type CreateGrantOutput struct {
	GrantToken string `wire:"GrantToken,hidden"`
	GrantID    string `wire:"GrantId"`
}

// CreateGrant makes a grant. A named one that is there already is returned with a new token (spec 04 GR-08).
func (s *Service) CreateGrant(ctx context.Context, c *Call, in *CreateGrantInput) (*CreateGrantOutput, error) {
	g, err := in.complete(c)
	if err != nil {
		return nil, err
	}
	same := c.State.SameGrant(g)
	if q := c.State.Quotas().GrantsPerKey; same == nil && limited(c.Key()) && c.Key().GrantCount >= q {
		return nil, fault.GrantLimit(q)
	}
	switch {
	case c.DryRun:
		return nil, nil
	case same != nil:
		return s.granted(ctx, c, same.ID)
	}
	var id [grantIDSize]byte
	if err := s.cfg.HSM.Random(ctx, id[:]); err != nil {
		return nil, hsmFault(err)
	}
	g.ID = hex.EncodeToString(id[:])
	out, err := s.granted(ctx, c, g.ID)
	if err != nil {
		return nil, err
	}
	res, err := s.propose(ctx, c, &fsm.CreateGrant{Grant: *g}, out)
	if err != nil {
		return nil, err
	}
	if res.Repeat {
		c.Objects = res.Objects
		return s.CreateGrantAgain(ctx, c, in)
	}
	return out, nil
}

// complete checks the request against its key and finds the principals.
func (in *CreateGrantInput) complete(c *Call) (*fsm.Grant, error) {
	k, g := c.Key(), *c.Targets[0].Grant
	spec, usage := shape.KeySpec(k.Spec), shape.KeyUsageType(k.Usage)
	for _, op := range in.Operations {
		if !keyspec.SupportsGrant(spec, usage, op) {
			return nil, fault.New(fault.ValidationException, "Grant operation %s is not valid for a key with key spec %s and key usage %s.",
				op, spec, usage)
		}
	}
	if g.Constraint != nil && spec != shape.KeySpecSymmetricDefault {
		return nil, fault.New(fault.ValidationException,
			"Encryption context constraints are only valid in grants on symmetric encryption keys.")
	}
	var err error
	if g.Grantee, err = c.Edge.GrantPrincipal(c, in.GranteePrincipal); err != nil {
		return nil, err
	}
	if in.RetiringPrincipal.Set {
		retiring, err := c.Edge.GrantPrincipal(c, in.RetiringPrincipal.Value)
		if err != nil {
			return nil, err
		}
		g.Retiring = &retiring
	}
	g.Account, g.KeyID = k.Account, k.ID
	g.IssuingAccount, g.Parent = c.Caller.Account, c.Decisions[0].Grant
	return &g, nil
}

// limited tells whether the quota of grants holds for a key: not for AWS managed ones (spec 04 GR-09).
func limited(k *fsm.Key) bool { return k.Manager == string(shape.KeyManagerCustomer) }

func (s *Service) granted(ctx context.Context, c *Call, id string) (*CreateGrantOutput, error) {
	token, err := s.newGrantToken(ctx, c.State, id)
	if err != nil {
		return nil, err
	}
	return &CreateGrantOutput{GrantToken: token, GrantID: id}, nil
}

// CreateGrantAgain answers a repeated CreateGrant with the grant that the first attempt made and a token of its own.
func (s *Service) CreateGrantAgain(ctx context.Context, c *Call, in *CreateGrantInput) (*CreateGrantOutput, error) {
	if len(c.Objects) != 1 {
		return nil, fault.Internal(fmt.Errorf("a remembered CreateGrant names %d objects", len(c.Objects)))
	}
	if len(c.Targets) == 0 { // the record names the key as the first attempt's did
		r := s.NewResolver(c, c.Operation, false, true)
		if err := r.Key(in.KeyID, Conditions{}); err != nil {
			return nil, err
		}
	}
	return s.granted(ctx, c, c.Objects[0])
}
