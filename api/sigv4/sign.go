package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials are a client's. SessionToken is "" for long-term keys.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey []byte
	SessionToken    string
}

// Signer signs requests of clients: the load generator, the console, the XKS client, tests. Derived keys are cached for the
// day. It is safe for concurrent use.
type Signer struct {
	Region, Service string
	Credentials     Credentials
	keys            *KeyCache[struct{}]
}

// NewSigner returns a signer. It fails with ErrShortSecret.
func NewSigner(c Credentials, region, service string) (*Signer, error) {
	if len(c.SecretAccessKey) < minSecret {
		return nil, ErrShortSecret
	}
	return &Signer{Region: region, Service: service, Credentials: c, keys: NewKeyCache[struct{}](1)}, nil
}

// Sign adds X-Amz-Date, X-Amz-Security-Token if there is a session, and Authorization to the request. It signs Host,
// Content-Type, Content-Length if it is positive, and every X-Amz header. bodyHash is the SHA-256 of the body.
func (s *Signer) Sign(r *http.Request, bodyHash [sha256.Size]byte, now time.Time) error {
	timeText := now.UTC().Format(timeLayout)
	r.Header.Del("Authorization")
	r.Header.Set(headerDate, timeText)
	if s.Credentials.SessionToken != "" {
		r.Header.Set(headerToken, s.Credentials.SessionToken)
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	m := newMessage(r, q, bodyHash)
	scope := s.scope(timeText)
	signature, err := s.signature(&m, timeText, scope)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", Algorithm+" Credential="+credential(scope)+", SignedHeaders="+m.headers+", Signature="+signature)
	return nil
}

// Presign moves the credentials into the query: whoever has the URL may send this request, with this body and these X-Amz headers,
// until it expires. expires is from one second to MaxExpires.
func (s *Signer) Presign(r *http.Request, bodyHash [sha256.Size]byte, now time.Time, expires time.Duration) error {
	if expires < time.Second || expires > MaxExpires {
		return errors.New("sigv4: a presigned request lives from one second to seven days")
	}
	timeText := now.UTC().Format(timeLayout)
	scope := s.scope(timeText)
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if q.presigned() {
		return errors.New("sigv4: the request is presigned already")
	}
	m := newMessage(r, nil, bodyHash)
	m.query = append(q,
		parameter{"X-Amz-Algorithm", Algorithm},
		parameter{"X-Amz-Credential", credential(scope)},
		parameter{"X-Amz-Date", timeText},
		parameter{"X-Amz-Expires", strconv.FormatInt(int64(expires/time.Second), 10)},
		parameter{"X-Amz-SignedHeaders", m.headers},
	)
	if s.Credentials.SessionToken != "" {
		m.query = append(m.query, parameter{"X-Amz-Security-Token", s.Credentials.SessionToken})
	}
	signature, err := s.signature(&m, timeText, scope)
	if err != nil {
		return err
	}
	r.URL.RawQuery = string(appendCanonicalQuery(nil, m.query)) + "&X-Amz-Signature=" + signature
	return nil
}

func (s *Signer) scope(timeText string) Scope {
	return Scope{AccessKeyID: s.Credentials.AccessKeyID, Date: timeText[:len(dateLayout)], Region: s.Region, Service: s.Service}
}

func (s *Signer) signature(m *message, timeText string, scope Scope) (string, error) {
	key, err := s.keys.Get(scope, struct{}{}, func() ([]byte, error) { return s.Credentials.SecretAccessKey, nil })
	if err != nil {
		return "", err
	}
	var signature [2 * sha256.Size]byte
	key.sign(signature[:], m, timeText, scope)
	return string(signature[:]), nil
}

func credential(s Scope) string {
	return strings.Join([]string{s.AccessKeyID, s.Date, s.Region, s.Service, Terminator}, "/")
}

func newMessage(r *http.Request, q query, bodyHash [sha256.Size]byte) message {
	return message{http: r, query: q, headers: headersToSign(r), host: withoutDefaultPort(hostOf(r)), payload: hex.AppendEncode(nil, bodyHash[:])}
}

func headersToSign(r *http.Request) string {
	names := []string{"host"}
	if r.ContentLength > 0 {
		names = append(names, "content-length")
	}
	for name := range r.Header {
		if name == "Content-Type" || strings.HasPrefix(name, "X-Amz-") {
			names = append(names, strings.ToLower(name))
		}
	}
	slices.Sort(names)
	return strings.Join(names, ";")
}
