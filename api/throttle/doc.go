// Package throttle counts requests against rates: how many of one quota an account may make in an interval, on all nodes of a
// region together (spec 03 part B).
//
// The leader keeps a [Ledger] of what each quota has left in its current interval. Every node has a [Meter], which leases tokens
// from the leader's ledger, a few at first and more as they are used, and grants requests out of them. What it guarantees: as long
// as the nodes reach one leader, no interval grants more than the limit, but for tokens that are used within a network's delay
// after their interval has ended. A node that reaches no leader grants its equal part of the limit by itself; so does every other
// one, so that a region without a leader stays within the limit, and a node that is cut off from a leader adds at most its part.
// A new leader begins with an empty ledger: one interval can then grant the limit once more.
//
// The package does no I/O of its own. Time is the process's clock, of which only differences count.
package throttle
