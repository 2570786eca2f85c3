//go:build linux

package main

import (
	"crypto/sha256"
	"runtime"
	"syscall"
	"time"
)

// slowness is how many times longer work takes here at this moment than with a processor of its own: 1 on an idle machine. What a
// run expects within a time is expected within so many times that, so that a loaded machine fails nobody.
func slowness() float64 {
	const work = 50 * time.Millisecond
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, cpu := time.Now(), threadTime()
	var b [sha256.Size]byte
	for threadTime()-cpu < work {
		for range 1000 {
			b = sha256.Sum256(b[:])
		}
	}
	return max(1, float64(time.Since(start))/float64(threadTime()-cpu))
}

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// times is a time multiplied by a slowness.
func times(d time.Duration, slow float64) time.Duration { return time.Duration(float64(d) * slow) }
