// Package multiregion keeps multi-Region keys in step between regions: what a region has to tell others, how it takes over what
// they tell, and when it asks. docs/multi-region.md has the protocol.
//
// The package guarantees:
//   - everything it learns passes through the region's own Raft log and is judged there; this package decides nothing about keys;
//   - every message may be lost, repeated, delayed or overtaken: what is said is a region's state at one moment, a newer one replaces
//     an older one, and whatever is missing is asked for again;
//   - key material is asked for by the region that lacks it, with a fresh nonce, and comes wrapped for its HSM, signed by the region
//     that hands it out, bound to the key, the material, the version and both regions in their incarnations.
//
// One Engine runs on every node and works while its node leads; it serves on whatever node a request reaches.
package multiregion
