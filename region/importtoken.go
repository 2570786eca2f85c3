package region

import (
	"encoding/binary"
	"errors"

	"github.com/trentkms/trent/region/shape"
)

// importToken is what the client carries from GetParametersForImport to ImportKeyMaterial: the wrapped private key of the
// wrapping pair and what it is bound to. Whoever changes a field breaks the binding, which the HSM layer checks.
type importToken struct {
	Domain    uint32
	ValidTo   int64 // milliseconds
	Algorithm shape.AlgorithmSpec
	KeySpec   shape.WrappingKeySpec
	Account   string
	KeyID     string
	Region    string
	Public    []byte // the wrapping public key; the HSM layer authenticates it with the private one
	Blob      []byte
}

// tokenMagic begins every token: "TRI" and version 1.
const tokenMagic = "TRI\x01"

// texts are the token's text fields in the order in which they stand.
func (t *importToken) texts() []string {
	return []string{string(t.Algorithm), string(t.KeySpec), t.Account, t.KeyID, t.Region}
}

// head is everything but the blob: magic, domain key version (4 bytes), validity (8), then each text behind its length (1).
func (t *importToken) head() []byte {
	b := binary.BigEndian.AppendUint32([]byte(tokenMagic), t.Domain)
	b = binary.BigEndian.AppendUint64(b, uint64(t.ValidTo))
	for _, s := range t.texts() {
		b = append(append(b, byte(len(s))), s...)
	}
	return b
}

// binding is what the wrapped private key is bound to.
func (t *importToken) binding() []byte { return append([]byte("trent/import/1\x00"), t.head()...) }

// encode returns the token: the head, the public key behind its length (2 bytes), then the blob.
func (t *importToken) encode() []byte {
	b := binary.BigEndian.AppendUint16(t.head(), uint16(len(t.Public)))
	return append(append(b, t.Public...), t.Blob...)
}

var errToken = errors.New("region: not an import token")

// parseImportToken reads a token; it accepts exactly what encode makes.
func parseImportToken(b []byte) (*importToken, error) {
	const fixed = len(tokenMagic) + 4 + 8
	if len(b) < fixed || string(b[:len(tokenMagic)]) != tokenMagic {
		return nil, errToken
	}
	t := &importToken{
		Domain:  binary.BigEndian.Uint32(b[len(tokenMagic):]),
		ValidTo: int64(binary.BigEndian.Uint64(b[len(tokenMagic)+4:])),
	}
	b = b[fixed:]
	var texts [5]string
	for i := range texts {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return nil, errToken
		}
		texts[i] = string(b[1 : 1+int(b[0])])
		b = b[1+int(b[0]):]
	}
	if len(b) < 2 || len(b) <= 2+int(binary.BigEndian.Uint16(b)) {
		return nil, errToken
	}
	public := 2 + int(binary.BigEndian.Uint16(b))
	t.Public, t.Blob = b[2:public], b[public:]
	t.Algorithm, t.KeySpec = shape.AlgorithmSpec(texts[0]), shape.WrappingKeySpec(texts[1])
	t.Account, t.KeyID, t.Region = texts[2], texts[3], texts[4]
	return t, nil
}
