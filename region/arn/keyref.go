package arn

import (
	"strings"

	"github.com/trentkms/trent/region/fault"
)

// KeyRef is a key identifier of a request: which key or alias, of which account, and how it was named. Its strings are parts of
// the input or of ParseKeyRef's arguments. The zero value names nothing.
type KeyRef struct {
	// KeyID is the key ID, well-formed; empty if the key is named by an alias.
	KeyID string
	// Alias is the alias name with its prefix; empty if the key is named by its key ID.
	Alias string
	// Account is the owner that an ARN names, else the caller's (spec 01 KID-04). 12 digits if the caller's is.
	Account string
	// ByARN tells whether an ARN was given. Only then may the account be another than the caller's.
	ByARN bool

	scope Scope
}

// ARN prints the ARN of the key or alias, with exactly the spelling of the request.
func (r KeyRef) ARN() string {
	if r.Alias != "" {
		return r.scope.Alias(r.Account, r.Alias)
	}
	return r.scope.Key(r.Account, r.KeyID)
}

// NotFound is what a request with this identifier is told if nothing has that name: the text for a key or for an alias (spec 01
// KID-08). Keys of other accounts are denied instead (spec 10 PROTO-50).
func (r KeyRef) NotFound() *fault.Error {
	if r.Alias != "" {
		return fault.AliasNotFound(r.ARN())
	}
	return fault.KeyNotFound(r.ARN())
}

// ParseKeyRef classifies a key identifier of a request: key ID, key ARN, alias name or alias ARN (spec 01 KID-01 to KID-09).
// scope is the deployment's, account is the caller's. Where allowAlias is false, an alias is refused before
// anything else is looked at (spec 10 PROTO-31). It looks nothing up.
//
// The error is a *[fault.Error]:
//
//	malformed key ID                  NotFoundException    Invalid keyId '<id>'
//	malformed key ID inside an ARN    NotFoundException    Invalid keyId <id>
//	ARN of another Region             NotFoundException    Invalid arn <region>
//	any other malformed ARN           InvalidArnException  Invalid arn <arn>
//	alias that is not allowed         InvalidArnException  Key Aliases are not supported for this operation.
func ParseKeyRef(s string, allowAlias bool, scope Scope, account string) (KeyRef, error) {
	here := KeyRef{Account: account, scope: scope}
	switch {
	case strings.HasPrefix(s, Prefix):
		return here.parseARN(s, allowAlias)
	case strings.HasPrefix(s, AliasPrefix):
		if !allowAlias {
			return KeyRef{}, fault.AliasNotSupported()
		}
		here.Alias = s
		return here, nil
	case !WellFormedKeyID(s):
		return KeyRef{}, fault.InvalidKeyID(s)
	}
	here.KeyID = s
	return here, nil
}

// ParseTargetKeyRef is [ParseKeyRef] for the TargetKeyId of CreateAlias and UpdateAlias, where an alias has a text of its own
// (spec 10 CAL-01).
func ParseTargetKeyRef(s string, scope Scope, account string) (KeyRef, error) {
	if IsAlias(s) {
		return KeyRef{}, fault.AliasAsTarget()
	}
	return ParseKeyRef(s, false, scope, account)
}

func (r KeyRef) parseARN(s string, allowAlias bool) (KeyRef, error) {
	a, ok := Parse(s)
	if !ok || a.Service != service {
		return KeyRef{}, fault.InvalidARN(s)
	}
	alias := strings.HasPrefix(a.Resource, AliasPrefix)
	if alias && !allowAlias {
		return KeyRef{}, fault.AliasNotSupported()
	}
	if a.Partition != r.scope.Partition || !ValidAccount(a.Account) || a.Region == "" {
		return KeyRef{}, fault.InvalidARN(s)
	}
	if a.Region != r.scope.Region {
		return KeyRef{}, fault.InvalidARNRegion(a.Region)
	}
	r.Account, r.ByARN = a.Account, true
	if alias {
		r.Alias = a.Resource
		return r, nil
	}
	id, ok := strings.CutPrefix(a.Resource, keyPart)
	if !ok {
		return KeyRef{}, fault.InvalidARN(s)
	}
	if !WellFormedKeyID(id) {
		return KeyRef{}, fault.InvalidKeyIDInARN(id)
	}
	r.KeyID = id
	return r, nil
}
