//go:build !linux

package trenttest

import "syscall"

// ends makes a node end with the test process where the system can do that.
func ends() *syscall.SysProcAttr { return nil }
