// Package oidc verifies the tokens of OpenID Connect providers: signed JSON Web Tokens (RFC 7515, 7519) under keys that the provider
// publishes (RFC 7517, OpenID Connect Discovery 1.0) or that somebody has brought as a file.
//
// It guarantees: a token is what its text says in one way only (no member twice, no byte outside the alphabet, no header that
// would have to be understood); it is verified under a public key of the type that its algorithm needs and never under a key,
// address or certificate that the token itself brings; "none" and every algorithm with a shared secret do not exist here. Tokens
// and key sets are outside input: their size and the work on them are bounded. A [Source] asks nobody but the hosts of the
// issuers that it is given, follows no redirect, and takes no longer and no more than its limits say.
package oidc

import "errors"

// Reasons to refuse a token. Their texts are for the operator's log; none holds a part of the token.
var (
	// ErrMalformed reports a text that is no token of the kind, or lacks a claim that every token must have.
	ErrMalformed = errors.New("oidc: malformed token")
	// ErrNoKey reports that no key of the issuer fits the token: another key set may have one.
	ErrNoKey = errors.New("oidc: no key of the issuer fits the token")
	// ErrSignature reports a signature that does not verify under the key that the token names.
	ErrSignature = errors.New("oidc: wrong signature")
	// ErrExpired reports a token whose time is over.
	ErrExpired = errors.New("oidc: token expired")
	// ErrNotYet reports a token whose time has not come.
	ErrNotYet = errors.New("oidc: token not valid yet")
	// ErrAudience reports a token for somebody else.
	ErrAudience = errors.New("oidc: incorrect token audience")
	// ErrIssuer reports a token of another issuer.
	ErrIssuer = errors.New("oidc: incorrect token issuer")
	// ErrFetch reports that the issuer's keys could not be had.
	ErrFetch = errors.New("oidc: the issuer's keys cannot be fetched")
	// ErrBusy reports that too many wait for keys already.
	ErrBusy = errors.New("oidc: too many tokens wait for keys to be fetched")
	// ErrKeySet reports a key set that cannot be used.
	ErrKeySet = errors.New("oidc: not a usable key set")
)
