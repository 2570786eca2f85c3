package region

import (
	"context"
	"slices"
	"strings"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// PutInlinePolicyInput adds or replaces an inline policy of a user, group or role.
type PutInlinePolicyInput[N Named[N]] struct {
	Of             N      `wire:",inline"`
	PolicyName     string `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyDocument string `wire:"PolicyDocument,required" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
}

// Resolve implements Input.
func (in *PutInlinePolicyInput[N]) Resolve(r *Resolver) error { return r.of(in.Of, Conditions{}) }

// PutInlinePolicy adds or replaces an inline policy, within the limit on all of them (spec 04 IDP-02).
func PutInlinePolicy[N Named[N]](s *Service, ctx context.Context, c *Call, in *PutInlinePolicyInput[N]) (*None, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	if _, err := c.Edge.CheckPolicy(c, InlinePolicy, in.PolicyDocument); err != nil {
		return nil, err
	}
	next := slices.Clone(i.Inline)
	if at, found := findInline(i, in.PolicyName); found {
		next[at].Document = in.PolicyDocument
	} else {
		next = slices.Insert(next, at, fsm.InlinePolicy{Name: in.PolicyName, Document: in.PolicyDocument})
	}
	size, bytes := 0, 0
	for _, p := range next {
		size, bytes = size+policySize(p.Document), bytes+len(p.Document)
	}
	if k := identityKinds[i.Type]; size > k.inlineLimit || bytes > maxDocuments {
		return nil, iamfault.LimitExceeded("Maximum policy size of %d bytes exceeded for %s %s", k.inlineLimit, k.resource, i.Name)
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Inline = next })
}

func findInline(i *fsm.Identity, policy string) (int, bool) {
	return slices.BinarySearchFunc(i.Inline, policy, func(p fsm.InlinePolicy, name string) int { return strings.Compare(p.Name, name) })
}

// InlinePolicyInput names an inline policy of a user, group or role.
type InlinePolicyInput[N Named[N]] struct {
	Of         N      `wire:",inline"`
	PolicyName string `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *InlinePolicyInput[N]) Resolve(r *Resolver) error { return r.of(in.Of, Conditions{}) }

// find is the inline policy, which must be there, and whose it is.
func (in *InlinePolicyInput[N]) find(c *Call) (*fsm.Identity, int, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, 0, err
	}
	at, found := findInline(i, in.PolicyName)
	if !found {
		return nil, 0, iamfault.NoSuchEntity("The %s policy with name %s cannot be found.", identityKinds[i.Type].resource, in.PolicyName)
	}
	return i, at, nil
}

// InlinePolicyOutput is an inline policy of a user, group or role.
type InlinePolicyOutput[N Named[N]] struct {
	Of             N        `wire:",inline"`
	PolicyName     string   `wire:"PolicyName"`
	PolicyDocument Document `wire:"PolicyDocument"`
}

// GetInlinePolicy shows an inline policy.
func GetInlinePolicy[N Named[N]](_ *Service, _ context.Context, c *Call, in *InlinePolicyInput[N]) (*InlinePolicyOutput[N], error) {
	i, at, err := in.find(c)
	if err != nil {
		return nil, err
	}
	return &InlinePolicyOutput[N]{in.Of.named(i.Name), i.Inline[at].Name, Document(i.Inline[at].Document)}, nil
}

// DeleteInlinePolicy removes an inline policy.
func DeleteInlinePolicy[N Named[N]](s *Service, ctx context.Context, c *Call, in *InlinePolicyInput[N]) (*None, error) {
	i, at, err := in.find(c)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Inline = slices.Delete(slices.Clone(n.Inline), at, at+1) })
}

// ListPolicyNamesOutput is a page of names of inline policies.
type ListPolicyNamesOutput struct {
	PolicyNames []string          `wire:"PolicyNames"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

// ListInlinePolicies lists the names of the inline policies.
func ListInlinePolicies[N Named[N]](_ *Service, _ context.Context, c *Call, in *PageInput[N]) (*ListPolicyNamesOutput, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, policy := range i.Inline {
		names = append(names, policy.Name)
	}
	out := &ListPolicyNamesOutput{PolicyNames: []string{}}
	out.Marker, out.IsTruncated, err = slicePage(c, i.ID, in.page(), names, func(n string) string { return n }, &out.PolicyNames)
	return out, err
}
