// Package cluster runs one Raft group: a region's replicated log on this node, its leadership, its linearizable reads
// and its region time. It is built on github.com/hashicorp/raft and works the same for one voter and for five.
//
// What it guarantees:
//
//   - A [Node.Propose] that returns a result is on the disks of a majority and applied by this node's state machine. An
//     error tells whether nothing was written ([NotWritten]) or the outcome is unknown ([ErrUnknown]); an unknown outcome
//     is never reported as a refusal.
//   - A [Node.View] returns a state that holds every change acknowledged anywhere in the group before View was called. No
//     leader, term or lease is involved: it is a round of questions to the voters (see round.go for the argument).
//   - After a failed write of the log nothing is answered as committed any more: the goroutine that wrote ends, the node
//     stops talking to its peers and [Config.Fatal] is called, which should end the process.
//   - Region time ([Node.Now]) never runs backwards, and passes an instant only once a majority of the voters has.
//
// The library has three faults that are guarded here, whatever protocol reads: a follower trusts a commit index beyond
// what it was sent (transport.go clamps it), the heartbeat fast path writes the term from a second goroutine
// (transport.go leaves it out), and an older snapshot can replace a newer one (snapshots.go refuses it). DESIGN.md beside
// this file lists the decisions and what they cost.
package cluster
