package check

import "github.com/trentkms/trent/integration/chaos/history"

// Quotas judges a counted resource, the tags of a key: there are never more than the quota allows, whoever adds them at once and
// wherever; a refusal means that the quota is used up, and a removal frees a place.
//
// Operations on a key: TagResource (In tag), UntagResource (In tag), ListResourceTags (Out tags, sorted). room is how many tags fit
// beside those that the set-up made.
func Quotas(ops []history.Op, room int) []Anomaly {
	f := &finding{workload: QuotasName}
	linearizable(f, partition(of(QuotasName, ops), byKey), func(string, []history.Op) machine[string] {
		return machine[string]{"", func(tags string, op *history.Op) (bool, string) { return stepQuota(tags, op, room) }}
	})
	return f.all
}

func stepQuota(tags string, op *history.Op, room int) (bool, string) {
	switch op.Kind {
	case "TagResource":
		code := ""
		if !has(tags, op.In["tag"]) && len(words(tags)) >= room {
			code = tooManyTags
		}
		return judge(op, tags, with(tags, op.In["tag"]), code, true)
	case "UntagResource":
		return judge(op, tags, without(tags, op.In["tag"]), "", true)
	}
	return judge(op, tags, tags, "", op.Out["tags"] == tags)
}
