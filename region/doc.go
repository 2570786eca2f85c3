// Package region is one region's key service: what each KMS operation does, over the replicated state (packages cluster
// and fsm) and the node's HSM.
//
// It guarantees:
//   - an operation runs only with a Call, which the edge makes from an authenticated request and from the decisions
//     that allowed it, all taken from one State;
//   - a change is proposed with the versions of the documents its decision used, so that a revocation acknowledged
//     first wins over a write already under way;
//   - key material is used inside the HSM only; what leaves it is listed in docs/cryptography.md;
//   - a plaintext is a shape.Secret from the moment it exists.
//
// Each file holds one concept: its shapes, its rules and its functions. The table of operations, with everything that
// the edge must know of each, is package api's.
package region
