package check

import (
	"slices"
	"strings"

	"github.com/trentkms/trent/integration/chaos/history"
)

// unknownCaller is the answer to a deleted access key.
const unknownCaller = "UnrecognizedClientException"

// rights is what decides whether a principal may use a key.
type rights struct {
	Policy string // what the key policy says of the principal: "", "allow" or "deny"
	IAM    bool   // an identity policy allows
	Grants string // names of the grants, joined
	Keys   string // ids of the access keys, joined
	Value  string // what the principal wrote last
}

func (r rights) allowed() bool {
	return r.Policy != "deny" && (r.Policy == "allow" || r.IAM || r.Grants != "")
}

// Rights judges what principals could do with keys. The partition is a pair of key and principal; changes of a key policy, of a
// principal's policy and of access keys count in every pair that they concern.
//
// Operations: PutKeyPolicy (In policy, "alice=allow,bob=deny") and GetKeyPolicy (Out policy) of a key; CreateGrant, RevokeGrant,
// RetireGrant (In principal, grant) and ListGrants (In principal, Out grants, sorted) of a key; PutUserPolicy (In principal, keys);
// CreateAccessKey (In principal, Out accessKeyId) and DeleteAccessKey (In principal,
// accessKeyId); TagResource (In principal, accessKeyId, value), which no grant allows, and ListResourceTags (In principal, Out value) of
// what the principal wrote; any other kind is a use of the key (In principal, accessKeyId).
func Rights(ops []history.Op) []Anomaly {
	f := &finding{workload: RightsName}
	mine := of(RightsName, ops)
	pairs := make(map[[2]string]bool)
	for i := range mine {
		if op := &mine[i]; op.Key != "" && op.In["principal"] != "" {
			pairs[[2]string{op.Key, op.In["principal"]}] = true
		}
	}
	parts := partition(mine, func(op *history.Op) (in []string) {
		for pair := range pairs {
			if (op.Key == "" || op.Key == pair[0]) && (op.In["principal"] == "" || op.In["principal"] == pair[1]) {
				in = append(in, pair[0]+" "+pair[1])
			}
		}
		return in
	})
	linearizable(f, parts, func(name string, _ []history.Op) machine[rights] {
		key, principal, _ := strings.Cut(name, " ")
		return machine[rights]{rights{}, func(r rights, op *history.Op) (bool, rights) { return r.step(key, principal, op) }}
	})
	return f.all
}

func (r rights) step(key, principal string, op *history.Op) (bool, rights) {
	next, code, match := r, "", true
	switch op.Kind {
	case "PutKeyPolicy":
		next.Policy = field(op.In["policy"], principal)
	case "GetKeyPolicy":
		match = field(op.Out["policy"], principal) == r.Policy
	case "PutUserPolicy":
		next.IAM = slices.Contains(strings.Split(op.In["keys"], ","), key)
	case "CreateGrant":
		next.Grants = with(r.Grants, op.In["grant"])
	case "RevokeGrant", "RetireGrant":
		if next.Grants = without(r.Grants, op.In["grant"]); next.Grants == r.Grants {
			code = notFound
		}
	case "ListGrants":
		match = op.Out["grants"] == r.Grants
	case "CreateAccessKey":
		if op.Outcome == history.Refused && op.Error == "LimitExceeded" {
			return true, r // one whose answer was lost takes the place
		}
		next.Keys = with(r.Keys, op.Out["accessKeyId"])
	case "DeleteAccessKey":
		if next.Keys = without(r.Keys, op.In["accessKeyId"]); next.Keys == r.Keys {
			code = "NoSuchEntity"
		}
	case "ListResourceTags":
		match = op.Out["value"] == r.Value
	case "TagResource":
		next.Value = op.In["value"]
		r.Grants = "" // they do not give this right
		code = r.refusal(op)
		r.Grants = next.Grants
	default:
		code = r.refusal(op)
	}
	return judge(op, r, next, code, match)
}

// refusal is what a call of the principal is told.
func (r rights) refusal(op *history.Op) string {
	switch {
	case !has(r.Keys, op.In["accessKeyId"]):
		return unknownCaller
	case !r.allowed():
		return denied
	}
	return ""
}

// field is the value of a name in a list such as "alice=allow,bob=deny".
func field(list, name string) string {
	for item := range strings.SplitSeq(list, ",") {
		if k, v, ok := strings.Cut(item, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// Sets of words, sorted and joined, so that states can be compared.

func words(set string) []string {
	if set == "" {
		return nil
	}
	return strings.Split(set, ",")
}

func has(set, word string) bool { return slices.Contains(words(set), word) }

func with(set, word string) string {
	if word == "" || has(set, word) {
		return set
	}
	all := append(words(set), word)
	slices.Sort(all)
	return strings.Join(all, ",")
}

func without(set, word string) string {
	return strings.Join(slices.DeleteFunc(words(set), func(w string) bool { return w == word }), ",")
}
