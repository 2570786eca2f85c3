package pkcs11

import (
	"crypto/subtle"
	"encoding/binary"
)

// unpadOAEP removes the padding of RSAES-OAEP (RFC 8017 section 7.1.2 step 3) with an empty label from em, the raw
// result of the RSA operation, as long as the modulus. ok is 1, or 0 for whatever is wrong. Up to the return the time
// depends on the lengths of modulus and hash alone (the length of the message shows in what the caller does with it).
// em is wiped. The message is a copy, which the caller wipes.
func unpadOAEP(h oaepHash, em []byte) (message []byte, ok int) {
	defer clear(em)
	size := h.crypto().Size()
	if len(em) < 2*size+2 {
		return nil, 0
	}
	seed, db := em[1:1+size], em[1+size:]
	mgf1XOR(seed, h, db)
	mgf1XOR(db, h, seed)
	hash := h.crypto().New()
	label := hash.Sum(nil)

	good := subtle.ConstantTimeByteEq(em[0], 0)
	good &= subtle.ConstantTimeCompare(db[:size], label)
	// After the label hash come zeros, a one, and the message. index is that of the one.
	looking, index := 1, 0
	rest := db[size:]
	for i, b := range rest {
		one := subtle.ConstantTimeByteEq(b, 1)
		zero := subtle.ConstantTimeByteEq(b, 0)
		index = subtle.ConstantTimeSelect(looking&one, i, index)
		good &= subtle.ConstantTimeSelect(looking, one|zero, 1)
		looking = subtle.ConstantTimeSelect(looking&one, 0, looking)
	}
	good &= 1 ^ looking
	if good != 1 {
		return nil, 0
	}
	return append([]byte(nil), rest[index+1:]...), 1
}

// mgf1XOR XORs the MGF1 mask of seed (RFC 8017 appendix B.2.1) into out.
func mgf1XOR(out []byte, h oaepHash, seed []byte) {
	hash := h.crypto().New()
	var counter [4]byte
	var block []byte
	for i := uint32(0); len(out) > 0; i++ {
		binary.BigEndian.PutUint32(counter[:], i)
		hash.Reset()
		hash.Write(seed)
		hash.Write(counter[:])
		block = hash.Sum(block[:0])
		n := subtle.XORBytes(out, out, block[:min(len(out), len(block))])
		out = out[n:]
	}
	clear(block)
}
