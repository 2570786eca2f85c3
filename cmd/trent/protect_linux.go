package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// protectProcess turns core dumps off: they would hold what is in memory. A process that is not dumpable can neither be traced
// by others of its user.
func protectProcess() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("turn core dumps off: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("turn core dumps off: %w", err)
	}
	return nil
}
