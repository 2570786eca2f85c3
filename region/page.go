package region

import (
	"crypto/sha256"
	"encoding/base64"
	"iter"

	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// pageScope is what a marker is good for: one operation, account and filter. A marker holds the last item of its page and a
// digest of the scope, no state of a node, so it stays valid on every node and through leader changes (PAG-05).
type pageScope struct{ operation, account, filter string }

const pageDigest = 8 // bytes

func (p pageScope) digest() [32]byte {
	return sha256.Sum256([]byte("trent/marker/1\x00" + p.operation + "\x00" + p.account + "\x00" + p.filter))
}

// seal makes the marker of the page that ends with last.
func (p pageScope) seal(last string) string {
	d := p.digest()
	return base64.RawURLEncoding.EncodeToString(append(d[:pageDigest:pageDigest], last...))
}

// open returns the last item before the page that is asked for, "" for the first page.
func (p pageScope) open(marker shape.Opt[string]) (string, error) {
	if !marker.Set {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(marker.Value)
	d := p.digest()
	if err != nil || len(raw) <= pageDigest || string(raw[:pageDigest]) != string(d[:pageDigest]) {
		return "", fault.InvalidMarker()
	}
	return string(raw[pageDigest:]), nil
}

// fill takes up to limit items; add appends one to the answer and returns what names it in a marker. The results are the
// NextMarker and Truncated of the answer: a marker is present exactly when it is truncated (spec 09 PAG-02).
func fill[T any](p pageScope, items iter.Seq[T], limit int, add func(T) string) (next shape.Opt[string], truncated bool) {
	last, n := "", 0
	for item := range items {
		if n == limit {
			return shape.Some(p.seal(last)), true
		}
		last = add(item)
		n++
	}
	return shape.Opt[string]{}, false
}
