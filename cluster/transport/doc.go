// Package transport is the wire between the nodes of a region: one port, TLS 1.3, and protocols on it, told apart by
// ALPN (RFC 7301).
//
//   - trent-raft/1 carries the Raft library's messages;
//   - trent-rpc/1 is one lasting connection to each peer, on which read-round questions, forwarded proposals and calls
//     between nodes run side by side;
//   - trent-join/1 takes one request of a node that does not belong to the region yet, and is the only one without a client
//     certificate.
//
// What it guarantees: both ends of the first two protocols hold a certificate of the cluster's own authority, which names
// node and cluster; a connection made to a node ends at that node or fails; ids that the region has removed are refused,
// also on connections that are open already. Nothing is allocated for what a length promises before it has arrived, frames
// are bounded, and so is the number of connections in handshake and of requests under way. A proposal whose outcome is not
// known is never reported as not written.
package transport
