// Package pkcs11 is an hsm.Module on a PKCS#11 token: SoftHSM2, a network or PCIe HSM, or whatever else comes with a
// Cryptoki library (PKCS #11 v2.40 and v3.x).
//
// The package guarantees:
//   - Secret keys are made, unwrapped and used inside the token, as sensitive objects that cannot be extracted; they
//     leave it only wrapped under a domain key. The exception is Config.AllowHostUnwrap, which says what it does.
//   - What the token can do is found out by trying it when the module is opened. A mechanism that is listed but does
//     not work, or works wrongly, is missing, and Capabilities says why.
//   - A caller never waits longer than its context and the configured limits, even if the token's library hangs; the
//     number of threads that may hang in it is bounded, and Health is red while one does.
//   - The PIN is presented once for each time the library is initialized. A refused PIN ends the attempts for good, so
//     that no loop ever locks the token.
//   - A token that went away and came back is found again without a restart: calls are drained, the library is
//     finalized and initialized once, every handle is forgotten, and keys load themselves again at their next use.
//
// Two kinds of things live on the token. Domain keys and the transport key pair are token objects, found by label, so
// that several nodes can share a partition. All other keys are session objects of one anchor session, which is never
// used for anything else and lives as long as the library stays initialized: PKCS #11 destroys session objects with the
// session that made them, and logs out when the last session closes. Operations run in a pool of other sessions, one
// call at a time each.
//
// A Library stands for one Cryptoki library in the process. Cryptoki has process-wide state that one C_Finalize ends
// for everybody, so that all tokens reached through one library must be opened through one Library.
package pkcs11
