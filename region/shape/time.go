package shape

import (
	"strconv"
	"time"
)

// auditLayout is the English text of audit records, in UTC: "Aug 10, 2022, 10:38:27 PM" (spec 03 AUD-14).
const auditLayout = "Jan 2, 2006, 3:04:05 PM"

// Truncate cuts t to what the wire carries: UTC, milliseconds. A time that is stored is truncated first, so that an answer
// and a later read of the same object never differ.
func Truncate(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// AppendTime appends t as a JSON number, seconds since the epoch with up to three decimals (spec 10 PROTO-05); what is finer
// than a millisecond is cut off.
func AppendTime(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	f := ms % 1000
	if f == 0 {
		return b
	}
	b = append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// AppendAuditTime appends t as the text that audit records use inside request parameters and response elements, without
// quotes (spec 03 AUD-14).
func AppendAuditTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, auditLayout) }
