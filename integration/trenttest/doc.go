// Package trenttest runs real Trent nodes for tests: the binary as it ships, a data directory of its own, a free port, and
// clients to talk to it.
//
// The package guarantees:
//   - a node is a process of its own, so that kill -9, restarts and the files on the disk are what they will be in production;
//   - every answer that passes through its clients is held to the protocol (spec 10 PROTO-03, 04, 20 to 23, 51), whatever the
//     test asks of it: see Journal;
//   - a stopped node is checked: it ended cleanly, its audit log verifies, and every answered call has exactly one record;
//   - nothing survives the tests: processes end with the test process, directories are removed.
package trenttest
