package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"
)

// MaxSkew is how far the time of signing may be from the server's (spec 10, section 2.1: five minutes for KMS).
const MaxSkew = 5 * time.Minute

// Check judges what needs no secret, in the order of spec 10, section 2.1: the time of signing against now, the headers that
// must be signed, and the scope. service is the one that the request is for: kms, iam, sts or trent.
func (q *Request) Check(now time.Time, region, service string) error {
	if err := q.checkTime(now.UTC()); err != nil {
		return err
	}
	if err := q.checkSigned(); err != nil {
		return err
	}
	if err := q.checkScope(region, service); err != nil {
		return err
	}
	q.checked = true
	return nil
}

// checkTime refuses signatures that are too old or not valid yet. SDKs correct their clock by these errors.
func (q *Request) checkTime(now time.Time) error {
	early, late := now.Add(-MaxSkew), now.Add(MaxSkew)
	switch {
	case q.Time.After(late):
		return invalid("Signature not yet current: " + q.timeText + " is still later than " + late.Format(timeLayout) + " (" + now.Format(timeLayout) + " + 5 min.)")
	case q.Expires > 0 && now.After(q.Time.Add(q.Expires)):
		return &Error{NameRequestExpired, "Request has expired: it was signed at " + q.timeText + " for " + q.Expires.String() + ", and now is " + now.Format(timeLayout)}
	case q.Expires == 0 && q.Time.Before(early):
		return invalid("Signature expired: " + q.timeText + " is now earlier than " + early.Format(timeLayout) + " (" + now.Format(timeLayout) + " - 5 min.)")
	}
	return nil
}

// mustSign are the headers that decide what a request does, by whom and when. Whoever could change one of them in flight
// could turn an Encrypt into a ScheduleKeyDeletion.
var mustSign = []struct{ canonical, lower string }{
	{headerTarget, "x-amz-target"}, {headerToken, "x-amz-security-token"}, {headerDate, "x-amz-date"},
}

func (q *Request) checkSigned() error {
	text := ""
	if !q.signed("host") {
		text = "'Host' must be a 'SignedHeader' in the AWS Authorization."
	}
	for _, h := range mustSign {
		// A presigned request carries its time in the query; a header of that name means nothing then.
		if h.canonical == headerDate && q.Presigned {
			continue
		}
		if len(q.http.Header[h.canonical]) > 0 && !q.signed(h.lower) {
			text += "'" + h.canonical + "' must be a 'SignedHeader' in the AWS Authorization."
		}
	}
	if text != "" {
		return invalid(text)
	}
	return nil
}

func (q *Request) signed(name string) bool {
	for rest := q.SignedHeaders; rest != ""; {
		var h string
		if h, rest, _ = strings.Cut(rest, ";"); h == name {
			return true
		}
	}
	return false
}

func (q *Request) checkScope(region, service string) error {
	text := ""
	if q.region != region {
		text += "Credential should be scoped to a valid region. "
	}
	if q.service != service {
		text += "Credential should be scoped to correct service: '" + service + "'. "
	}
	if q.terminator != Terminator {
		text += "Credential should be scoped with a valid terminator: 'aws4_request', not '" + echo(q.terminator) + "'. "
	}
	if day := q.timeText[:len(dateLayout)]; q.date != day {
		text += "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" + echo(q.date) + "' != '" + day + "', from '" + q.timeText + "'."
	}
	if text != "" {
		return invalid(text)
	}
	return nil
}

// Verify compares the signature with the one that key makes over the request as received and the SHA-256 of its body. Check
// must have passed before. externalHosts are the names under which a balancer that rewrites Host offers this service; each is
// tried after the received Host. It returns nil or an *Error.
func (q *Request) Verify(key *SigningKey, bodyHash [sha256.Size]byte, externalHosts ...string) error {
	if !q.checked {
		return errors.New("sigv4: Verify before a successful Check; call Check first")
	}
	var hexHash [2 * sha256.Size]byte
	hex.Encode(hexHash[:], bodyHash[:])
	if err := q.checkContentHash(hexHash[:]); err != nil {
		return err
	}
	m := message{http: q.http, headers: q.SignedHeaders, payload: hexHash[:]}
	m.query, _ = parseQuery(q.http.URL.RawQuery) // Parse has refused what is not valid
	hosts := append(make([]string, 0, 4), hostOf(q.http))
	if h := withoutDefaultPort(hosts[0]); h != hosts[0] {
		hosts = append(hosts, h)
	}
	for _, m.host = range append(hosts, externalHosts...) {
		if q.matches(&m, key) {
			return nil
		}
	}
	return invalid(textMismatch)
}

// matches reports whether the signature of the message is the one received.
func (q *Request) matches(m *message, key *SigningKey) bool {
	var want [2 * sha256.Size]byte
	key.sign(want[:], m, q.timeText, q.Scope())
	return subtle.ConstantTimeCompare(want[:], []byte(q.signature)) == 1
}

// unknownKey stands in for the key that an unknown access key does not have.
var unknownKey = newSigningKey(make([]byte, sha256.Size))

// VerifyUnknown does the work of Verify for an access key that does not exist or is not active, so that the time it takes tells
// nothing, and returns the error for such keys.
func (q *Request) VerifyUnknown(bodyHash [sha256.Size]byte, externalHosts ...string) error {
	_ = q.Verify(unknownKey, bodyHash, externalHosts...)
	return UnrecognizedClient()
}

// checkContentHash holds X-Amz-Content-Sha256, if sent, against the body. Other values than a hash (UNSIGNED-PAYLOAD,
// STREAMING-...) are for S3 alone.
func (q *Request) checkContentHash(want []byte) error {
	for _, sent := range q.http.Header[headerContent] {
		if len(sent) != len(want) {
			return invalid("'x-amz-content-sha256' must be the SHA-256 of the body in hex, not '" + echo(sent) + "'.")
		}
		if sent != string(want) {
			return invalid(textContentHashMismatch)
		}
	}
	return nil
}

// hostOf returns the host that the client addressed: on a server net/http has moved it out of the headers.
func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// withoutDefaultPort cuts :443 and :80, which clients may send and yet not sign.
func withoutDefaultPort(host string) string {
	if h, ok := strings.CutSuffix(host, ":443"); ok {
		return h
	}
	h, _ := strings.CutSuffix(host, ":80")
	return h
}
