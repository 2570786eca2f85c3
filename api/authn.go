package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
)

// signedService is the service in the scope of signatures.
const signedService = "kms"

// keyCacheSize bounds the derived signing keys that are kept.
const keyCacheSize = 16_384

// authenticator finds out who signed a request.
type authenticator struct {
	service *region.Service
	keys    *sigv4.KeyCache[*fsm.AccessKey]
	// callers holds one Caller for each access key row in use.
	callers sync.Map // access key id -> *known
	// sessions are those of temporary credentials in use.
	sessions sessionCache
	first    planted.Memory[*fsm.AccessKey] // empty but where planted.ImmortalAccessKey is planted
}

// known is a caller with the row it was made of.
type known struct {
	row    *fsm.AccessKey
	caller *region.Caller
}

func newAuthenticator(s *region.Service) *authenticator {
	return &authenticator{service: s, keys: sigv4.NewKeyCache[*fsm.AccessKey](keyCacheSize), sessions: newSessionCache()}
}

// scope is what a door wants signed.
type scope struct{ region, service string }

// authenticate verifies a request's signature against one state: an access key that is deleted or inactive there signs nothing,
// nor does a session that began with it. Unknown key and wrong signature cost the same (spec 10 section 2.1).
func (a *authenticator) authenticate(ctx context.Context, st *fsm.State, sig *sigv4.Request, bodyHash [sha256.Size]byte, now time.Time, want scope) (*region.Caller, error) {
	if err := sig.Check(now, want.region, want.service); err != nil {
		return nil, signatureFault(err)
	}
	if err := a.service.FreshIdentities(st); err != nil {
		return nil, err
	}
	if sig.SessionToken != "" {
		return a.session(ctx, st, sig, bodyHash, now)
	}
	row := st.AccessKey(sig.AccessKeyID)
	if planted.Bug(planted.ImmortalAccessKey) {
		row = a.first.First(sig.AccessKeyID, row)
	}
	if row == nil || !row.Active {
		return nil, signatureFault(sig.VerifyUnknown(bodyHash))
	}
	key, err := a.keys.Get(sig.Scope(), row, func() ([]byte, error) {
		secret, err := a.service.AccessSecret(ctx, st, row)
		return secret.Bytes(), err
	})
	if err != nil {
		return nil, fault.From(err)
	}
	if err := sig.Verify(key, bodyHash); err != nil {
		return nil, signatureFault(err)
	}
	return a.caller(st, row)
}

// caller returns the principal of an access key: the account's root user, or a user as it stands in the state.
func (a *authenticator) caller(st *fsm.State, row *fsm.AccessKey) (*region.Caller, error) {
	if v, ok := a.callers.Load(row.ID); ok {
		k := v.(*known)
		if k.row == row && (k.caller.Standing == nil || k.caller.Standing.Current(st)) {
			return k.caller, nil
		}
	}
	reads := []fsm.Read{{Doc: fsm.DocAccessKey, Name: row.ID, Version: row.Version}}
	if name := region.ServiceOf(row); name != "" {
		c := a.servicePrincipal(row, name, reads)
		c.AccessKeyID = row.ID
		a.callers.Store(row.ID, &known{row, c})
		return c, nil
	}
	c, err := a.principal(st, row.Account, row.Principal, nil, reads)
	if err != nil {
		return nil, err
	}
	c.AccessKeyID = row.ID
	a.callers.Store(row.ID, &known{row, c})
	return c, nil
}

// principal makes the caller of credentials of the root user or a user. session is nil for long-term ones.
func (a *authenticator) principal(st *fsm.State, account, id string, session *region.Session, reads []fsm.Read) (*region.Caller, error) {
	if id == region.RootPrincipal {
		return &region.Caller{
			Kind: region.PrincipalRoot, Account: account, ARN: arn.Root(a.service.Partition(), account), PrincipalID: account,
			Session: session, Reads: reads,
		}, nil
	}
	user := st.Identity(id)
	if user == nil {
		return nil, signatureFault(sigv4.UnrecognizedClient())
	}
	standing := a.service.Standing(st, user, session)
	return &region.Caller{
		Kind: region.PrincipalUser, Account: account, ARN: a.service.IdentityARN(user), PrincipalID: user.ID, UserName: user.Name,
		Standing: standing, Session: session, Reads: append(reads, standing.Reads()...),
	}, nil
}

// forget drops what was derived from an access key that was replaced or removed.
func (a *authenticator) forget(id string) {
	a.callers.Delete(id)
	a.keys.Forget(id)
}

// signatureFault is what a client with a bad signature is told.
func signatureFault(err error) error {
	var e *sigv4.Error
	if !errors.As(err, &e) {
		return fault.From(err)
	}
	code, ok := fault.ByName(e.Name)
	if !ok {
		return fault.Internal(fmt.Errorf("signature error of an unknown name: %w", err))
	}
	return fault.New(code, "%s", e.Message)
}
