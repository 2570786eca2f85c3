// Package planted names faults that can be planted into this program, so that the chaos harness can show that it would find
// them. They exist in builds with the tag chaos only: in any other build Bug is the constant false, and the compiler leaves
// out what it guards. docs/chaos.md has a table of them.
//
// The package has no state but the set of planted faults, and does no I/O.
package planted

// The faults. Each breaks one promise.
const (
	VerifyLeader      = "planted/verify-leader"       // a leader reads after raft.VerifyLeader instead of a quorum round
	LocalReads        = "planted/local-reads"         // a follower reads its own state without a round
	JoinRunningRound  = "planted/join-running-round"  // a reader joins the read round that is under way
	CountNonvoters    = "planted/count-nonvoters"     // read rounds count nodes without a vote
	AckUnknown        = "planted/ack-unknown"         // a change whose outcome is unknown is answered as done
	UnknownIsRefusal  = "planted/unknown-is-refusal"  // a change whose outcome is unknown is answered as refused
	AckBeforeSync     = "planted/ack-before-sync"     // log entries are acknowledged before they are on the disk
	SkipReadSet       = "planted/skip-read-set"       // apply does not check the documents that a decision was based on
	ForgetRetryIDs    = "planted/forget-retry-ids"    // a restored snapshot has no command ids
	IgnoreRetryIDs    = "planted/ignore-retry-ids"    // a retry is taken for a new command
	SnapshotDropsRow  = "planted/snapshot-drops-row"  // a restored snapshot has no grants
	MissDisable       = "planted/miss-disable"        // this node does not apply that a key is disabled
	MissRevoke        = "planted/miss-revoke"         // this node does not apply that a grant ends
	ApplyDiffers      = "planted/apply-differs"       // apply depends on the node
	StaleAlias        = "planted/stale-alias"         // an alias is resolved from memory once it has been used
	StalePolicy       = "planted/stale-policy"        // a key policy is compiled once and then kept
	StaleKeyState     = "planted/stale-key-state"     // a key that was enabled once stays so for this node
	ImmortalAccessKey = "planted/immortal-access-key" // an access key that was used once stays good on this node
	AliasTaken        = "planted/alias-taken"         // an alias name can be taken twice
	FirstMaterial     = "planted/first-material"      // encryption uses the first material for ever
	LocalClock        = "planted/local-clock"         // region time is the node's own clock
	DropAudit         = "planted/drop-audit"          // one change in eight leaves no audit record
	TwoPrimaries      = "planted/two-primaries"       // a region goes on as primary after it gave the primary away
	EarlyMaterial     = "planted/early-material"      // a primary encrypts with rotated material before every region has it
	KeepRemoved       = "planted/keep-removed"        // a region that follows a home does not apply that identities are gone
	OlderIdentities   = "planted/older-identities"    // a region that follows a home takes over an earlier state of the identities
	EarlyAnswer       = "planted/early-answer"        // a change of identities is answered by a region that does not have it yet
	ImmortalSession   = "planted/immortal-session"    // a session goes on after the access key that it began with
	IgnoreLevels      = "planted/ignore-levels"       // commands of a feature level are used before every node knows it
)

// All lists the faults.
func All() []string {
	return []string{
		VerifyLeader, LocalReads, JoinRunningRound, CountNonvoters, AckUnknown, UnknownIsRefusal, AckBeforeSync, SkipReadSet,
		ForgetRetryIDs, IgnoreRetryIDs, SnapshotDropsRow, MissDisable, MissRevoke, ApplyDiffers, StaleAlias, StalePolicy,
		StaleKeyState, ImmortalAccessKey, AliasTaken, FirstMaterial, LocalClock, DropAudit, TwoPrimaries, EarlyMaterial,
		KeepRemoved, OlderIdentities, EarlyAnswer, ImmortalSession, IgnoreLevels,
	}
}
