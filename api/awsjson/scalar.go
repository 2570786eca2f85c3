package awsjson

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/trentkms/trent/region/shape"
)

// scalar reads a value without parts into its place.
func (d *decoder) scalar(n *node, v reflect.Value) bool {
	switch n.kind {
	case kindBool:
		return d.boolean(v)
	case kindInt, kindUint:
		return d.integer(n.kind, v)
	case kindTime:
		return d.timestamp(v.Addr().Interface().(*time.Time))
	}
	if d.next() != '"' {
		return d.mismatch(n.kind)
	}
	switch n.kind {
	case kindString:
		return d.stringOf(n, v)
	case kindBlob:
		b, ok := d.blob()
		v.SetBytes(b)
		return ok
	case kindSecretBlob:
		b, ok := d.blob()
		*v.Addr().Interface().(*shape.Secret) = shape.NewSecret(b)
		return ok
	}
	return d.secretText(v.Addr().Interface().(*shape.Secret))
}

// stringOf reads a text; a value of an enum is taken from its table instead of being copied.
func (d *decoder) stringOf(n *node, v reflect.Value) bool {
	if n.limits.enum == nil {
		s, ok := d.string()
		v.SetString(s)
		return ok
	}
	raw, escaped, ok := d.text()
	if escaped {
		raw = unescape(make([]byte, 0, len(raw)), raw)
	}
	for _, e := range n.limits.enum {
		if e == string(raw) {
			v.SetString(e)
			return ok
		}
	}
	v.SetString(d.keep(raw))
	return ok
}

func (d *decoder) secretText(to *shape.Secret) bool {
	raw, escaped, ok := d.text()
	b := make([]byte, 0, len(raw))
	if escaped {
		b = unescape(b, raw)
	} else {
		b = append(b, raw...)
	}
	*to = shape.NewSecret(b)
	return ok
}

// base64Strict refuses stray bits behind the last byte, so that a blob has one form only.
var base64Strict = base64.StdEncoding.Strict()

// blob reads standard base64 with padding (spec 10 PROTO-05) into memory of its own.
func (d *decoder) blob() ([]byte, bool) {
	raw, escaped, ok := d.text()
	if !ok {
		return nil, false
	}
	if escaped { // some encoders write \/
		raw = unescape(make([]byte, 0, len(raw)), raw)
		defer clear(raw)
	}
	b := make([]byte, decodedLen(raw))
	// Go's decoder skips line breaks, which the protocol does not have; they give themselves away by the length.
	if n, err := base64Strict.Decode(b, raw); err != nil || n != len(b) || len(raw)%4 != 0 {
		clear(b)
		return nil, d.fail("A blob in the request body is not valid base64")
	}
	return b, true
}

// decodedLen returns how many bytes padded base64 stands for; for text of another length than base64 has, enough to try.
func decodedLen(raw []byte) int {
	n := base64Strict.DecodedLen(len(raw))
	if len(raw)%4 != 0 || n == 0 {
		return n
	}
	for _, c := range raw[len(raw)-2:] {
		if c == '=' {
			n--
		}
	}
	return n
}

func (d *decoder) boolean(v reflect.Value) bool {
	switch d.next() {
	case 't':
		v.SetBool(true)
		return d.literal("true")
	case 'f':
		v.SetBool(false)
		return d.literal("false")
	}
	return d.mismatch(kindBool)
}

// integer reads a number without fraction or exponent that fits the Go type.
func (d *decoder) integer(k kind, v reflect.Value) bool {
	if c := d.next(); c != '-' && (c < '0' || c > '9') {
		return d.mismatch(k)
	}
	start := d.pos
	raw, ok := d.number()
	if !ok {
		return false
	}
	var err error
	if k == kindUint {
		var u uint64
		u, err = strconv.ParseUint(string(raw), 10, 64)
		v.SetUint(u)
	} else {
		var i int64
		i, err = strconv.ParseInt(string(raw), 10, v.Type().Bits())
		v.SetInt(i)
	}
	if err != nil {
		d.pos = start
		return d.mismatch(k)
	}
	return true
}

// The instants that a timestamp may name: the years 1 to 9999, in milliseconds.
const (
	minMillis = -62135596800_000
	maxMillis = 253402300799_999
)

// timestamp reads seconds since the epoch, with or without fraction (spec 10 PROTO-05), rounded to milliseconds: clients print
// the nearest binary fraction of what they mean.
func (d *decoder) timestamp(to *time.Time) bool {
	if c := d.next(); c != '-' && (c < '0' || c > '9') {
		return d.mismatch(kindTime)
	}
	raw, ok := d.number()
	if !ok {
		return false
	}
	sec, err := strconv.ParseFloat(string(raw), 64)
	ms := math.Round(sec * 1000)
	if err != nil || ms < minMillis || ms > maxMillis {
		return d.fail("A timestamp in the request body is out of range")
	}
	*to = time.UnixMilli(int64(ms)).UTC()
	return true
}
