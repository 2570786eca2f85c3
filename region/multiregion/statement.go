package multiregion

import (
	"crypto/sha256"
	"encoding/binary"
)

// Parties are the two regions of a transfer of material, each in its incarnation.
type Parties struct {
	Source, Target                       string
	SourceIncarnation, TargetIncarnation uint64
	// Nonce was drawn by the target for this one request.
	Nonce []byte
}

// Statement returns the SHA-256 digest that the source signs: who hands what to whom, and in answer to which request. Texts and bytes
// stand behind their length in 4 bytes, numbers are 8 bytes, big-endian; wrapped and public parts are there by their SHA-256. Of a bundle
// with a key it begins otherwise, so that no bundle is taken for one of the other form, and has the SHA-256 of the wrapped key.
func Statement(p *Parties, bundle *Bundle) [sha256.Size]byte {
	var b []byte
	if len(bundle.Key) == 0 {
		b = p.append([]byte("trent/material-transfer/1\x00"))
	} else {
		b = p.append([]byte("trent/material-transfer/2\x00"))
		key := sha256.Sum256(bundle.Key)
		b = append(b, key[:]...)
	}
	items := bundle.Items
	text := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	number := func(n uint64) { b = binary.BigEndian.AppendUint64(b, n) }
	number(uint64(len(items)))
	for i := range items {
		it := &items[i]
		for _, s := range []string{it.Account, it.ID, string(it.Material), it.Spec, it.Usage, it.Origin} {
			text(s)
		}
		number(it.Version.Term)
		number(it.Version.Index)
		wrapped, public := sha256.Sum256(it.Wrapped), sha256.Sum256(it.Public)
		b = append(append(b, wrapped[:]...), public[:]...)
	}
	return sha256.Sum256(b)
}

// append adds the parties, in the encoding of Statement.
func (p *Parties) append(b []byte) []byte {
	text := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	text(p.Source)
	b = binary.BigEndian.AppendUint64(b, p.SourceIncarnation)
	text(p.Target)
	b = binary.BigEndian.AppendUint64(b, p.TargetIncarnation)
	text(string(p.Nonce))
	return b
}
