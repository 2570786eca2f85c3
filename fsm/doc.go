// Package fsm is the replicated state of one region: what a Raft log of commands makes of it, and how it is read,
// snapshot and restored.
//
// The package guarantees:
//   - Apply is arithmetic. Everything an outcome depends on is in the command or in the state: no clock, randomness,
//     I/O, goroutine or map order is consulted, so the same log gives the same bytes (Hash) on every node, however
//     the entries are cut into batches.
//   - A command either takes effect as a whole or leaves nothing behind but the applied index. A refusal is a Result
//     with a numeric code, never an error.
//   - An entry that cannot be read or recorded stops the FSM (Options.Fatal); it is never skipped, because skipping
//     would fork the state.
//   - A State is immutable. Readers hold as many as they like, on any goroutine, and never wait for apply.
//   - A restore either takes over completely or changes nothing, and never goes back.
//
// How the stored formats may change: numbers (kinds, codes, documents, CBOR field numbers, snapshot sections) are
// never reused; new fields are optional and their absence means the old behaviour; there are no floats. A new kind,
// document or field is proposed only once all nodes announce the feature level that introduced it (Level), since an
// older node stops at what it does not know. The bounds in check.go and the conditions in the apply functions are
// part of the format as well: a change of either is a new kind.
package fsm
