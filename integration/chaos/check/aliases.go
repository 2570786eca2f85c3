package check

import "github.com/trentkms/trent/integration/chaos/history"

// Aliases judges alias names: each is a register that holds one key id or nothing, made only where nothing is.
//
// Operations: CreateAlias and UpdateAlias (In target), DeleteAlias; ListAliases of a key (In target, Out listed yes or no); any
// other kind uses the alias and shows the key that it reached (Out target).
func Aliases(ops []history.Op) []Anomaly {
	f := &finding{workload: AliasesName}
	linearizable(f, partition(of(AliasesName, ops), byKey), func(string, []history.Op) machine[string] {
		return machine[string]{"", stepAlias}
	})
	return f.all
}

func stepAlias(target string, op *history.Op) (bool, string) {
	next, code, match := target, "", true
	missing := ""
	if target == "" {
		missing = notFound
	}
	if op.Outcome == history.Refused && op.Error == limit {
		return op.Kind == "CreateAlias" || op.Kind == "UpdateAlias", target // names of lost answers fill the quota of a key
	}
	switch op.Kind {
	case "CreateAlias":
		next = op.In["target"]
		if target != "" {
			code = exists
		}
	case "UpdateAlias":
		next, code = op.In["target"], missing
	case "DeleteAlias":
		next, code = "", missing
	case "ListAliases":
		match = (op.Out["listed"] == "yes") == (op.In["target"] == target)
	default:
		code, match = missing, op.Out["target"] == target
	}
	return judge(op, target, next, code, match)
}
