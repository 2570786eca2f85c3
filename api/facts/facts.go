// Package facts makes of rows of the state and of calls what the policy engine reads: condition keys and grants. Real calls and
// simulations ask the same code, so that the two cannot drift apart.
package facts

import (
	"slices"
	"strings"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
)

// Bind ties a compiled document to the unique ids of the users and roles that it names; principals are sorted by ARN.
func Bind(doc *policy.Policy, principals []fsm.PolicyPrincipal) *policy.Policy {
	if len(principals) == 0 {
		return doc
	}
	return doc.Bind(func(ref policy.PrincipalRef) string {
		at, found := slices.BinarySearchFunc(principals, ref.ARN, func(p fsm.PolicyPrincipal, arn string) int { return strings.Compare(p.ARN, arn) })
		if !found {
			return ""
		}
		return principals[at].ID
	})
}
