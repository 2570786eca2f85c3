package region

import (
	"context"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// RetireGrantInput names a grant by its token, or by its id and key.
type RetireGrantInput struct {
	GrantToken shape.Opt[string] `wire:"GrantToken,hidden" is:"GrantTokenType"`
	KeyID      shape.Opt[string] `wire:"KeyId" is:"KeyIdType"`
	GrantID    shape.Opt[string] `wire:"GrantId" is:"GrantIdType"`
	DryRun     shape.Opt[bool]   `wire:"DryRun"`
}

// Check implements Checker.
func (in *RetireGrantInput) Check() error {
	if in.GrantToken.Set == in.GrantID.Set || in.GrantID.Set != in.KeyID.Set {
		return fault.New(fault.ValidationException, "Specify either GrantToken, or KeyId and GrantId.")
	}
	if in.GrantID.Set {
		return checkGrantID(in.GrantID.Value)
	}
	return nil
}

// Resolve finds the grant, which decides (spec 04 GM-04). That a grant does not exist may be told to everybody, whether its key
// exists or not: ids cannot be guessed. The record names the grant, and nothing of the request (spec 03 A8).
func (in *RetireGrantInput) Resolve(r *Resolver) error {
	t, id := Target{Permission: r.Permission}, in.GrantID.Value
	if in.GrantToken.Set {
		id = r.Call.TokenGrants[0]
	}
	g := r.Call.State.Grant(id)
	r.Call.Note("grantId", id)
	if in.KeyID.Set {
		var err error
		if t, err = r.Find(in.KeyID.Value); err != nil {
			return err
		}
		if t.Key == nil || !grantOn(g, t.Key) {
			return fault.GrantNotFound(id)
		}
	} else {
		if g == nil {
			return fault.GrantNotFound(id)
		}
		t.Key = r.Call.State.Key(g.Account, g.KeyID)
		t.Account, t.ARN = g.Account, r.svc.KeyARN(t.Key)
	}
	t.Grant = g
	t.Conditions.EncryptionContext = GrantContext(g)
	r.add(t)
	return nil
}

// RetireGrant ends a grant on behalf of those whom it lets (spec 04 GM-03, GM-04).
func (s *Service) RetireGrant(ctx context.Context, c *Call, _ *RetireGrantInput) (*None, error) {
	return s.endGrant(ctx, c, c.Targets[0].Grant, fsm.GrantRetired)
}

// RevokeGrantInput names a grant and its key.
type RevokeGrantInput struct {
	KeyID   string          `wire:"KeyId,required" is:"KeyIdType"`
	GrantID string          `wire:"GrantId,required" is:"GrantIdType"`
	DryRun  shape.Opt[bool] `wire:"DryRun"`
}

// Check implements Checker.
func (in *RevokeGrantInput) Check() error { return checkGrantID(in.GrantID) }

// Resolve implements Input.
func (in *RevokeGrantInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// RevokeGrant ends a grant on behalf of those who administer its key (spec 04 GM-05).
func (s *Service) RevokeGrant(ctx context.Context, c *Call, in *RevokeGrantInput) (*None, error) {
	g := c.State.Grant(in.GrantID)
	if !grantOn(g, c.Key()) {
		return nil, fault.GrantNotFound(in.GrantID)
	}
	return s.endGrant(ctx, c, g, fsm.GrantRevoked)
}

// endGrant removes a grant; once that is acknowledged, no node lets anybody do anything by it.
func (s *Service) endGrant(ctx context.Context, c *Call, g *fsm.Grant, end fsm.GrantEnd) (*None, error) {
	if c.DryRun {
		return &None{}, nil
	}
	return s.change(ctx, c, &fsm.DeleteGrant{Key: keyRef(c.Key()), ID: g.ID, End: end})
}
