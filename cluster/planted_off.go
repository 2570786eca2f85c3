//go:build !chaos

package cluster

// plant plants faults in builds for the chaos harness, and nothing in this one.
func plant(*mutation) {}
