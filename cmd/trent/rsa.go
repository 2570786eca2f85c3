//go:build !trent_published_rsa

package main

import "crypto/rsa"

// generateRSA makes the RSA keys of the embedded HSM; nil: the cryptographic module does.
var generateRSA func(bits int) (*rsa.PrivateKey, error)
