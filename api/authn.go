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
}

// known is a caller with the row it was made of.
type known struct {
	row    *fsm.AccessKey
	caller *region.Caller
}

func newAuthenticator(s *region.Service) *authenticator {
	return &authenticator{service: s, keys: sigv4.NewKeyCache[*fsm.AccessKey](keyCacheSize)}
}

// authenticate verifies a request's signature against one state: an access key that is deleted or inactive there signs nothing.
// Unknown key and wrong signature cost the same (spec 10 section 2.1).
func (a *authenticator) authenticate(ctx context.Context, st *fsm.State, sig *sigv4.Request, bodyHash [sha256.Size]byte, now time.Time) (*region.Caller, error) {
	if err := sig.Check(now, a.service.Region(), signedService); err != nil {
		return nil, signatureFault(err)
	}
	row := st.AccessKey(sig.AccessKeyID)
	if row == nil || !row.Active || sig.SessionToken != "" {
		// Sessions are not issued here, so no session token is valid.
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
	return a.caller(row), nil
}

// caller returns the principal of an access key. The principal of every access key is its account's root user.
func (a *authenticator) caller(row *fsm.AccessKey) *region.Caller {
	if v, ok := a.callers.Load(row.ID); ok && v.(*known).row == row {
		return v.(*known).caller
	}
	c := &region.Caller{
		Kind: region.PrincipalRoot, Account: row.Account, ARN: arn.Root(a.service.Partition(), row.Account),
		PrincipalID: row.Account, AccessKeyID: row.ID,
		Reads: []fsm.Read{{Doc: fsm.DocAccessKey, Name: row.ID, Version: row.Version}},
	}
	a.callers.Store(row.ID, &known{row, c})
	return c
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
