//go:build !linux

package cluster

import (
	"math"
	"os"
)

// freeSpace is not measured here: the check is for Linux, where Trent runs in production. Config.FreeSpace can supply it.
func freeSpace(string) (uint64, error) { return math.MaxInt64, nil }

func allocate(f *os.File, size int64) error { return writeZeros(f, size) }

func syncData(f *os.File) error { return f.Sync() }
