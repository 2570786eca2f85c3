package policy

import "strings"

// ConstraintType is the kind of a grant's constraint.
type ConstraintType uint8

// Constraint types (spec 04 GR-02). Their String is the value of kms:GrantConstraintType.
const (
	NoConstraint            ConstraintType = iota
	EncryptionContextSubset                // the call's context has at least these pairs
	EncryptionContextEquals                // the call's context has exactly these pairs
)

// String returns the value of kms:GrantConstraintType, empty for none.
func (t ConstraintType) String() string {
	return [...]string{"", "EncryptionContextSubset", "EncryptionContextEquals"}[min(t, EncryptionContextEquals)]
}

// Constraint limits a grant to calls with a certain encryption context. Keys and values are compared exactly, case included.
type Constraint struct {
	Type  ConstraintType
	Pairs Pairs // no pair twice
}

// Satisfied tells whether a call with this encryption context meets the constraint (spec 04 GR-12). An absent context is an
// empty one, and so fails every constraint that has pairs.
func (c Constraint) Satisfied(context Pairs) bool {
	switch c.Type {
	case NoConstraint:
		return true
	case EncryptionContextEquals:
		return samePairs(context, c.Pairs)
	case EncryptionContextSubset:
		return containsPairs(context, c.Pairs)
	}
	return false
}

// AllowsChild tells whether a grant with this constraint may pass on a grant with the child's: at least as strict (GR-06).
func (c Constraint) AllowsChild(child Constraint) bool {
	switch c.Type {
	case NoConstraint:
		return true
	case EncryptionContextSubset:
		return child.Type != NoConstraint && containsPairs(child.Pairs, c.Pairs)
	case EncryptionContextEquals:
		return child.Type == EncryptionContextEquals && samePairs(child.Pairs, c.Pairs)
	}
	return false
}

// GrantPrincipal is the grantee or retiring principal of a grant. The zero value is no principal and matches nobody.
type GrantPrincipal struct{ entry entry }

// NewGrantPrincipal makes the principal of a grant from its ARN and, for a user or role, the unique id it was bound to when
// the grant was made; uniqueID may be empty, then the ARN decides. A service principal's name is accepted too (spec 04
// GR-13). Errors as [ParsePrincipal].
func NewGrantPrincipal(arn, uniqueID string) (GrantPrincipal, error) {
	if !strings.HasPrefix(arn, "arn:") && !isAccount(arn) && !isUniqueID(arn) && validService(arn) {
		return GrantPrincipal{entry{PrincipalRef: PrincipalRef{Type: ServicePrincipal, Value: arn}}}, nil
	}
	ref, err := ParsePrincipal(arn)
	if err != nil {
		return GrantPrincipal{}, err
	}
	return GrantPrincipal{entry{PrincipalRef: ref, id: uniqueID}}, nil
}

// Matches tells whether the caller is meant, as a principal in a key policy would be; an account stands for each of its
// principals.
func (g GrantPrincipal) Matches(p *Principal) bool { return g.entry.stand(p) != 0 }

// Ref returns what the principal names.
func (g GrantPrincipal) Ref() PrincipalRef { return g.entry.PrincipalRef }

// Grant is the part of a grant that authorization reads. It is not changed and may be shared between requests.
type Grant struct {
	ID string
	// KeyARN is the key that the grant is on. A grant covers no other key, whatever list it is found in.
	KeyARN     string
	Operations GrantOperations
	Grantee    GrantPrincipal
	Retiring   GrantPrincipal
	// IssuingAccount is the account of the caller of CreateGrant (spec 04 GR-14).
	IssuingAccount string
	Constraint     Constraint
}

// AllowsChild tells whether a grantee may pass on the child by this grant alone: fewer or the same operations, at least as
// strictly constrained, on the same key (spec 04 GR-06). The child's principals are free.
func (g *Grant) AllowsChild(child *Grant) bool {
	return g.Operations.Has(GrantCreateGrant) && child.KeyARN == g.KeyARN && child.Operations&^g.Operations == 0 &&
		g.Constraint.AllowsChild(child.Constraint)
}

// covers tells whether the grant is meant for this call, its grantee apart (spec 04 EV-08, GR-12).
func (g *Grant) covers(req *Request, op GrantOperation) bool {
	if g.KeyARN != req.Resource.ARN || !g.Operations.Has(op) {
		return false
	}
	switch op {
	case GrantCreateGrant:
		return req.NewGrant != nil && g.AllowsChild(req.NewGrant)
	case GrantDescribeKey, GrantRetireGrant: // their calls have no encryption context to test
		return true
	}
	return g.Constraint.Satisfied(req.EncryptionContext)
}

// findGrant returns the first grant that covers the call and whose grantee is the caller, nil if none does (spec 04 EV-08). A
// caller that is named through its role or user is capped as by a direct Allow: capped tells that boundary and session
// policies allow. An account as grantee leaves it to its identity policies, except for its root user: delegated tells that
// they allow. It takes no *evaluation, which would then live on the heap because of the iterator.
func findGrant(req *Request, op GrantOperation, capped, delegated bool, trace *recorder) *Grant {
	for g := range req.Grants {
		covers := g.covers(req, op)
		st := g.Grantee.entry.stand(req.Principal)
		granted := covers && (st&standDirect != 0 || st&standCapped != 0 && capped || st&standDelegate != 0 && delegated)
		if trace != nil {
			trace.grant(g, covers, granted)
		}
		if granted {
			return g
		}
	}
	return nil
}
