// Package vectors holds decrypt.py, an implementation of the ciphertext format that shares no code with Trent, and the test that
// it reads what Trent writes. It guarantees that docs/cryptography.md is enough to decrypt Trent's data without Trent.
package vectors
