// Package lab runs regions of real trent processes on one Linux machine and gives a test its hands on them: processes that are
// killed and stopped, networks that are cut, slowed and held, disks that fail, clocks that are wrong.
//
// As root each node has a network namespace and an address of its own behind a bridge, so that what is cut is what the nodes
// really use; without root nodes listen on the loopback and only their processes, disks, clocks and HSMs can be disturbed (Skips
// says what is missing). The harness's own connections are never cut unless asked for.
package lab
