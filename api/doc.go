// Package api is the edge: HTTP, request authentication, validation, authorization, audit, and one row per operation.
//
// It guarantees:
//   - every request takes one way, pipeline.go: authenticate, decode and validate, resolve, authorize, check usage and key
//     state, perform, audit, answer, in the order that a client can see (spec 10 PROTO-30);
//   - an operation is declared once, in operations.go; router, authorization, key-state check, audit, metrics and the
//     compatibility table read its row;
//   - no answer of a read, a cryptographic operation or a refusal leaves before its audit record is written; the record of
//     a change is written by every node that applies it;
//   - an error reaches the client in the documented words or as an internal error without detail.
package api
