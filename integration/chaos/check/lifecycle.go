package check

import (
	"time"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Names of the workloads, which their operations carry.
const (
	LifecycleName = "lifecycle"
	RightsName    = "rights"
	AliasesName   = "aliases"
	RotationName  = "rotation"
	ImportsName   = "imports"
	LedgerName    = "ledger"
	StormName     = "storm"
	RegionsName   = "regions"
	AuditName     = "audit"
	DigestsName   = "digests"
	SecretsName   = "secrets"
	QuotasName    = "quotas"

	IdentitiesName = "identities"
)

// Error codes that the models know.
const (
	disabled     = "DisabledException"
	invalidState = "KMSInvalidStateException"
	notFound     = "NotFoundException"
	exists       = "AlreadyExistsException"
	denied       = "AccessDeniedException"
	limit        = "LimitExceededException"
	tooManyTags  = "TagException"
)

// keyRegisters is what a key is, as far as the lifecycle workload changes it.
type keyRegisters struct {
	Enabled, Pending         bool
	Description, Tag, Policy string
}

// state is the key state as DescribeKey shows it.
func (k keyRegisters) state() string {
	switch {
	case k.Pending:
		return "PendingDeletion"
	case k.Enabled:
		return "Enabled"
	}
	return "Disabled"
}

// Lifecycle judges the key registers: state, description, tag and policy marker of each key are registers, and cryptographic
// operations succeed only where the state permits, on whatever node.
//
// Operations: EnableKey, DisableKey, ScheduleKeyDeletion, CancelKeyDeletion; UpdateKeyDescription, TagResource and PutKeyPolicy with
// In value; DescribeKey with Out state and description, ListResourceTags and GetKeyPolicy with Out value; any other kind is a
// cryptographic operation. A key starts enabled, with empty registers. ScheduleKeyDeletion asks for 7 days and carries In earliest, the
// least that region time can have been, and Out deletion, both in milliseconds.
func Lifecycle(ops []history.Op) []Anomaly {
	f := &finding{workload: LifecycleName}
	linearizable(f, partition(of(LifecycleName, ops), byKey), func(string, []history.Op) machine[keyRegisters] {
		return machine[keyRegisters]{keyRegisters{Enabled: true}, stepKey}
	})
	for i := range ops {
		if op := &ops[i]; op.Workload == LifecycleName && op.Kind == "ScheduleKeyDeletion" && op.Outcome == history.OK {
			if number(op.Out["deletion"]) < number(op.In["earliest"])+deletionWindow.Milliseconds() {
				f.add([]history.Op{*op}, "a deletion before its waiting period: %s", describe(op))
			}
		}
	}
	return f.all
}

// deletionWindow is the waiting period that the workload asks for.
const deletionWindow = 7 * 24 * time.Hour

func stepKey(k keyRegisters, op *history.Op) (bool, keyRegisters) {
	next, code, match := k, "", true
	if k.Pending {
		code = invalidState
	}
	switch op.Kind {
	case "EnableKey":
		next.Enabled = true
	case "DisableKey":
		next.Enabled = false
	case "ScheduleKeyDeletion":
		next.Pending = true
	case "CancelKeyDeletion":
		next.Pending, next.Enabled = false, false
		code = ""
		if !k.Pending {
			code = invalidState
		}
	case "UpdateKeyDescription":
		next.Description = op.In["value"]
	case "TagResource":
		next.Tag = op.In["value"]
	case "PutKeyPolicy":
		next.Policy, code = op.In["value"], ""
	case "DescribeKey":
		code, match = "", op.Out["state"] == k.state() && op.Out["description"] == k.Description
	case "ListResourceTags":
		code, match = "", op.Out["value"] == k.Tag
	case "GetKeyPolicy":
		code, match = "", op.Out["value"] == k.Policy
	default:
		if code == "" && !k.Enabled {
			code = disabled
		}
	}
	return judge(op, k, next, code, match)
}
