package fsm

import "fmt"

// nodeBody draws a body about nodes. Tokens live long and are used by nodes of many ids, since ids are never used again.
func (c chance) nodeBody() Body {
	n := c.Intn(60)
	switch c.Intn(9) {
	case 0:
		return &PutAuthority{Authority{Version: uint32(c.Intn(9) + 1), Cert: []byte{1}, Domain: uint32(c.Intn(4) + 1), Key: []byte{1}, CreatedAt: now0}}
	case 1, 2:
		j := joinToken(c.Intn(40), day)
		j.Token.ExpiresAt = c.s.Now() + int64(c.Intn(200)+1)*day
		return j
	case 3, 4, 5:
		for j := range from[JoinToken](&c.s.view, tableJoinTokens, indexID, nil) {
			if c.flag() {
				return &AdmitNode{j.Digest, tokenDigest(c.Intn(2)), newNode(n)}
			}
		}
		return admit(n, c.Intn(9), c.Intn(2))
	case 6:
		return &PutNode{newNode(c.someNode(1))}
	case 7:
		return &WrapDomainKey{uint32(c.Intn(4) + 1), WrappedDomain{fmt.Sprint("node-", c.someNode(n)), []byte{1}}}
	}
	return &ForgetNode{fmt.Sprint("node-", c.someNode(n))}
}

// someNode is the number of a node of the region if it can.
func (c chance) someNode(otherwise int) int {
	for node := range c.s.Nodes() {
		if _, err := fmt.Sscanf(node.ID, "node-%d", &otherwise); err == nil && c.flag() {
			break
		}
	}
	return otherwise
}
