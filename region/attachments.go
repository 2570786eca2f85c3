package region

import (
	"context"
	"slices"
	"strings"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// What the operations on the policies of users, groups and roles have in common.

// AttachedPolicy is a managed policy that is attached to an identity.
type AttachedPolicy struct {
	PolicyName string `wire:"PolicyName"`
	PolicyARN  string `wire:"PolicyArn"`
}

// ListAttachedPoliciesOutput is a page of attached policies.
type ListAttachedPoliciesOutput struct {
	AttachedPolicies []AttachedPolicy  `wire:"AttachedPolicies"`
	IsTruncated      bool              `wire:"IsTruncated"`
	Marker           shape.Opt[string] `wire:"Marker"`
}

// ListPolicyNamesOutput is a page of names of inline policies.
type ListPolicyNamesOutput struct {
	PolicyNames []string          `wire:"PolicyNames"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

// attach attaches a managed policy; one that is attached stays so.
func (s *Service) attach(ctx context.Context, c *Call, of fsm.IdentityType, name, policy string) (*None, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, err
	}
	ref, err := s.attachable(c, policy)
	if err != nil {
		return nil, err
	}
	at, attached := slices.BinarySearch(i.Attached, ref)
	switch {
	case attached:
		return &None{}, nil
	case len(i.Attached) >= maxAttached:
		return nil, iamfault.LimitExceeded("Cannot exceed quota for %s: %d", identityKinds[of].quota, maxAttached)
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Attached = slices.Insert(slices.Clone(n.Attached), at, ref) })
}

// detach ends an attachment, which must be there.
func (s *Service) detach(ctx context.Context, c *Call, of fsm.IdentityType, name, policy string) (*None, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(i.Attached, func(ref string) bool { return s.policyName(c.State, ref) == policy })
	if at < 0 {
		return nil, noPolicy(policy)
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Attached = slices.Delete(slices.Clone(n.Attached), at, at+1) })
}

// listAttached lists attached policies, ordered by ARN.
func (s *Service) listAttached(c *Call, of fsm.IdentityType, name, prefix string, p page) (*ListAttachedPoliciesOutput, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, err
	}
	var all []AttachedPolicy
	for _, ref := range i.Attached {
		policy := s.policyName(c.State, ref)
		_, path, _ := strings.Cut(policy, ":policy")
		slash := strings.LastIndexByte(path, '/')
		if strings.HasPrefix(path[:slash+1], prefix) {
			all = append(all, AttachedPolicy{path[slash+1:], policy})
		}
	}
	out := &ListAttachedPoliciesOutput{AttachedPolicies: []AttachedPolicy{}}
	out.Marker, out.IsTruncated, err = slicePage(c, i.ID, p, all, func(a AttachedPolicy) string { return a.PolicyARN }, &out.AttachedPolicies)
	return out, err
}

func findInline(i *fsm.Identity, policy string) (int, bool) {
	return slices.BinarySearchFunc(i.Inline, policy, func(p fsm.InlinePolicy, name string) int { return strings.Compare(p.Name, name) })
}

// putInline adds or replaces an inline policy, within the limit on all of them (spec 04 IDP-02).
func (s *Service) putInline(ctx context.Context, c *Call, of fsm.IdentityType, name, policy, document string) (*None, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, err
	}
	if _, err := c.Edge.CheckPolicy(c, InlinePolicy, document); err != nil {
		return nil, err
	}
	next := slices.Clone(i.Inline)
	if at, found := findInline(i, policy); found {
		next[at].Document = document
	} else {
		next = slices.Insert(next, at, fsm.InlinePolicy{Name: policy, Document: document})
	}
	size, bytes := 0, 0
	for _, p := range next {
		size, bytes = size+policySize(p.Document), bytes+len(p.Document)
	}
	if k := identityKinds[of]; size > k.inlineLimit || bytes > maxDocuments {
		return nil, iamfault.LimitExceeded("Maximum policy size of %d bytes exceeded for %s %s", k.inlineLimit, k.resource, i.Name)
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Inline = next })
}

// inline is an inline policy that must be there.
func inline(c *Call, of fsm.IdentityType, name, policy string) (*fsm.Identity, int, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, 0, err
	}
	at, found := findInline(i, policy)
	if !found {
		return nil, 0, iamfault.NoSuchEntity("The %s policy with name %s cannot be found.", identityKinds[of].resource, policy)
	}
	return i, at, nil
}

func (s *Service) deleteInline(ctx context.Context, c *Call, of fsm.IdentityType, name, policy string) (*None, error) {
	i, at, err := inline(c, of, name, policy)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Inline = slices.Delete(slices.Clone(n.Inline), at, at+1) })
}

func listInline(c *Call, of fsm.IdentityType, name string, p page) (*ListPolicyNamesOutput, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, policy := range i.Inline {
		names = append(names, policy.Name)
	}
	out := &ListPolicyNamesOutput{PolicyNames: []string{}}
	out.Marker, out.IsTruncated, err = slicePage(c, i.ID, p, names, func(n string) string { return n }, &out.PolicyNames)
	return out, err
}

// setBoundary caps a user or role, or with no policy ends that.
func (s *Service) setBoundary(ctx context.Context, c *Call, of fsm.IdentityType, name, policy string) (*None, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, err
	}
	ref := ""
	switch {
	case policy != "":
		if ref, err = s.attachable(c, policy); err != nil {
			return nil, err
		}
	case i.Boundary == "":
		return nil, iamfault.NoSuchEntity("%s %s does not have a permissions boundary.", identityKinds[of].title, i.Name)
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Boundary = ref })
}

// boundaryConditions are those of an operation that sets a boundary.
func boundaryConditions(policy string) Conditions {
	return Conditions{IAM: &IAMConditions{PermissionsBoundary: policy}}
}

// currentBoundary are the conditions of an operation that ends a boundary: the one that is in force counts.
func (r *Resolver) currentBoundary(of fsm.IdentityType, name string) Conditions {
	i := r.Call.State.IdentityNamed(r.Call.Caller.Account, of, name)
	if i == nil || i.Boundary == "" {
		return Conditions{}
	}
	return boundaryConditions(r.svc.policyName(r.Call.State, i.Boundary))
}

// tagList is the list of tags of an identity or policy.
type tagList = []fsm.Tag

// merged adds tags to a list or replaces their values.
func merged(old tagList, tags []IAMTag) (tagList, error) {
	added, err := iamTags(tags)
	if err != nil {
		return nil, err
	}
	next := slices.Clone(old)
	for _, t := range added {
		if at := slices.IndexFunc(next, func(o fsm.Tag) bool { return strings.EqualFold(o.Key, t.Key) }); at >= 0 {
			next[at] = t
		} else {
			next = append(next, t)
		}
	}
	slices.SortFunc(next, func(a, b fsm.Tag) int { return strings.Compare(a.Key, b.Key) })
	if len(next) > maxIdentityTags {
		return nil, iamfault.LimitExceeded("The number of tags has reached the maximum limit.")
	}
	return next, nil
}

// without removes tags; those that are not there are no error.
func without(old tagList, keys []string) tagList {
	return slices.DeleteFunc(slices.Clone(old), func(t fsm.Tag) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, t.Key) })
	})
}

// ListTagsOutput is a page of tags.
type ListTagsOutput struct {
	Tags        []IAMTag          `wire:"Tags"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

func listTags(c *Call, id string, p page, tags tagList) (*ListTagsOutput, error) {
	out := &ListTagsOutput{Tags: []IAMTag{}}
	var err error
	out.Marker, out.IsTruncated, err = slicePage(c, id, p, showTags(tags), func(t IAMTag) string { return t.Key }, &out.Tags)
	return out, err
}
