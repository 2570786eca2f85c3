package pkcs11

import (
	"crypto/elliptic"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// decompress returns the uncompressed point for a compressed one (SEC 1 section 2.3.4). Points are public: nothing here
// needs to be constant-time.
func (f *form) decompress(compressed []byte) ([]byte, error) {
	if f.curve == nil {
		p, err := secp256k1.ParsePubKey(compressed)
		if err != nil {
			return nil, errPoint
		}
		return p.SerializeUncompressed(), nil
	}
	x, y := elliptic.UnmarshalCompressed(f.curve, compressed)
	if x == nil {
		return nil, errPoint
	}
	point := make([]byte, 1+2*f.size)
	point[0] = 4
	x.FillBytes(point[1 : 1+f.size])
	y.FillBytes(point[1+f.size:])
	return point, nil
}

// generator returns the curve's base point, uncompressed.
func (f *form) generator() []byte {
	if f.curve == nil {
		one := new(secp256k1.ModNScalar).SetInt(1)
		return secp256k1.NewPrivateKey(one).PubKey().SerializeUncompressed()
	}
	point := make([]byte, 1+2*f.size)
	point[0] = 4
	params := f.curve.Params()
	params.Gx.FillBytes(point[1 : 1+f.size])
	params.Gy.FillBytes(point[1+f.size:])
	return point
}

// order returns the order of the curve's base point, big-endian and as long as a coordinate.
func (f *form) order() []byte {
	if f.curve == nil {
		return secp256k1.Params().N.FillBytes(make([]byte, f.size))
	}
	return f.curve.Params().N.FillBytes(make([]byte, f.size))
}
