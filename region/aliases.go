package region

import (
	"context"
	"iter"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// aliasTarget resolves the key of an alias operation and adds it as a target.
func (r *Resolver) aliasTarget(id string) (Target, error) {
	ref, err := arn.ParseTargetKeyRef(id, r.svc.names, r.Call.Caller.Account)
	if err != nil {
		return Target{}, err
	}
	t, err := r.lookup(ref)
	if err != nil {
		return Target{}, err
	}
	r.Call.Targets = append(r.Call.Targets, t)
	return t, nil
}

// CreateAliasInput gives a key a second name.
type CreateAliasInput struct {
	AliasName   string `wire:"AliasName,required"`
	TargetKeyID string `wire:"TargetKeyId,required" is:"KeyIdType"`
}

// Check implements Checker.
func (in *CreateAliasInput) Check() error { return arn.CheckAliasName(in.AliasName) }

// Resolve needs kms:CreateAlias on the key and on the alias (spec 01 ALI-17). The key comes first: it is the one whose
// state counts.
func (in *CreateAliasInput) Resolve(r *Resolver) error {
	t, err := r.aliasTarget(in.TargetKeyID)
	if err != nil {
		return err
	}
	r.Alias(in.AliasName)
	r.resource(t.Account, t.ARN)
	r.resource(t.Account, r.svc.AliasARN(t.Account, in.AliasName))
	return nil
}

// CreateAlias binds a free name to a key (spec 10 CAL).
func (s *Service) CreateAlias(ctx context.Context, c *Call, in *CreateAliasInput) (*None, error) {
	k := c.Key()
	if c.State.Alias(k.Account, in.AliasName) != nil {
		return nil, fault.AliasExists(s.AliasARN(k.Account, in.AliasName))
	}
	if err := aliasQuota(c.State, k); err != nil {
		return nil, err
	}
	return s.change(ctx, c, &fsm.CreateAlias{Account: k.Account, Name: in.AliasName, KeyID: k.ID})
}

func aliasQuota(st *fsm.State, k *fsm.Key) error {
	if q := st.Quotas().AliasesPerKey; k.AliasCount >= q {
		return fault.AliasLimit(q, k.AliasCount)
	}
	return nil
}

// UpdateAliasInput re-points an alias.
type UpdateAliasInput struct {
	AliasName   string `wire:"AliasName,required"`
	TargetKeyID string `wire:"TargetKeyId,required" is:"KeyIdType"`
}

// Check implements Checker.
func (in *UpdateAliasInput) Check() error { return arn.CheckAliasName(in.AliasName) }

// Resolve needs kms:UpdateAlias on the new key, the current key and the alias (spec 01 ALI-17).
func (in *UpdateAliasInput) Resolve(r *Resolver) error {
	a, err := r.aliasRow(in.AliasName)
	if err != nil {
		return err
	}
	t, err := r.aliasTarget(in.TargetKeyID)
	if err != nil {
		return err
	}
	if err := r.currentKey(a); err != nil {
		return err
	}
	r.Alias(in.AliasName)
	r.resource(a.Account, r.svc.AliasARN(a.Account, a.Name))
	r.resource(t.Account, t.ARN)
	return nil
}

// currentKey adds the key that an alias points to as a target.
func (r *Resolver) currentKey(a *fsm.Alias) error {
	k := r.Call.State.Key(a.Account, a.KeyID)
	if k == nil {
		return fault.KeyNotFound(r.svc.names.Key(a.Account, a.KeyID))
	}
	r.Call.Targets = append(r.Call.Targets, Target{Permission: r.Permission, Key: k, Account: k.Account, ARN: r.svc.KeyARN(k)})
	return nil
}

// UpdateAlias re-points an alias to a key of the same kind and usage (spec 10 UAL).
func (s *Service) UpdateAlias(ctx context.Context, c *Call, in *UpdateAliasInput) (*None, error) {
	next, old := c.Targets[0].Key, c.Targets[1].Key
	if old.Usage != next.Usage {
		return nil, fault.AliasUsage(in.AliasName, old.Usage, next.Usage)
	}
	if keyspec.KindOf(shape.KeySpec(old.Spec)) != keyspec.KindOf(shape.KeySpec(next.Spec)) {
		return nil, fault.AliasKind(in.AliasName)
	}
	if old.ID != next.ID {
		if err := aliasQuota(c.State, next); err != nil {
			return nil, err
		}
	}
	return s.change(ctx, c, &fsm.UpdateAlias{Account: next.Account, Name: in.AliasName, From: old.ID, KeyID: next.ID})
}

// DeleteAliasInput names an alias.
type DeleteAliasInput struct {
	AliasName string `wire:"AliasName,required"`
}

// Check implements Checker.
func (in *DeleteAliasInput) Check() error { return arn.CheckAliasName(in.AliasName) }

// Resolve needs kms:DeleteAlias on the key and on the alias (spec 01 ALI-17).
func (in *DeleteAliasInput) Resolve(r *Resolver) error {
	a, err := r.aliasRow(in.AliasName)
	if err != nil {
		return err
	}
	if err := r.currentKey(a); err != nil {
		return err
	}
	r.Alias(in.AliasName)
	r.resource(a.Account, r.svc.AliasARN(a.Account, a.Name))
	r.resource(a.Account, r.Call.Targets[0].ARN)
	return nil
}

// DeleteAlias removes a name in every key state; the name is free at once (spec 10 DAL).
func (s *Service) DeleteAlias(ctx context.Context, c *Call, in *DeleteAliasInput) (*None, error) {
	k := c.Key()
	return s.change(ctx, c, &fsm.DeleteAlias{Account: k.Account, Name: in.AliasName, KeyID: k.ID})
}

// ListAliasesInput asks for a page of aliases, of the account or of one key.
type ListAliasesInput struct {
	KeyID  shape.Opt[string] `wire:"KeyId" is:"KeyIdType"`
	Limit  shape.Opt[int32]  `wire:"Limit" range:"1..100"`
	Marker shape.Opt[string] `wire:"Marker" is:"MarkerType"`
}

// Resolve needs kms:ListAliases on *, also with a key (spec 10 LAL). The key is looked up by the operation.
func (in *ListAliasesInput) Resolve(r *Resolver) error { return r.None(Conditions{}) }

// AliasListEntry is one alias of a list.
type AliasListEntry struct {
	AliasName       string    `wire:"AliasName"`
	AliasArn        string    `wire:"AliasArn"`
	TargetKeyID     string    `wire:"TargetKeyId"`
	CreationDate    time.Time `wire:"CreationDate"`
	LastUpdatedDate time.Time `wire:"LastUpdatedDate"`
}

// ListAliasesOutput is a page of aliases, ordered by name.
type ListAliasesOutput struct {
	Aliases    []AliasListEntry  `wire:"Aliases"`
	NextMarker shape.Opt[string] `wire:"NextMarker"`
	Truncated  bool              `wire:"Truncated"`
}

// ListAliases lists the aliases of account and Region, or of one key (spec 10 LAL).
func (s *Service) ListAliases(_ context.Context, c *Call, in *ListAliasesInput) (*ListAliasesOutput, error) {
	scope := pageScope{"ListAliases", c.Caller.Account, ""}
	if in.KeyID.Set {
		r := s.NewResolver(c, c.Operation, false, false)
		t, err := r.Find(in.KeyID.Value)
		if err != nil {
			return nil, err
		}
		if t.Key == nil {
			return nil, fault.KeyNotFound(t.ARN)
		}
		scope.filter = t.Key.ID
	}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	var rows iter.Seq[*fsm.Alias]
	if scope.filter != "" {
		rows = c.State.AliasesOf(scope.account, scope.filter, after)
	} else {
		rows = c.State.Aliases(scope.account, after)
	}
	out := &ListAliasesOutput{Aliases: []AliasListEntry{}}
	out.NextMarker, out.Truncated = fill(scope, rows, int(in.Limit.Or(50)), func(a *fsm.Alias) string {
		out.Aliases = append(out.Aliases, AliasListEntry{
			AliasName: a.Name, AliasArn: s.AliasARN(a.Account, a.Name), TargetKeyID: a.KeyID,
			CreationDate: millis(a.CreatedAt), LastUpdatedDate: millis(a.UpdatedAt),
		})
		return a.Name
	})
	return out, nil
}
