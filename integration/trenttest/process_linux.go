package trenttest

import "syscall"

// ends makes a node end with the test process, also when that is killed.
func ends() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
