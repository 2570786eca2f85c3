package region

import (
	"strings"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
)

// Input is an operation's decoded and validated request.
type Input interface {
	// Resolve finds what the request is about, in one State, and adds a Target for every permission it needs. Its errors
	// are those of resolution: NotFoundException, InvalidArnException, and for ciphertexts InvalidCiphertextException and
	// IncorrectKeyException (spec 10 PROTO-30 step 8, PROTO-32).
	Resolve(r *Resolver) error
}

// Checker is an Input with rules across members (spec 10 PROTO-30 step 7, PROTO-39).
type Checker interface{ Check() error }

// Resolver resolves the identifiers of one request.
type Resolver struct {
	// Call is filled with targets and resources.
	Call *Call
	// Permission is the operation's own permission.
	Permission string
	// Aliases tells that an alias is accepted where a key is named (spec 01 KID-03).
	Aliases bool
	// CrossAccount tells that keys of other accounts are accepted (spec 01 KID-05).
	CrossAccount bool

	svc *Service
}

// NewResolver makes the resolver of a call.
func (s *Service) NewResolver(c *Call, permission string, aliases, crossAccount bool) Resolver {
	return Resolver{Call: c, Permission: permission, Aliases: aliases, CrossAccount: crossAccount, svc: s}
}

// None adds the pseudo-resource * of operations without a key (spec 04 IDP-05).
func (r *Resolver) None(cond Conditions) error {
	r.Call.Targets = append(r.Call.Targets, Target{Permission: r.Permission, ARN: "*", Conditions: cond})
	return nil
}

// Key resolves a key identifier as the operation accepts it and adds the key as target and resource.
func (r *Resolver) Key(id string, cond Conditions) error {
	t, err := r.Find(id)
	if err != nil {
		return err
	}
	t.Conditions = cond
	r.add(t)
	return nil
}

// add appends a target and, if it is an existing key, the record's resource.
func (r *Resolver) add(t Target) {
	r.Call.Targets = append(r.Call.Targets, t)
	if t.Key != nil {
		r.resource(t.Account, t.ARN)
	}
}

func (r *Resolver) resource(account, a string) {
	r.Call.Resources = append(r.Call.Resources, Resource{Account: account, ARN: a})
}

// Find resolves a key identifier to a target without conditions. A foreign key that does not exist is a target without
// Key, which no policy allows: it must look like one that is forbidden (spec 10 PROTO-50).
func (r *Resolver) Find(id string) (Target, error) {
	ref, err := arn.ParseKeyRef(id, r.Aliases, r.svc.names, r.Call.Caller.Account)
	if err != nil {
		return Target{}, err
	}
	return r.lookup(ref)
}

func (r *Resolver) lookup(ref arn.KeyRef) (Target, error) {
	t := Target{Permission: r.Permission, Account: ref.Account, RequestAlias: ref.Alias}
	id := strings.ToLower(ref.KeyID) // ids are stored in lower case and accepted in any
	if ref.Alias != "" {
		if a := r.Call.State.Alias(ref.Account, ref.Alias); a != nil {
			id = a.KeyID
			if planted.Bug(planted.StaleAlias) {
				id = r.svc.stale.First(ref.Account+ref.Alias, id)
			}
		}
	}
	if id != "" {
		t.Key = r.Call.State.Key(ref.Account, id)
	}
	foreign := ref.Account != r.Call.Caller.Account
	switch {
	case t.Key != nil:
		t.ARN = r.svc.KeyARN(t.Key)
	case !foreign && r.svc.missingManagedKey(r.Call, ref.Alias):
		return Target{}, &ManagedKeyError{ref.Account, ref.Alias, r.Call.Service.Name}
	case !foreign:
		return Target{}, ref.NotFound()
	default:
		t.ARN = ref.ARN()
	}
	if foreign && !r.CrossAccount {
		// Whatever the policies say, this operation does not work on foreign keys (spec 04 XA-02).
		t.Key = nil
	}
	return t, nil
}

// Alias adds the alias half of an alias operation.
func (r *Resolver) Alias(name string) {
	me := r.Call.Caller.Account
	r.Call.Targets = append(r.Call.Targets, Target{Permission: r.Permission, Account: me, ARN: r.svc.AliasARN(me, name), Alias: true})
}

// aliasRow finds an alias of the caller's account.
func (r *Resolver) aliasRow(name string) (*fsm.Alias, error) {
	me := r.Call.Caller.Account
	if a := r.Call.State.Alias(me, name); a != nil {
		return a, nil
	}
	return nil, fault.AliasNotFound(r.svc.AliasARN(me, name))
}
