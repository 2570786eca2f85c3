package audit

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// MaxRecord is the largest encoded record in bytes (256 KiB). [Record.AppendJSON] cuts to it, the log refuses more.
const MaxRecord = 256 << 10

// Values of the envelope (spec 03 A2).
const (
	EventVersion     = "1.11"
	EventSourceKMS   = "kms.amazonaws.com"
	TypeAPICall      = "AwsApiCall"
	TypeServiceEvent = "AwsServiceEvent"
	ResourceTypeKey  = "AWS::KMS::Key"
)

// Record is one event in CloudTrail's shape (spec 03 A2). What stands in it is the caller's decision, redaction
// included (spec 03 A6): this type only has no field for a secret. The four JSON parts are complete, well-formed JSON
// values without line breaks, encoded by the caller; they are copied as they are.
type Record struct {
	UserIdentity    UserIdentity
	EventTime       time.Time // printed in UTC, whole seconds
	EventSource     string    // "" is [EventSourceKMS]
	EventName       string
	AWSRegion       string
	SourceIPAddress string
	UserAgent       string

	// ErrorCode and ErrorMessage stand only on failures; the message may be empty (spec 03 AUD-33).
	ErrorCode    string
	ErrorMessage string

	RequestParameters   []byte // nil prints null
	ResponseElements    []byte // nil prints null
	AdditionalEventData []byte // nil leaves the key out

	RequestID string // "" leaves the key out: three internal events have none
	EventID   string
	ReadOnly  bool

	// Resources: nil leaves the key out (custom key store operations), an empty slice prints [] (ListKeys): AUD-20.
	Resources []Resource

	EventType           string // "" is [TypeAPICall]
	RecipientAccountID  string
	SharedEventID       string // the same on both records of a cross-account call; "" leaves the key out
	ServiceEventDetails []byte // nil leaves the key out
	TLSDetails          *TLSDetails
	VPCEndpointID       string // "" leaves the key out (AUD-06)
}

// Resource is one element of resources (spec 03 AUD-19).
type Resource struct {
	AccountID string
	Type      string // "" is [ResourceTypeKey], also for aliases
	ARN       string
}

// TLSDetails describes the connection (spec 03 A2, spec 05 PQT-05). Empty fields are left out.
type TLSDetails struct {
	TLSVersion               string // TLSv1.3
	CipherSuite              string
	ClientProvidedHostHeader string
	KeyExchange              string // X25519MLKEM768
}

// AppendJSON appends the record as one JSON object without a line break, its keys in the order of spec 03's skeleton.
// It allocates only to grow b. A record of more than [MaxRecord] bytes is cut: the largest of the four JSON parts
// become {"omitted":true,"originalSize":n,"reason":"..."}, over-long texts end in "[cut from n bytes]" and of many
// resources the first eight stay. The result is well-formed JSON whatever the texts hold.
func (r *Record) AppendJSON(b []byte) []byte {
	e := encoder{b: b}
	e.record(r)
	if len(e.b)-len(b) <= MaxRecord {
		return e.b
	}
	short := r.cut()
	e = encoder{b: e.b[:len(b)], limit: cutText}
	e.record(&short)
	return e.b
}

// The limits of a cut record: about 60 texts of cutText bytes, of which 24 belong to resources, and parts of together
// cutParts bytes stay below MaxRecord.
const (
	cutText      = 2 << 10
	cutParts     = 96 << 10
	cutResources = 8
)

// cut returns a copy whose parts fit together into cutParts bytes; the largest go first, since they are the cause.
func (r *Record) cut() Record {
	short := *r
	parts := []*[]byte{&short.RequestParameters, &short.ResponseElements, &short.AdditionalEventData, &short.ServiceEventDetails}
	for {
		total, largest := 0, parts[0]
		for _, p := range parts {
			total += len(*p)
			if len(*p) > len(*largest) {
				largest = p
			}
		}
		if total <= cutParts {
			break
		}
		*largest = fmt.Appendf(nil, `{"omitted":true,"originalSize":%d,"reason":"the record was larger than %d bytes"}`, len(*largest), MaxRecord)
	}
	if len(short.Resources) > cutResources {
		short.Resources = short.Resources[:cutResources]
	}
	return short
}

// encoder writes one JSON object after another level; comma says whether the next key needs one before it.
type encoder struct {
	b     []byte
	comma bool
	limit int // of one text, encoded bytes; 0: none
}

func (e *encoder) record(r *Record) {
	e.b = append(e.b, '{')
	e.comma = false
	e.text("eventVersion", EventVersion)
	e.identity(&r.UserIdentity)
	e.time("eventTime", r.EventTime)
	e.text("eventSource", or(r.EventSource, EventSourceKMS))
	e.text("eventName", r.EventName)
	e.text("awsRegion", r.AWSRegion)
	e.text("sourceIPAddress", r.SourceIPAddress)
	e.text("userAgent", r.UserAgent)
	if r.ErrorCode != "" {
		e.text("errorCode", r.ErrorCode)
		e.optional("errorMessage", r.ErrorMessage)
	}
	e.part("requestParameters", r.RequestParameters)
	e.part("responseElements", r.ResponseElements)
	if r.AdditionalEventData != nil {
		e.part("additionalEventData", r.AdditionalEventData)
	}
	e.optional("requestID", r.RequestID)
	e.text("eventID", r.EventID)
	e.boolean("readOnly", r.ReadOnly)
	if r.Resources != nil {
		e.resources(r.Resources)
	}
	e.text("eventType", or(r.EventType, TypeAPICall))
	e.boolean("managementEvent", true)
	e.text("recipientAccountId", r.RecipientAccountID)
	e.optional("sharedEventID", r.SharedEventID)
	if r.ServiceEventDetails != nil {
		e.part("serviceEventDetails", r.ServiceEventDetails)
	}
	e.text("eventCategory", "Management")
	if r.TLSDetails != nil {
		e.tls(r.TLSDetails)
	}
	e.optional("vpcEndpointId", r.VPCEndpointID)
	e.close()
}

func (e *encoder) resources(list []Resource) {
	e.key("resources")
	e.b = append(e.b, '[')
	for i := range list {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.b = append(e.b, '{')
		e.comma = false
		e.text("accountId", list[i].AccountID)
		e.text("type", or(list[i].Type, ResourceTypeKey))
		e.text("ARN", list[i].ARN)
		e.close()
	}
	e.b = append(e.b, ']')
	e.comma = true
}

func (e *encoder) tls(t *TLSDetails) {
	e.open("tlsDetails")
	e.optional("tlsVersion", t.TLSVersion)
	e.optional("cipherSuite", t.CipherSuite)
	e.optional("clientProvidedHostHeader", t.ClientProvidedHostHeader)
	e.optional("keyExchange", t.KeyExchange)
	e.close()
}

func (e *encoder) key(name string) {
	if e.comma {
		e.b = append(e.b, ',')
	}
	e.comma = true
	e.b = append(e.b, '"')
	e.b = append(e.b, name...)
	e.b = append(e.b, '"', ':')
}

func (e *encoder) open(name string) {
	e.key(name)
	e.b = append(e.b, '{')
	e.comma = false
}

func (e *encoder) close() {
	e.b = append(e.b, '}')
	e.comma = true
}

func (e *encoder) text(name, value string) {
	e.key(name)
	e.b = appendString(e.b, value, e.limit)
}

func (e *encoder) optional(name, value string) {
	if value != "" {
		e.text(name, value)
	}
}

func (e *encoder) boolean(name string, value bool) {
	e.key(name)
	if value {
		e.b = append(e.b, "true"...)
	} else {
		e.b = append(e.b, "false"...)
	}
}

func (e *encoder) time(name string, t time.Time) {
	e.key(name)
	e.b = append(e.b, '"')
	e.b = t.UTC().AppendFormat(e.b, eventTimeLayout)
	e.b = append(e.b, '"')
}

func (e *encoder) part(name string, value []byte) {
	e.key(name)
	if len(value) == 0 {
		e.b = append(e.b, "null"...)
		return
	}
	e.b = append(e.b, value...)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// ErrMalformed says that bytes handed to the log are not one JSON object on one line.
var ErrMalformed = errors.New("audit: the record is not a JSON object on one line")

// ErrTooLarge says that a record exceeds [MaxRecord] or a group of records the segment size.
var ErrTooLarge = errors.New("audit: the record is too large")

// CheckRecord tells whether [Log.Append] would take rec as it is: a non-empty JSON object from brace to brace, without
// line breaks or NUL, of at most [MaxRecord] bytes. What stands inside is not parsed. Call it before a record is
// proposed with its change, because what is committed has to be written (see [Log.AppendCommitted]).
func CheckRecord(rec []byte) error {
	if len(rec) > MaxRecord {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(rec), MaxRecord)
	}
	if len(rec) < 3 || rec[0] != '{' || rec[1] != '"' || rec[len(rec)-1] != '}' ||
		bytes.IndexByte(rec, '\n') >= 0 || bytes.IndexByte(rec, 0) >= 0 {
		return ErrMalformed
	}
	return nil
}

// substitute wraps a committed record that CheckRecord refuses, so that the change still has one: its bytes stand as a
// text, cut to a quarter of MaxRecord.
func substitute(rec []byte) []byte {
	b := append([]byte(nil), `{"eventVersion":"`+EventVersion+`","eventSource":"`+EventSourceKMS+`","eventName":"UnreadableRecord","unreadableRecord":`...)
	return append(appendString(b, string(rec), MaxRecord/4), '}')
}
