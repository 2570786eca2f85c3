package shape_test

import (
	"slices"
	"testing"
	"time"

	"github.com/trentkms/trent/region/shape"
)

func TestOpt(t *testing.T) {
	var absent shape.Opt[string]
	if v, ok := absent.Get(); ok || v != "" || absent.Or("x") != "x" {
		t.Error("absent")
	}
	empty := shape.Some("")
	if v, ok := empty.Get(); !ok || v != "" || empty.Or("x") != "" || empty == absent {
		t.Error("an empty text is not an absent one")
	}
}

// TestTimes: spec 10 PROTO-05 and spec 03 AUD-14.
func TestTimes(t *testing.T) {
	east := time.FixedZone("east", 3600)
	for _, tt := range []struct {
		at          time.Time
		wire, audit string
	}{
		{time.Date(2019, 10, 22, 19, 6, 12, 317_999_999, east), "1571767572.317", "Oct 22, 2019, 6:06:12 PM"},
		{time.UnixMilli(1571767572310), "1571767572.31", "Oct 22, 2019, 6:06:12 PM"},
		{time.UnixMilli(1571767572300), "1571767572.3", "Oct 22, 2019, 6:06:12 PM"},
		{time.UnixMilli(1571767572007), "1571767572.007", "Oct 22, 2019, 6:06:12 PM"},
		{time.Unix(1571767572, 999_999), "1571767572", "Oct 22, 2019, 6:06:12 PM"},
		{time.Date(2022, 8, 10, 0, 38, 27, 0, time.UTC), "1660091907", "Aug 10, 2022, 12:38:27 AM"},
		{time.UnixMilli(-500), "-0.5", "Dec 31, 1969, 11:59:59 PM"},
		{time.Unix(0, 0), "0", "Jan 1, 1970, 12:00:00 AM"},
	} {
		if got := string(shape.AppendTime([]byte("x"), tt.at)); got != "x"+tt.wire {
			t.Errorf("%v: got %s, want %s", tt.at, got[1:], tt.wire)
		}
		if got := string(shape.AppendAuditTime(nil, tt.at)); got != tt.audit {
			t.Errorf("%v: got %s, want %s", tt.at, got, tt.audit)
		}
	}
	at := shape.Truncate(time.Date(2019, 10, 22, 19, 6, 12, 317_999_999, east))
	if at.Location() != time.UTC || at.Nanosecond() != 317_000_000 {
		t.Errorf("truncated to %v", at)
	}
}

// TestEnums: allowed values and messages (spec 10 PROTO-38).
func TestEnums(t *testing.T) {
	if !shape.ValidEnum(shape.KeySpecEd25519) || shape.ValidEnum(shape.KeySpec("rsa_2048")) || shape.ValidEnum(shape.KeySpec("")) {
		t.Error("KeySpec")
	}
	if !shape.ValidEnum(shape.DataKeySpecAES128) || shape.ValidEnum(shape.DataKeySpec("RSA_2048")) {
		t.Error("DataKeySpec allows the sizes of data keys")
	}
	shown, all := shape.DataKeySpec("").EnumMessage(), shape.KeySpec("").Enum()
	if len(shown) != len(all) || slices.Contains(shown, "AES_256") {
		t.Error("DataKeySpec lists the specs of KMS keys")
	}
	for _, s := range all {
		if !slices.Contains(shown, s) {
			t.Errorf("%s is missing in the list of DataKeySpec", s)
		}
	}
}

func TestLookup(t *testing.T) {
	if typ, ok := shape.Lookup("KeyIdType"); !ok || typ.Max != 2048 || typ.Pattern != shape.KeyIdPattern {
		t.Errorf("KeyIdType: %+v", typ)
	}
	if typ, ok := shape.Lookup("PolicyNameList"); !ok || typ.Min != shape.Unbounded || typ.Item != "PolicyNameType" {
		t.Errorf("PolicyNameList: %+v", typ)
	}
	if _, ok := shape.Lookup("DateType"); ok {
		t.Error("a type without constraints has no row")
	}
}
