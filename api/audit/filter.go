package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// Filter selects records (spec 03 AUD-50). Empty fields select all; set ones all have to match.
type Filter struct {
	EventID     string
	EventName   string
	EventSource string
	AccountID   string // recipientAccountId: whose log the record belongs to
	// Key is a key ARN or key id among resources, or in responseElements' or serviceEventDetails' keyId.
	Key string
	// ResourceName is an ARN, or what follows the last slash or colon of one, among resources; ResourceType its type.
	ResourceName string
	ResourceType string
	// Principal is the caller's ARN or principalId, or the ARN of the role behind a session.
	Principal string
	// UserName is the user, the session of an assumed role, or "root".
	UserName    string
	AccessKeyID string
	ErrorCode   string
	ReadOnly    *bool
	From, To    time.Time // of eventTime: From <= eventTime < To

	Limit  int    // records in a page; default 50
	Cursor string // Page.Next or Entry.Cursor of an earlier call with the same filter; "" starts with the newest record
	// Budget ends a page after reading this many bytes of segments, so that a rare value cannot make a call read the
	// whole log; the page's Next goes on there. 0: no limit.
	Budget int64
}

// Entry is one record found.
type Entry struct {
	Line      []byte // as in the segment, without the line break
	EventID   string
	EventName string
	EventTime time.Time
	Node      string
	Segment   uint64
	Seq       uint64
	Index     uint64 // Raft index of a committed record, else 0

	// Cursor continues a search after this entry.
	Cursor string
	// Next is the position after the entry, from which Tail continues.
	Next Position

	record int // bytes of Line before the trailer
}

// Record returns the record without what the log added to it.
func (e *Entry) Record() []byte {
	b := make([]byte, 0, e.record+1)
	return append(append(b, e.Line[:e.record]...), '}')
}

// view is what the filter and Entry need of a record.
type view struct {
	EventID      string    `json:"eventID"`
	EventName    string    `json:"eventName"`
	EventSource  string    `json:"eventSource"`
	EventTime    time.Time `json:"eventTime"`
	ErrorCode    string    `json:"errorCode"`
	ReadOnly     bool      `json:"readOnly"`
	AccountID    string    `json:"recipientAccountId"`
	UserIdentity struct {
		Type        string `json:"type"`
		PrincipalID string `json:"principalId"`
		ARN         string `json:"arn"`
		AccessKeyID string `json:"accessKeyId"`
		UserName    string `json:"userName"`
		Session     struct {
			Issuer struct {
				ARN string `json:"arn"`
			} `json:"sessionIssuer"`
		} `json:"sessionContext"`
	} `json:"userIdentity"`
	Resources []struct {
		Type string `json:"type"`
		ARN  string `json:"ARN"`
	} `json:"resources"`
	Response json.RawMessage `json:"responseElements"`
	Details  json.RawMessage `json:"serviceEventDetails"`
}

// matcher is a filter ready for use.
type matcher struct {
	f Filter
	// hints are byte strings without which no line matches; they spare decoding most lines. Only plain texts make one,
	// since others may be escaped in more than one way.
	hints [][]byte
}

func newMatcher(f Filter) *matcher {
	m := &matcher{f: f}
	for _, value := range []string{f.EventID, f.EventName, f.EventSource, f.AccountID, f.ErrorCode, f.AccessKeyID} {
		if value != "" && isPlain(value) {
			m.hints = append(m.hints, []byte(`"`+value+`"`))
		}
	}
	for _, value := range []string{f.Key, f.ResourceName, f.Principal} {
		if value != "" && isPlain(value) {
			m.hints = append(m.hints, []byte(value))
		}
	}
	return m
}

func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; !plain(c) || c == '<' || c == '>' || c == '&' || c == 0x7f {
			return false
		}
	}
	return true
}

// match returns the entry of a line, if the line is a record that the filter selects.
func (m *matcher) match(line []byte) (Entry, bool) {
	for _, hint := range m.hints {
		if !bytes.Contains(line, hint) {
			return Entry{}, false
		}
	}
	t, ok := parseLine(line)
	if !ok || !m.inTime(line[:t.record]) {
		return Entry{}, false
	}
	var v view
	if json.Unmarshal(line, &v) != nil || !m.selects(&v) {
		return Entry{}, false
	}
	return newEntry(bytes.Clone(line), &t, &v), true
}

func newEntry(line []byte, t *trailer, v *view) Entry {
	return Entry{
		Line: line, EventID: v.EventID, EventName: v.EventName, EventTime: v.EventTime,
		Node: string(t.node), Seq: t.seq, Index: t.index, record: t.record,
	}
}

// inTime compares the eventTime's text, which sorts as the time does, with From and To.
func (m *matcher) inTime(rec []byte) bool {
	if m.f.From.IsZero() && m.f.To.IsZero() {
		return true
	}
	t, err := time.Parse(eventTimeLayout, string(eventTimeOf(rec)))
	if err != nil {
		return false
	}
	return !t.Before(m.f.From) && (m.f.To.IsZero() || t.Before(m.f.To))
}

func (m *matcher) selects(v *view) bool {
	f, u := &m.f, &v.UserIdentity
	return is(f.EventID, v.EventID) && is(f.EventName, v.EventName) && is(f.EventSource, v.EventSource) &&
		is(f.AccountID, v.AccountID) && is(f.ErrorCode, v.ErrorCode) && is(f.AccessKeyID, u.AccessKeyID) &&
		is(f.Principal, u.ARN, u.PrincipalID, u.Session.Issuer.ARN) &&
		is(f.UserName, userNames(u.Type, u.UserName, u.ARN)...) &&
		(f.ReadOnly == nil || *f.ReadOnly == v.ReadOnly) &&
		m.resource(v) && m.key(v)
}

// is tells whether want is empty or one of have.
func is(want string, have ...string) bool {
	if want == "" {
		return true
	}
	for _, h := range have {
		if h == want {
			return true
		}
	}
	return false
}

func userNames(kind, name, arn string) []string {
	switch kind {
	case TypeRoot:
		return []string{"root"}
	case TypeAssumedRole, TypeFederatedUser:
		return []string{arn[strings.LastIndexByte(arn, '/')+1:]}
	}
	return []string{name}
}

func (m *matcher) resource(v *view) bool {
	if m.f.ResourceName == "" && m.f.ResourceType == "" {
		return true
	}
	for _, r := range v.Resources {
		if is(m.f.ResourceType, r.Type) && is(m.f.ResourceName, r.ARN, r.ARN[strings.LastIndexAny(r.ARN, "/:")+1:]) {
			return true
		}
	}
	return false
}

func (m *matcher) key(v *view) bool {
	want := m.f.Key
	if want == "" {
		return true
	}
	for _, r := range v.Resources {
		if is(want, r.ARN, keyID(r.ARN)) {
			return true
		}
	}
	var named struct {
		KeyID string `json:"keyId"`
	}
	for _, part := range []json.RawMessage{v.Response, v.Details} {
		if len(part) > 0 && json.Unmarshal(part, &named) == nil && is(want, named.KeyID, keyID(named.KeyID)) {
			return true
		}
	}
	return false
}

// keyID returns the key id in a key ARN, else the text itself.
func keyID(arn string) string {
	if _, id, ok := strings.Cut(arn, ":key/"); ok {
		return id
	}
	return arn
}
