package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// maxSessions bounds the opened sessions that are kept.
const maxSessions = 20_000

// sessionCache keeps opened session tokens, so that the HSM opens each once. What is in it does not say that a session is good:
// that is asked of each request's state.
type sessionCache struct {
	opened *sync.Map // SHA-256 of access key id and token -> *opened
	count  *atomic.Int64
	keys   *sigv4.KeyCache[*region.Session]
}

// opened is an opened token, without its secret, and the caller that was made of it last.
type opened struct {
	session *region.Session
	caller  atomic.Pointer[region.Caller]
}

func newSessionCache() sessionCache {
	return sessionCache{opened: new(sync.Map), count: new(atomic.Int64), keys: sigv4.NewKeyCache[*region.Session](keyCacheSize)}
}

// session verifies a request that is signed with temporary credentials.
func (a *authenticator) session(ctx context.Context, st *fsm.State, sig *sigv4.Request, bodyHash [sha256.Size]byte, now time.Time) (*region.Caller, error) {
	o, err := a.open(ctx, st, sig.AccessKeyID, sig.SessionToken)
	if errors.Is(err, region.ErrSessionToken) {
		return nil, signatureFault(sig.VerifyUnknown(bodyHash))
	}
	if err != nil {
		return nil, fault.From(err)
	}
	key, err := a.sessions.keys.Get(sig.Scope(), o.session, func() ([]byte, error) {
		_, secret, err := a.service.OpenSession(ctx, st, sig.AccessKeyID, sig.SessionToken)
		return secret.Bytes(), err
	})
	if err != nil {
		return nil, fault.From(err)
	}
	switch err := sig.Verify(key, bodyHash); {
	case err != nil:
		return nil, signatureFault(err)
	case !now.Before(o.session.Expires):
		return nil, signatureFault(sigv4.ExpiredToken())
	case o.session.Ended(st):
		return nil, signatureFault(sigv4.UnrecognizedClient())
	}
	return a.sessionCaller(st, o, sig.AccessKeyID)
}

// open returns the session of a token.
func (a *authenticator) open(ctx context.Context, st *fsm.State, accessKeyID, token string) (*opened, error) {
	id := sha256.Sum256([]byte(accessKeyID + "\x00" + token))
	if v, ok := a.sessions.opened.Load(id); ok {
		return v.(*opened), nil
	}
	session, secret, err := a.service.OpenSession(ctx, st, accessKeyID, token)
	if err != nil {
		return nil, err
	}
	secret.Wipe()
	if a.sessions.count.Add(1) > maxSessions {
		a.sessions.opened.Clear()
		a.sessions.count.Store(1)
	}
	v, _ := a.sessions.opened.LoadOrStore(id, &opened{session: session})
	return v.(*opened), nil
}

// sessionCaller is the principal of a session as it stands in the state.
func (a *authenticator) sessionCaller(st *fsm.State, o *opened, accessKeyID string) (*region.Caller, error) {
	if c := o.caller.Load(); c != nil && c.Reads[0] == o.session.Origin(st) && (c.Standing == nil || c.Standing.Current(st)) {
		return c, nil
	}
	s := o.session
	reads := []fsm.Read{s.Origin(st)}
	c, err := a.principal(st, s.Account, s.Principal, s, reads)
	if err != nil {
		return nil, err
	}
	if s.Kind == region.PrincipalRoleSession {
		role := c.Standing.Identity
		c = &region.Caller{
			Kind: s.Kind, Account: s.Account, ARN: a.service.SessionARN(role, s.Name), PrincipalID: role.ID + ":" + s.Name,
			Standing: c.Standing, Session: s, Reads: c.Reads,
		}
	}
	c.AccessKeyID = accessKeyID
	o.caller.Store(c)
	return c, nil
}
