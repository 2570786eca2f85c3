package region

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// Session is what temporary credentials say of themselves. It is immutable.
type Session struct {
	Kind    PrincipalKind // PrincipalRoleSession; PrincipalUser or PrincipalRoot for GetSessionToken
	Account string
	// Principal is the unique id of the role or user, RootPrincipal for the root user.
	Principal string
	// Name is the session name of a role session.
	Name string
	// Parent is the long-term access key at the beginning of the chain; with it the session ends. "" if Federation is set.
	Parent string
	// Issued and Expires bound the session.
	Issued, Expires time.Time
	// Policies are the session policies' documents (spec 04 IDP-10), PolicyARNs the managed policies that are session policies.
	Policies   []string
	PolicyARNs []string
	// Tags are the session's, sorted by key; Transitive are the keys of those that a next role takes over.
	Tags       []fsm.Tag
	Transitive []string
	// SourceIdentity is what the first caller of the chain has set.
	SourceIdentity string
	// Federation is set if the chain began with a provider's token and not with an access key.
	Federation *Federation

	// sealedBy and sealedUnder are the region and the session key that the token is sealed under, empty under a domain key.
	sealedBy    string
	sealedUnder []byte
}

// A session token is, in base64, magic "TRT" and its version (4 bytes), the name of the region that made it behind its length (1 byte),
// and then
//   - in version 1, of a region that is federated with no other: the domain key's version (4 bytes, big-endian) and the sealed claims
//     (package envelope);
//   - in version 2: the id of the session key (16 bytes), the region's signature behind its length (1 byte; see tokenMessage), and the
//     claims, sealed under the session key.
//
// It is bound to its region and to the access key id that it came with. No node stores it: every node of the region opens it, and of
// version 2 those of the federated regions too.
const (
	sessionMagic  = "TRT\x01"
	sessionMagic2 = "TRT\x02"
	sessionLabel  = "trent/session/1"
	// maxClaims bounds the claims, in bytes; more is PackedPolicyTooLarge.
	maxClaims = envelope.MaxSecret
	// maxSessionToken bounds a token before anything else looks at it.
	maxSessionToken = 8 << 10
	// maxSession is the longest session there is, maxSessionSkew how far the clocks of two regions may differ.
	maxSession     = 36 * time.Hour
	maxSessionSkew = 5 * time.Minute
)

// claims are the sealed part. Field numbers are never reused.
type claims struct {
	Kind           uint8     `cbor:"1,keyasint"`
	Account        string    `cbor:"2,keyasint"`
	Principal      string    `cbor:"3,keyasint"`
	Secret         []byte    `cbor:"4,keyasint"`
	Name           string    `cbor:"5,keyasint,omitempty"`
	Parent         string    `cbor:"6,keyasint,omitempty"`
	Issued         int64     `cbor:"7,keyasint"` // milliseconds
	Expires        int64     `cbor:"8,keyasint"`
	Policies       []string  `cbor:"9,keyasint,omitempty"`
	PolicyARNs     []string  `cbor:"10,keyasint,omitempty"`
	Tags           []fsm.Tag `cbor:"11,keyasint,omitempty"`
	Transitive     []string  `cbor:"12,keyasint,omitempty"`
	SourceIdentity string    `cbor:"13,keyasint,omitempty"`

	Federation *Federation `cbor:"14,keyasint,omitempty"`
}

// check holds claims to what every region puts into a token: whoever signs one says who the caller is, and no more.
func (c *claims) check(now time.Time) bool {
	if c.Issued > now.Add(maxSessionSkew).UnixMilli() || c.Expires <= c.Issued || c.Expires > c.Issued+maxSession.Milliseconds() {
		return false
	}
	if (c.Federation == nil) == (c.Parent == "") {
		return false
	}
	switch PrincipalKind(c.Kind) {
	case PrincipalRoot:
		return c.Principal == RootPrincipal && c.Federation == nil
	case PrincipalUser:
		return c.Principal != RootPrincipal && c.Federation == nil
	case PrincipalRoleSession:
		return c.Principal != RootPrincipal
	}
	return false
}

// ErrSessionToken reports a session token that neither this region nor one that it shares identities with has sealed for the access key
// it came with, or that says what no region says.
var ErrSessionToken = errors.New("region: not a session token of this region, or one it shares identities with, and of the access key")

// sessionPRF is the domain key's authentication key for session tokens alone.
func (s *Service) sessionPRF(d *fsm.DomainKey) envelope.PRF {
	return func(ctx context.Context, _ string, input []byte) ([32]byte, error) {
		return s.cfg.HSM.DomainPRF(ctx, hsm.DomainID(d.ID), sessionLabel, input)
	}
}

func sessionBinding(region, accessKeyID string) []byte {
	return []byte("session\x00" + region + "\x00" + accessKeyID)
}

// sealSession makes the credentials of a session. packed is how full the token is, in percent.
func (s *Service) sealSession(ctx context.Context, st *fsm.State, in *Session) (cred *SessionCredentials, packed int32, err error) {
	id, secret, err := s.newCredentials(ctx, "ASIA")
	if err != nil {
		return nil, 0, err
	}
	plain, err := cbor.Marshal(claims{
		Kind: uint8(in.Kind), Account: in.Account, Principal: in.Principal, Secret: secret.Bytes(), Name: in.Name, Parent: in.Parent,
		Issued: in.Issued.UnixMilli(), Expires: in.Expires.UnixMilli(), Policies: in.Policies, PolicyARNs: in.PolicyARNs,
		Tags: in.Tags, Transitive: in.Transitive, SourceIdentity: in.SourceIdentity, Federation: in.Federation,
	})
	if err != nil {
		return nil, 0, err
	}
	defer clear(plain)
	packed = int32(100 * len(plain) / maxClaims)
	if len(plain) > maxClaims {
		secret.Wipe()
		return nil, 0, iamfault.PackedPolicyTooLarge("Packed size of session policies and session tags consumes %d%% of allotted space.", packed)
	}
	token, err := s.sealToken(ctx, st, id, plain)
	if err != nil {
		return nil, 0, hsmFault(err)
	}
	return &SessionCredentials{
		AccessKeyID: id, SecretAccessKey: secret, SessionToken: base64.StdEncoding.EncodeToString(token),
		Expiration: in.Expires.UTC().Truncate(time.Second),
	}, packed, nil
}

// sealToken seals claims, under the region's session key if it has one.
func (s *Service) sealToken(ctx context.Context, st *fsm.State, accessKeyID string, plain []byte) ([]byte, error) {
	region, binding := s.cfg.Region, sessionBinding(s.cfg.Region, accessKeyID)
	k := st.SealingKey()
	if k == nil {
		d := st.ActiveDomainKey()
		sealed, err := envelope.SealSecret(ctx, s.sessionPRF(d), binding, plain)
		if err != nil {
			return nil, err
		}
		token := append([]byte(sessionMagic), byte(len(region)))
		token = binary.BigEndian.AppendUint32(append(token, region...), d.Version)
		return append(token, sealed...), nil
	}
	sealed, err := envelope.SealSecret(ctx, s.sessionKeyPRF(st, region, k), binding, plain)
	if err != nil {
		return nil, err
	}
	head := append(append(append([]byte(sessionMagic2), byte(len(region))), region...), k.ID...)
	signature, err := s.signToken(ctx, st, accessKeyID, append(slices.Clone(head), sealed...))
	if err != nil {
		return nil, err
	}
	return append(append(append(head, byte(len(signature))), signature...), sealed...), nil
}

// OpenSession opens a session token and returns its session and secret, which the caller wipes. It does not judge whether the
// session is over: see Ended. The error is ErrSessionToken, or the HSM's.
func (s *Service) OpenSession(ctx context.Context, st *fsm.State, accessKeyID, token string) (*Session, shape.Secret, error) {
	t := s.parseToken(st, accessKeyID, token)
	if t == nil {
		return nil, shape.Secret{}, ErrSessionToken
	}
	plain, err := envelope.OpenSecret(ctx, t.prf, sessionBinding(t.region, accessKeyID), t.sealed)
	if errors.Is(err, envelope.ErrInvalid) {
		return nil, shape.Secret{}, ErrSessionToken
	}
	if err != nil {
		return nil, shape.Secret{}, hsmFault(err)
	}
	defer clear(plain)
	var c claims
	if err := cbor.Unmarshal(plain, &c); err != nil {
		return nil, shape.Secret{}, fmt.Errorf("claims of a session token: %w", err)
	}
	if !c.check(s.Now()) {
		clear(c.Secret)
		return nil, shape.Secret{}, ErrSessionToken
	}
	return &Session{
		Kind: PrincipalKind(c.Kind), Account: c.Account, Principal: c.Principal, Name: c.Name, Parent: c.Parent,
		Issued: time.UnixMilli(c.Issued), Expires: time.UnixMilli(c.Expires), Policies: c.Policies, PolicyARNs: c.PolicyARNs,
		Tags: c.Tags, Transitive: c.Transitive, SourceIdentity: c.SourceIdentity, Federation: c.Federation,
		sealedBy: t.region, sealedUnder: t.key,
	}, shape.NewSecret(c.Secret), nil
}

// sealedToken is a token whose key is known and, in version 2, whose signature is right.
type sealedToken struct {
	region string
	key    []byte // the session key's id, nil in version 1
	prf    envelope.PRF
	sealed []byte
}

// parseToken finds the key and the sealed claims of a token, nil if it is none that this region accepts.
func (s *Service) parseToken(st *fsm.State, accessKeyID, token string) *sealedToken {
	if len(token) > maxSessionToken {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(raw) < len(sessionMagic)+1 {
		return nil
	}
	magic, rest := string(raw[:len(sessionMagic)]), raw[len(sessionMagic):]
	n := 1 + int(rest[0])
	if len(rest) < n {
		return nil
	}
	t := &sealedToken{region: string(rest[1:n])}
	rest = rest[n:]
	switch magic {
	case sessionMagic:
		if t.region != s.cfg.Region || len(rest) < 4 {
			return nil
		}
		d := st.DomainKey(binary.BigEndian.Uint32(rest))
		if d == nil {
			return nil
		}
		t.prf, t.sealed = s.sessionPRF(d), rest[4:]
		return t
	case sessionMagic2:
		const fixed = fsm.SessionKeySize + 1
		if len(rest) < fixed || len(rest) < fixed+int(rest[fixed-1]) {
			return nil
		}
		end := fixed + int(rest[fixed-1])
		t.key, t.sealed = rest[:fsm.SessionKeySize], rest[end:]
		k := st.SessionKey(t.region, t.key)
		head := raw[:len(sessionMagic)+n+fsm.SessionKeySize]
		if k == nil || !s.verifyToken(st, t.region, accessKeyID, slices.Concat(head, t.sealed), rest[fixed:end]) {
			return nil
		}
		t.prf = s.sessionKeyPRF(st, t.region, k)
		return t
	}
	return nil
}

// Ended tells whether what a session stands on is gone, or never was: its role or user, the access key or provider that it began with, or
// the identities that this region shares with the one that has made it.
func (s *Session) Ended(st *fsm.State) bool {
	if s.originGone(st) || s.sealedUnder != nil && st.SessionKey(s.sealedBy, s.sealedUnder) == nil {
		return true
	}
	if s.Principal == RootPrincipal {
		return s.Kind != PrincipalRoot
	}
	i, of := st.Identity(s.Principal), fsm.IdentityUser
	if s.Kind == PrincipalRoleSession {
		of = fsm.IdentityRole
	}
	return i == nil || i.Account != s.Account || i.Type != of
}

// PrincipalTags are the tags that conditions see: the identity's, with the session's over them.
func (s *Session) PrincipalTags(of *fsm.Identity) []fsm.Tag {
	if s == nil || len(s.Tags) == 0 {
		if of == nil {
			return nil
		}
		return of.Tags
	}
	tags := slices.Clone(s.Tags)
	if of != nil {
		for _, t := range of.Tags {
			if !slices.ContainsFunc(s.Tags, func(o fsm.Tag) bool { return strings.EqualFold(o.Key, t.Key) }) {
				tags = append(tags, t)
			}
		}
	}
	return tags
}

// SessionARN is the ARN of a session of a role, which has no path.
func (s *Service) SessionARN(role *fsm.Identity, name string) string {
	return arn.Principal{Kind: arn.AssumedRole, Partition: s.cfg.Partition, Account: role.Account, Name: role.Name, Session: name}.String()
}
