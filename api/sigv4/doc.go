// Package sigv4 verifies AWS Signature Version 4, in the Authorization header and in the query (presigned), and signs for
// clients of ours. It does no I/O and keeps no state but a cache of derived keys.
//
// It guarantees that
//   - what is verified is the request as it arrived: method, path, query, the headers named in SignedHeaders and the SHA-256 of
//     the whole body; unsigned payloads and streaming signatures are refused;
//   - host, X-Amz-Date, X-Amz-Target and X-Amz-Security-Token, whichever are sent, are signed;
//   - there is one credential: a second Authorization header, a second parameter, or header and query together are refused;
//   - signatures are compared in constant time, and an unknown access key costs what a wrong signature costs;
//   - a derived key is never used after the secret it came from was changed or deleted (see [KeyCache]).
//
// The steps follow the order in which errors appear (spec 10, section 2.1), because the secret is looked up between them:
//
//	q, err := sigv4.Parse(r)                     // missing, incomplete or malformed credentials
//	err = q.Check(now, region, "kms")            // clock, signed headers, scope
//	row := view.AccessKey(q.AccessKeyID)         // nil: err = q.VerifyUnknown(bodyHash)
//	key, err := keys.Get(q.Scope(), row, secret) // derived key
//	err = q.Verify(key, bodyHash)                // the signature itself
//
// Every error caused by the request is an *[Error].
package sigv4
