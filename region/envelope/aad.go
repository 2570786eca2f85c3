package envelope

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/trentkms/trent/region/shape"
)

var errContextTooLarge = errors.New("envelope: a part of the encryption context is longer than 2^32-1 bytes")

// appendAAD appends the associated data of a message: the whole header, the number of pairs, then for each pair, sorted by the
// bytes of its key, the length and bytes of the key and the length and bytes of the value. Numbers take 4 bytes, big-endian. An
// absent context and an empty one are the same (spec 01 CTX-08). Since every part is preceded by its length and no key occurs
// twice, two contexts never share an encoding (CTX-03).
func appendAAD(b, header []byte, ec shape.EncryptionContext) ([]byte, error) {
	b = append(b, header...)
	n := ec.Len()
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for i := range n {
		p := ec.At(i)
		if uint64(len(p.Key)) > math.MaxUint32 || uint64(len(p.Value)) > math.MaxUint32 {
			return nil, errContextTooLarge
		}
		b = appendSized(b, p.Key)
		b = appendSized(b, p.Value)
	}
	return b, nil
}

func appendSized(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
