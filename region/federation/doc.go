// Package federation is the wire between regions: whom a node of another region may be, one memberlist pool over all nodes, and
// requests from leader to leader.
//
// It extends the node's port (package cluster/transport) by four protocols, all TLS 1.3 with certificates on both ends:
//
//   - trent-gossip-packet/1 and trent-gossip-stream/1 carry memberlist's packets and streams;
//   - trent-link/1 carries requests and their answers side by side on one lasting connection;
//   - trent-federate/1 takes one request of a region that is not federated yet and holds a token.
//
// What it guarantees: whoever is at the other end of the first three holds a certificate of the authority that was pinned for
// its region when the two were federated; region, cluster and node are read from that certificate and never from a message. A
// region that is no longer federated, and a certificate that has expired, lose their open connections. Lengths are
// bounded and nothing is allocated for what a length promises before it has arrived; connections, requests and members are bounded
// for each region. Nothing is derived from a node's being alive in the pool but where to ask first: a request that no live
// member can take is sent to the addresses in the replicated state all the same. A request may be performed twice.
package federation
