package sigv4

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The protocol's fixed words.
const (
	Algorithm   = "AWS4-HMAC-SHA256"
	Terminator  = "aws4_request"
	schemeStart = "AWS4-"
	timeLayout  = "20060102T150405Z"
	dateLayout  = "20060102"

	headerDate    = "X-Amz-Date"
	headerToken   = "X-Amz-Security-Token"
	headerTarget  = "X-Amz-Target"
	headerContent = "X-Amz-Content-Sha256"
)

// MaxExpires is the longest life of a presigned request.
const MaxExpires = 7 * 24 * time.Hour

// Request is a request whose credentials were read, and not yet believed. It refers to the http.Request it came from, which must
// not change before Verify. It is not safe for concurrent use.
type Request struct {
	AccessKeyID   string
	SessionToken  string        // "" if there is none
	Time          time.Time     // of signing, as claimed
	Presigned     bool          // the credentials are in the query
	Expires       time.Duration // the life of a presigned request; 0 if it names none, then the clock window decides
	SignedHeaders string        // lower-case names in ascending order, joined by ';'

	date, region, service, terminator string // of the credential's scope
	timeText                          string // Time in ISO 8601 basic format, as signed
	signature                         string
	checked                           bool // Check has passed
	http                              *http.Request
}

// Scope returns what a signing key is derived for, without the secret.
func (q *Request) Scope() Scope {
	return Scope{AccessKeyID: q.AccessKeyID, Date: q.date, Region: q.region, Service: q.service}
}

// SignedHeader returns the one value of a header that the signature covers. ok is false if the request has the header unsigned, or more
// than once; a header that is not there is "" and ok.
func (q *Request) SignedHeader(name string) (value string, ok bool) {
	values := q.http.Header.Values(name)
	if len(values) == 0 {
		return "", true
	}
	name = strings.ToLower(name)
	for signed := range strings.SplitSeq(q.SignedHeaders, ";") {
		if signed == name {
			return values[0], len(values) == 1
		}
	}
	return "", false
}

// parts are the raw parameters of one credential, wherever they stood.
type parts struct{ algorithm, credential, signedHeaders, signature, date string }

// Parse reads the credentials of a request, from the Authorization header or from the query. It fails with *Error in the
// order of spec 10, section 2.1: no credential, incomplete, malformed.
func Parse(r *http.Request) (*Request, error) {
	q := &Request{http: r}
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	auth := r.Header["Authorization"]
	q.Presigned = query.presigned()
	if len(auth) > 1 || len(auth) == 1 && q.Presigned {
		return nil, incomplete(textOneMechanism)
	}
	var p parts
	switch {
	case q.Presigned:
		p, err = q.fromQuery(query)
	case len(auth) == 0 || !strings.HasPrefix(auth[0], schemeStart):
		err = &Error{NameMissingToken, textMissingToken}
	default:
		p, err = q.fromHeader(auth[0])
	}
	if err != nil {
		return nil, err
	}
	return q, q.set(p)
}

// fromHeader reads "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...".
func (q *Request) fromHeader(auth string) (parts, error) {
	var p parts
	var rest string
	p.algorithm, rest, _ = strings.Cut(auth, " ")
	for rest != "" {
		var param string
		param, rest, _ = strings.Cut(rest, ",")
		if err := p.setParameter(strings.TrimSpace(param), auth); err != nil {
			return p, err
		}
	}
	var err error
	if p.date, err = q.headerDate(); err != nil {
		return p, err
	}
	if q.SessionToken, err = single(q.http.Header, headerToken); err != nil {
		return p, err
	}
	return p, p.complete(auth)
}

func (p *parts) setParameter(param, auth string) error {
	if param == "" {
		return nil
	}
	name, value, ok := strings.Cut(param, "=")
	if !ok {
		return incomplete("'" + echo(param) + "' not a valid key=value pair (missing equal-sign) in Authorization header: '" + echo(auth) + "'.")
	}
	var to *string
	switch name {
	case "Credential":
		to = &p.credential
	case "SignedHeaders":
		to = &p.signedHeaders
	case "Signature":
		to = &p.signature
	default:
		return incomplete("Authorization header has the unknown parameter '" + echo(name) + "'. ")
	}
	if *to != "" {
		return incomplete("Authorization header has the parameter '" + name + "' more than once. ")
	}
	*to = value
	return nil
}

// complete names all that is missing at once.
func (p *parts) complete(auth string) error {
	text := ""
	for _, m := range []struct{ value, name string }{{p.credential, "Credential"}, {p.signature, "Signature"}, {p.signedHeaders, "SignedHeaders"}} {
		if m.value == "" {
			text += "Authorization header requires '" + m.name + "' parameter. "
		}
	}
	if p.date == "" {
		text += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
	}
	if text == "" {
		return nil
	}
	return incomplete(text + "Authorization=" + echo(auth))
}

// headerDate returns the time of signing: X-Amz-Date, else Date, which HTTP writes in a format of its own.
func (q *Request) headerDate() (string, error) {
	date, err := single(q.http.Header, headerDate)
	if date != "" || err != nil {
		return date, err
	}
	if date, err = single(q.http.Header, "Date"); err != nil || date == "" {
		return "", err
	}
	if t, err := http.ParseTime(date); err == nil {
		return t.UTC().Format(timeLayout), nil
	}
	return date, nil
}

// single returns the value of a header that may occur once.
func single(h http.Header, name string) (string, error) {
	values := h[name]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", incomplete("The header '" + name + "' occurs more than once. ")
}

// set checks the form of the parts and takes them over.
func (q *Request) set(p parts) error {
	t, ok := parseTime(p.date)
	if !ok {
		return incomplete("Date must be in ISO-8601 'basic format'. Got '" + echo(p.date) + "'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	if p.algorithm != Algorithm {
		return incomplete("Unsupported AWS 'algorithm': '" + echo(p.algorithm) + "' (only AWS4-HMAC-SHA256 for now). ")
	}
	if !q.setCredential(p.credential) {
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + echo(p.credential) + "'")
	}
	if !validSignedHeaders(p.signedHeaders) {
		return incomplete("SignedHeaders must be lower-case header names in ascending order, separated by ';', got '" + echo(p.signedHeaders) + "'")
	}
	q.Time, q.timeText = t, p.date
	q.SignedHeaders, q.signature = p.signedHeaders, p.signature
	return nil
}

func (q *Request) setCredential(s string) bool {
	for _, to := range []*string{&q.AccessKeyID, &q.date, &q.region, &q.service} {
		var ok bool
		if *to, s, ok = strings.Cut(s, "/"); !ok {
			return false
		}
	}
	q.terminator = s
	return q.AccessKeyID != "" && !strings.Contains(s, "/")
}

// parseTime reads ISO 8601 basic format, to the second, in UTC. The length is checked since package time would take fractions.
func parseTime(s string) (time.Time, bool) {
	if len(s) != len(timeLayout) {
		return time.Time{}, false
	}
	t, err := time.Parse(timeLayout, s)
	return t, err == nil
}

// validSignedHeaders accepts exactly one spelling of a set of header names, so that the list itself is not malleable.
func validSignedHeaders(list string) bool {
	last := ""
	for list != "" {
		var name string
		var more bool
		name, list, more = strings.Cut(list, ";")
		if name <= last || more && list == "" {
			return false
		}
		for i := range len(name) {
			if c := name[i]; !token[c] || 'A' <= c && c <= 'Z' {
				return false
			}
		}
		last = name
	}
	return last != ""
}

// token marks the characters of header names (RFC 9110, section 5.6.2).
var token = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c < 0x80 && strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0
	}
	return t
}()

// fromQuery reads the parameters of a presigned request.
func (q *Request) fromQuery(query query) (parts, error) {
	var p parts
	var expires string
	for _, f := range []struct {
		name     string
		to       *string
		required bool
	}{
		{"X-Amz-Algorithm", &p.algorithm, true},
		{"X-Amz-Credential", &p.credential, true},
		{"X-Amz-Signature", &p.signature, true},
		{"X-Amz-SignedHeaders", &p.signedHeaders, true},
		{"X-Amz-Date", &p.date, true},
		{"X-Amz-Expires", &expires, false},
		{"X-Amz-Security-Token", &q.SessionToken, false},
	} {
		value, n := query.get(f.name)
		switch {
		case n > 1:
			return p, incomplete("The query parameter '" + f.name + "' occurs more than once. Re-examine the query-string parameters.")
		case value == "" && f.required:
			return p, query.incomplete()
		}
		*f.to = value
	}
	token, err := single(q.http.Header, headerToken)
	switch {
	case err != nil:
		return p, err
	case token != "" && q.SessionToken != "":
		return p, incomplete("The session token is in the header and in the query; send one of them. ")
	case token != "":
		q.SessionToken = token // Check wants it signed
	}
	return p, q.setExpires(expires)
}

func (q *Request) setExpires(s string) error {
	if s == "" {
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	q.Expires = time.Duration(n) * time.Second
	if err != nil || n == 0 || q.Expires > MaxExpires {
		return incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800, got '" + echo(s) + "'")
	}
	return nil
}

// Signature returns the signature as sent, 64 hex digits: two requests with the same one are the very same request.
func (q *Request) Signature() string { return q.signature }
