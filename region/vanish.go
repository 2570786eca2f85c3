package region

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/trentkms/trent/fsm"
)

// Vanishing is an identity that a region has and its home has not, as an operator is told of it.
type Vanishing struct {
	// Kind is one of vanishKinds.
	Kind string `json:"kind"`
	// Name is the id of an account or an access key, else an ARN.
	Name string `json:"name"`
	// Of is whose access key it is: "the root user of account 111122223333", the ARN of a user, or "service ssm".
	Of string `json:"of,omitempty"`
}

// vanishKinds are the kinds in the order in which they are shown, what matters most first: without the root user's access keys, nobody may be
// left who can look after an account.
var vanishKinds = []string{
	"root access key", "account", "service access key", "user", "access key", "group", "role", "managed policy", "identity provider",
}

// String is the identity in words.
func (v *Vanishing) String() string {
	text := v.Kind + " " + v.Name
	if v.Of != "" {
		text += " of " + v.Of
	}
	return text
}

const (
	// maxVanish bounds the identities of one kind in a HomeChange.
	maxVanish = 200
	// maxVanishNamed bounds those that an error names.
	maxVanishNamed = 10
)

// vanishing notes what vanishes.
func (h *HomeChange) vanishing(s *Service, st *fsm.State, refs []fsm.IdentityRef) {
	if len(refs) == 0 {
		return
	}
	h.VanishCounts = make(map[string]int)
	for _, ref := range refs {
		v := s.vanishes(st, ref)
		if h.VanishCounts[v.Kind]++; h.VanishCounts[v.Kind] <= maxVanish {
			h.Vanish = append(h.Vanish, v)
		}
	}
	slices.SortStableFunc(h.Vanish, func(a, b Vanishing) int {
		return cmp.Or(cmp.Compare(slices.Index(vanishKinds, a.Kind), slices.Index(vanishKinds, b.Kind)), cmp.Compare(a.Name, b.Name))
	})
}

// summary names the first of what vanishes, and how many there are in all.
func (h *HomeChange) summary(total int) string {
	var names []string
	for i := range h.Vanish[:min(len(h.Vanish), maxVanishNamed)] {
		names = append(names, h.Vanish[i].String())
	}
	if more := total - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// vanishes describes an identity.
func (s *Service) vanishes(st *fsm.State, ref fsm.IdentityRef) Vanishing {
	switch ref.Table {
	case fsm.TableAccounts:
		return Vanishing{Kind: "account", Name: ref.Name}
	case fsm.TablePolicies:
		if p := st.ManagedPolicy(ref.Name); p != nil {
			return Vanishing{Kind: "managed policy", Name: s.PolicyARN(p)}
		}
	case fsm.TableIdentities:
		if i := st.Identity(ref.Name); i != nil {
			return Vanishing{Kind: identityKinds[i.Type].resource, Name: s.IdentityARN(i)}
		}
	case fsm.TableProviders:
		return Vanishing{Kind: "identity provider", Name: s.iamARN(ref.Account, "oidc-provider/"+ref.Name)}
	case fsm.TableAccessKeys:
		if k := st.AccessKey(ref.Name); k != nil {
			return s.accessKeyVanishes(st, k)
		}
	}
	return Vanishing{Kind: "identity", Name: ref.Name}
}

func (s *Service) accessKeyVanishes(st *fsm.State, k *fsm.AccessKey) Vanishing {
	if k.Principal == RootPrincipal {
		return Vanishing{"root access key", k.ID, "the root user of account " + k.Account}
	}
	if name := ServiceOf(k); name != "" {
		return Vanishing{"service access key", k.ID, "service " + name}
	}
	v := Vanishing{Kind: "access key", Name: k.ID}
	if u := st.Identity(k.Principal); u != nil {
		v.Of = s.IdentityARN(u)
	}
	return v
}
