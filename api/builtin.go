package api

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/region"
)

// BuiltInPolicies are the managed policies that every account can attach, ordered by ARN. Their unique ids follow from their
// names.
func BuiltInPolicies(partition string) []region.BuiltInPolicy {
	all := policy.ManagedPolicies()
	list := make([]region.BuiltInPolicy, len(all))
	for i, m := range all {
		sum := sha256.Sum256([]byte("trent/managed-policy/" + m.Name))
		list[i] = region.BuiltInPolicy{
			ID: "ANPA" + base32.StdEncoding.EncodeToString(sum[:11])[:17], Name: m.Name, Path: m.Path, ARN: m.ARN(partition),
			Description: m.Description, Document: m.Document, ServiceRole: m.ServiceRole,
		}
	}
	slices.SortFunc(list, func(a, b region.BuiltInPolicy) int { return strings.Compare(a.ARN, b.ARN) })
	return list
}
