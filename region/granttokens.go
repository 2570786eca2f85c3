package region

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/fault"
)

// A grant token names a grant to this region and says nothing to anybody else (spec 04 GT-02). It is text in base64url of:
//
//	offset  bytes
//	0       4      magic "TRG" and version 1
//	4       4      version of the domain key, big-endian
//	8              the grant's id (32 bytes) as package envelope seals a secret
//
// The sealing is randomized, so that every answer of CreateGrant has another token, and all of them mean the same. Since reads
// are linearizable, a token is never needed: a grant that exists is found without, and for one that is gone nothing is found.
const (
	grantTokenMagic   = "TRG\x01"
	grantTokenHeader  = len(grantTokenMagic) + 4
	grantIDSize       = 32
	grantTokenSize    = grantTokenHeader + envelope.SecretOverhead + grantIDSize
	grantTokenLabel   = "trent/grant-token/1"
	grantTokenBinding = "grant-token\x00"
)

// grantTokenKeys holds the keys that seal grant tokens. They are derived in the HSM, one for each version of the domain key, and kept,
// so that no request waits for the HSM on account of its tokens. Whoever learns one can make tokens, which allow nothing.
type grantTokenKeys struct{ m sync.Map } // domain key id -> [32]byte

// grantTokenPRF is the pseudo-random function that seals tokens under a version of the domain key.
func (s *Service) grantTokenPRF(ctx context.Context, d *fsm.DomainKey) (envelope.PRF, error) {
	v, ok := s.grantTokenKeys.m.Load(d.ID)
	if !ok {
		key, err := s.domainPRF(d)(ctx, grantTokenLabel, []byte(s.cfg.Region))
		if err != nil {
			return nil, hsmFault(err)
		}
		v, _ = s.grantTokenKeys.m.LoadOrStore(d.ID, key)
	}
	key := v.([sha256.Size]byte)
	return func(_ context.Context, label string, input []byte) (out [32]byte, err error) {
		mac := hmac.New(sha256.New, key[:])
		mac.Write([]byte{byte(len(label))})
		mac.Write([]byte(label))
		mac.Write(input)
		mac.Sum(out[:0])
		return out, nil
	}, nil
}

// newGrantToken makes a token of a grant.
func (s *Service) newGrantToken(ctx context.Context, st *fsm.State, grantID string) (string, error) {
	id, err := hex.DecodeString(grantID)
	if err != nil {
		return "", fault.Internal(err)
	}
	d := st.ActiveDomainKey()
	if d == nil {
		return "", fault.Unavailable(errors.New("the region has no domain key"))
	}
	prf, err := s.grantTokenPRF(ctx, d)
	if err != nil {
		return "", err
	}
	sealed, err := envelope.SealSecret(ctx, prf, []byte(grantTokenBinding), id)
	if err != nil {
		return "", fault.Internal(err)
	}
	token := binary.BigEndian.AppendUint32([]byte(grantTokenMagic), d.Version)
	return base64.RawURLEncoding.EncodeToString(append(token, sealed...)), nil
}

// OpenGrantTokens returns the ids of the grants that tokens were given out for; whether the grants are still there, and on which
// key, is not asked. A token that this region has not made is an InvalidGrantTokenException (spec 04 GT-07).
func (s *Service) OpenGrantTokens(ctx context.Context, st *fsm.State, tokens []string) ([]string, error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	ids := make([]string, len(tokens))
	for i, token := range tokens {
		id, err := s.openGrantToken(ctx, st, token)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

func (s *Service) openGrantToken(ctx context.Context, st *fsm.State, token string) (string, error) {
	version, sealed, ok := parseGrantToken(token)
	if !ok {
		return "", fault.InvalidGrantToken()
	}
	d := st.DomainKey(version)
	if d == nil {
		return "", fault.InvalidGrantToken()
	}
	prf, err := s.grantTokenPRF(ctx, d)
	if err != nil {
		return "", err
	}
	id, err := envelope.OpenSecret(ctx, prf, []byte(grantTokenBinding), sealed)
	if err != nil {
		return "", fault.InvalidGrantToken()
	}
	return hex.EncodeToString(id), nil
}

// parseGrantToken takes a token apart; it accepts exactly the form that newGrantToken gives, so that no two texts are one token.
func parseGrantToken(token string) (domain uint32, sealed []byte, ok bool) {
	if len(token) != base64.RawURLEncoding.EncodedLen(grantTokenSize) {
		return 0, nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != grantTokenSize || string(raw[:len(grantTokenMagic)]) != grantTokenMagic {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(raw[len(grantTokenMagic):]), raw[grantTokenHeader:], true
}
