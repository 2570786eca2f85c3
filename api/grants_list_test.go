package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// grantPages walks a list page by page; between, if set, runs after each.
func grantPages(t *testing.T, fetch func(marker *string) (*kms.ListGrantsOutput, error), between func(page int)) (ids []string) {
	t.Helper()
	var marker *string
	for page := 0; ; page++ {
		out := must(fetch(marker))(t)
		for _, g := range out.Grants {
			ids = append(ids, *g.GrantId)
		}
		if out.Truncated != (out.NextMarker != nil) {
			t.Fatalf("truncated %v with marker %v", out.Truncated, out.NextMarker)
		}
		if !out.Truncated {
			return ids
		}
		if marker = out.NextMarker; page > 100 {
			t.Fatal("the list does not end")
		}
		if between != nil {
			between(page)
		}
	}
}

// TestListGrantsPages: every grant that is there all the time comes once, in an order that stays, whatever comes and goes in
// between (spec 09 PAG-05).
func TestListGrantsPages(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key := l.key()
	var all, mine []string
	for i := range 11 {
		g := l.grant(key, func(in *kms.CreateGrantInput) {
			if i%3 == 0 {
				in.GranteePrincipal = aws.String(rootOf(stranger))
			}
			in.Constraints = &types.GrantConstraints{EncryptionContextSubset: pairs{"n": fmt.Sprint(i)}}
		}, []types.GrantOperation{"Encrypt", "Decrypt", "DescribeKey"}[i%3])
		all = append(all, *g.GrantId)
		if i%3 != 0 {
			mine = append(mine, *g.GrantId)
		}
	}
	list := func(limit int32, change func(*kms.ListGrantsInput)) func(*string) (*kms.ListGrantsOutput, error) {
		return func(marker *string) (*kms.ListGrantsOutput, error) {
			in := &kms.ListGrantsInput{KeyId: key, Marker: marker, Limit: &limit}
			if change != nil {
				change(in)
			}
			return l.as(owner).ListGrants(ctx, in)
		}
	}
	byGrantee := func(in *kms.ListGrantsInput) { in.GranteePrincipal = aws.String(rootOf(partner)) }
	for limit := int32(1); limit <= 12; limit += 3 {
		if got := grantPages(t, list(limit, nil), nil); !slices.Equal(got, all) {
			t.Errorf("limit %d: %v, want %v", limit, got, all)
		}
		got := grantPages(t, list(limit, byGrantee), nil)
		if !slices.Equal(got, grantPages(t, list(100, byGrantee), nil)) {
			t.Errorf("limit %d: the order of a grantee's grants changes", limit)
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(mine)); !slices.Equal(got, want) {
			t.Errorf("limit %d: the grantee has %v, want %v", limit, got, want)
		}
	}
	// The grant at the end of a page goes, a new one comes.
	got := grantPages(t, list(3, nil), func(page int) {
		if page == 0 {
			must(l.as(owner).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: &all[2]}))(t)
			all = append(all, *l.grant(key, nil, "Encrypt").GrantId)
		}
	})
	if !slices.Equal(got, all) {
		t.Errorf("while grants come and go: %v, want %v", got, all)
	}

	one := func(in *kms.ListGrantsInput) { in.GrantId = &all[1] }
	if got := grantPages(t, list(1, one), nil); !slices.Equal(got, all[1:2]) {
		t.Errorf("one grant: %v", got)
	}
	for name, change := range map[string]func(*kms.ListGrantsInput){
		"unknown id":        func(in *kms.ListGrantsInput) { in.GrantId = aws.String(aGrant) },
		"another grantee's": func(in *kms.ListGrantsInput) { in.GrantId, in.GranteePrincipal = &all[1], aws.String(rootOf(stranger)) },
		"unknown grantee":   func(in *kms.ListGrantsInput) { in.GranteePrincipal = aws.String("AROAAAAAAAAAAAAAAAAA1") },
		"another key's":     func(in *kms.ListGrantsInput) { in.KeyId, in.GrantId = l.key(), &all[1] },
	} {
		if got := grantPages(t, list(1, change), nil); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestListGrantsRefusals(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key := l.key()
	l.grant(key, nil, "Encrypt")
	l.grant(key, nil, "Encrypt")
	first := must(l.as(owner).ListGrants(ctx, &kms.ListGrantsInput{KeyId: key, Limit: aws.Int32(1)}))(t)
	limit := "ValidationException: 1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100"
	for name, c := range map[string]struct {
		as   string
		in   kms.ListGrantsInput
		want string
	}{
		"limit":              {owner, kms.ListGrantsInput{KeyId: key, Limit: aws.Int32(101)}, limit},
		"malformed id":       {owner, kms.ListGrantsInput{KeyId: key, GrantId: aws.String("x")}, "InvalidGrantIdException…"},
		"alias":              {owner, kms.ListGrantsInput{KeyId: aws.String("alias/a")}, "InvalidArnException: Key Aliases are not supported for this operation."},
		"strange marker":     {owner, kms.ListGrantsInput{KeyId: key, Marker: aws.String("x")}, "InvalidMarkerException"},
		"another key's":      {owner, kms.ListGrantsInput{KeyId: l.key(), Marker: first.NextMarker}, "InvalidMarkerException"},
		"another filter's":   {owner, kms.ListGrantsInput{KeyId: key, GranteePrincipal: aws.String(rootOf(partner)), Marker: first.NextMarker}, "InvalidMarkerException"},
		"the grantee":        {partner, kms.ListGrantsInput{KeyId: key}, denied(partner, "ListGrants") + hidden},
		"its marker, at all": {owner, kms.ListGrantsInput{KeyId: key, Marker: first.NextMarker}, ""},
	} {
		_, err := l.as(c.as).ListGrants(ctx, &c.in)
		wantFailure(t, name, err, c.want)
	}
	for name, c := range map[string]struct {
		in   kms.ListRetirableGrantsInput
		want string
	}{
		"limit":          {kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootOf(owner)), Limit: aws.Int32(101)}, limit},
		"no principal":   {kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String("me")}, "InvalidArnException: ARN does not refer to a valid principal: me"},
		"strange marker": {kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootOf(owner)), Marker: aws.String("x")}, "InvalidMarkerException"},
		"foreign":        {kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootOf(partner))}, denied(owner, "ListRetirableGrants") + hidden},
	} {
		_, err := l.as(owner).ListRetirableGrants(ctx, &c.in)
		wantFailure(t, "retirable, "+name, err, c.want)
	}
}

// TestListRetirableGrants: grants on keys of every account that name the principal, and no others (spec 04 GM-02).
func TestListRetirableGrants(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	var want []string
	for i := range 6 {
		account := []string{owner, partner}[i%2]
		key := must(l.as(account).CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata.Arn
		make := func(retiring *string) string {
			return *must(l.as(account).CreateGrant(ctx, &kms.CreateGrantInput{
				KeyId: key, GranteePrincipal: aws.String(rootOf(stranger)), RetiringPrincipal: retiring, Operations: []types.GrantOperation{"Encrypt"}}))(t).GrantId
		}
		make(nil)
		want = append(want, make(aws.String(rootOf(stranger))))
		make(aws.String(rootOf(partner)))
	}
	for _, limit := range []int32{1, 4, 6, 100} {
		got := grantPages(t, func(marker *string) (*kms.ListGrantsOutput, error) {
			out, err := l.as(stranger).ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootOf(stranger)), Marker: marker, Limit: &limit})
			if err != nil {
				return nil, err
			}
			return &kms.ListGrantsOutput{Grants: out.Grants, NextMarker: out.NextMarker, Truncated: out.Truncated}, nil
		}, nil)
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
}
