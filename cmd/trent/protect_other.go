//go:build !linux

package main

// protectProcess has nothing to do here: core dumps are the system's setting.
func protectProcess() error { return nil }
