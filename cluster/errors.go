package cluster

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// refusal is an error that proves that the proposal is in no log and never will be.
type refusal string

func (r refusal) Error() string { return "cluster: " + string(r) }

// Errors of proposals that were not written. The caller may try again, here or elsewhere.
const (
	// ErrNotLeader: another node leads and this one has no way to forward.
	ErrNotLeader = refusal("another node leads the group; send the write there")
	// ErrNoLeader: no leader was found, or the new one had not opened its term, before the deadline.
	ErrNoLeader = refusal("the group has no leader; retry, and check that a majority of the nodes is up if it lasts")
	// ErrTooBusy: too many proposals wait, or the log did not take this one before the deadline.
	ErrTooBusy = refusal("too many writes are waiting for the log; retry with a delay")
	// ErrDiskFull: free space is below the low-water mark (Config.MinFree).
	ErrDiskFull = refusal("the data directory's volume is nearly full, writes are refused; free space or enlarge the volume")
	// ErrClockOff: this node's clock is more than MaxClockOff off region time, so it proposes nothing.
	ErrClockOff = refusal("this node's clock is more than 30 s off region time; synchronize it")
	// ErrOldNodes: a node of the group announces a feature level below that of the command.
	ErrOldNodes = refusal("a node of the region runs a version that does not know this change; upgrade all nodes first")
	// ErrCanceled: the caller's context had ended before the write began.
	ErrCanceled = refusal("the request ended before the write began")
	// ErrClosed: the node has been closed, or its disk has failed. Reads return it too.
	ErrClosed = refusal("the node has stopped")
)

// ErrUnknown: the command may or may not take effect. Only a retry with the same command id is safe.
var ErrUnknown = errors.New("cluster: the outcome of the write is unknown; retry with the same command id")

// NotWritten reports whether err proves that the proposal is in no log and never will be. That includes fsm.ErrInvalid.
func NotWritten(err error) bool {
	var r refusal
	return errors.As(err, &r) || errors.Is(err, fsm.ErrInvalid)
}

// Errors of reads.
var (
	// ErrNoQuorum: the read round did not complete within its bound (Config.ReadTimeout). HTTP 503; SDKs retry it.
	ErrNoQuorum = errors.New("cluster: no majority of the voters answered the read round in time; retry")
	// ErrNotMember: the configuration that this node has applied does not contain it. It is an ErrNoQuorum.
	ErrNotMember = fmt.Errorf("%w (this node is not a member of the group's configuration)", ErrNoQuorum)
)

// Errors of Open.
var (
	// ErrNotInitialized: the directory holds no node and neither Bootstrap nor a cluster id to join was given.
	ErrNotInitialized = errors.New("cluster: the data directory holds no node; bootstrap a new region or join one")
	// ErrNotEmpty: Bootstrap was asked for on a directory that already holds a node.
	ErrNotEmpty = errors.New("cluster: bootstrap needs an empty data directory, and this one already holds a node")
	// ErrDiskLost: the directory names a node, but its log or its snapshots are gone. The node forgot its vote and what
	// it acknowledged, so it must not come back under its old id: remove the node from the group, empty the directory
	// and join again as a new node.
	ErrDiskLost = errors.New("cluster: the data directory has lost its log; remove this node from the group, empty the directory and join again as a new node")
	// ErrDamaged: what the node keeps is not what it wrote: a flipped bit, a file that was cut off. It may have forgotten what it
	// promised, which is mended as ErrDiskLost is.
	ErrDamaged = errors.New("cluster: the data directory is damaged; remove this node from the group, empty the directory and join again as a new node")
	// ErrIdentity: the directory belongs to another node or another cluster than the one asked for.
	ErrIdentity = errors.New("cluster: the data directory belongs to another node or cluster")
)

// applyError gives an error of raft.Apply its meaning. Only errors that the library returns before it appends the entry
// prove that nothing was written; ErrLeadershipLost, ErrRaftShutdown and everything from the log store leave it open.
func applyError(err error) error {
	switch {
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return ErrTooBusy
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return ErrNoLeader
	default:
		return fmt.Errorf("%w (%v)", ErrUnknown, err)
	}
}
