// Package nemesis breaks a cluster under test: a schedule drawn from a seed says when, which faults, alone or in pairs, and for how
// long. The same seed gives the same schedule; who leads when a fault strikes the leader is the cluster's business.
//
// Every fault proves its effect: packets that were dropped, processes that ended, syncs that failed. A kind of fault that shows no
// effect in a whole run makes the run void, since a harness that breaks nothing proves nothing.
package nemesis
