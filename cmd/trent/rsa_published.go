//go:build trent_published_rsa

package main

import "github.com/trentkms/trent/hsm/hsmtest/publishedrsa"

// generateRSA gives the embedded HSM keys that anybody can know: for tests, whose nodes would do little but look for primes.
var generateRSA = publishedrsa.Generate
