package facts

import (
	"slices"
	"strings"

	"github.com/trentkms/trent/api/policy"
)

// ofProvider are the keys about the provider behind a call and the claims of its token (spec 05 VAR-04): all of them while a role
// is assumed with the token, subject and audience in the session that this made.
func (c *Conditions) ofProvider(k *policy.Key) (policy.Values, bool) {
	caller := c.Call.Caller
	if w := caller.Web; w != nil {
		if k.ID == policy.KeyFederatedProvider {
			return policy.One(w.ProviderARN), true
		}
		name, ok := claimOf(k, w.Provider.URL)
		if !ok {
			return policy.Values{}, false
		}
		return claim(w.Claims, name), true
	}
	f := caller.Session.FederatedBy()
	if f == nil {
		return policy.Values{}, false
	}
	if k.ID == policy.KeyFederatedProvider {
		return policy.One(c.Service.FederationARN(f)), true
	}
	switch name, _ := claimOf(k, f.URL); name {
	case "sub":
		return policy.One(f.Subject), true
	case "aud":
		return manyOrOne(strings.Fields(f.Audience)), true
	}
	return policy.Values{}, false
}

// claimOf returns the claim that a condition key asks for, in lower case, if the key is of the issuer.
func claimOf(k *policy.Key, url string) (string, bool) {
	if k.ID != policy.KeyUnknown || len(k.Name) <= len(url) || !strings.EqualFold(k.Name[:len(url)], url) || k.Name[len(url)] != ':' {
		return "", false
	}
	return k.Name[len(url)+1:], true
}

// claim returns a claim by its name in whatever case, as condition keys are compared. Claims that differ in case only cannot be
// told apart and prove nothing.
func claim(claims map[string][]string, name string) policy.Values {
	var found []string
	n := 0
	for claim, values := range claims {
		if strings.EqualFold(claim, name) {
			found = values
			n++
		}
	}
	if n > 1 {
		return policy.Void()
	}
	return manyOrOne(found)
}

func manyOrOne(values []string) policy.Values {
	if len(values) == 1 {
		return policy.One(values[0])
	}
	return policy.Many(slices.Clone(values))
}
