// Package policy is Trent's authorization engine: it parses the policy language of IAM and KMS, compiles a document once,
// and decides requests against any number of compiled documents and grants (spec 04, spec 05).
//
// It guarantees:
//
//   - Purity. No I/O, no clock, no randomness, no process-wide state: the same request and documents give the same
//     [Decision] on every node. What varies (time, address, tags) comes in through [Context].
//   - Deny by default, explicit Deny wins, and wherever a value cannot be judged the reading that refuses more is taken:
//     such a condition fails in an Allow and holds in a Deny.
//   - One evaluation. [Explain] runs the very code of [Decide] with a recorder attached, so that a simulated answer cannot
//     drift from a real one.
//   - Bounds. A document is refused before it costs more than its size allows: its depth is limited, duplicate keys and
//     unknown elements are errors, and matching a wildcard never backtracks over more than one star.
//   - Immutability. A [Policy] may be shared by any number of goroutines; deciding the common request allocates nothing.
//
// A caller parses each document when it is put ([Parse], which applies the rules for new documents) or loaded
// ([ParseStored]), checks that the principals it names exist ([Policy.Principals]), ties user and role ARNs to unique ids
// ([Policy.Bind] or [Rewrite]), and then asks [Decide] once for each (permission, resource) pair of a call.
package policy
