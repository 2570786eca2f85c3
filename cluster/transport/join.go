package transport

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// serveJoin takes one request of a node that is not known. The answer is a status byte and a payload or an error's text.
func (s *Server) serveJoin(conn *tls.Conn) {
	defer conn.Close()
	select {
	case s.joining <- struct{}{}:
		defer func() { <-s.joining }()
	default:
		return
	}
	stop := context.AfterFunc(s.life, func() { conn.Close() })
	defer stop()
	if conn.SetReadDeadline(time.Now().Add(handshakeTimeout)) != nil {
		return
	}
	request, err := readBlock(conn, 1, maxJoin)
	if err != nil {
		s.cfg.Logger.Debug("transport: join request", "remote", conn.RemoteAddr().String(), "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(s.life, joinTimeout)
	defer cancel()
	answer := s.join(ctx, request)
	if conn.SetWriteDeadline(time.Now().Add(writeTimeout)) == nil {
		_ = writeBlock(conn, answer, maxJoin)
	}
}

func (s *Server) join(ctx context.Context, request []byte) []byte {
	h := s.handlers.Load()
	if h == nil || h.Join == nil {
		return append([]byte{statusFault}, "the node is starting; try again"...)
	}
	out, err := h.Join(ctx, request)
	if err != nil {
		_, text := encodeFault(err)
		return append([]byte{statusFault}, text...)
	}
	return append([]byte{statusOK}, out...)
}

// RequestJoin sends a join request to a node of the cluster that a token is for, by way of any address that leads to one,
// and returns the answer. A refusal is a *RemoteError.
func RequestJoin(ctx context.Context, address string, pin [32]byte, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	conn, err := (&tls.Dialer{Config: joinConfig(pin)}).DialContext(ctx, "tcp", address)
	if err != nil {
		var unreached *net.OpError
		if !(errors.As(err, &unreached) && unreached.Op == "dial") && ctx.Err() == nil {
			err = fmt.Errorf("%w; is it the address of a node's cluster block, and not of a listener for clients?", err)
		}
		return nil, fmt.Errorf("transport: join by way of %s: %w", address, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := writeBlock(conn, request, maxJoin); err != nil {
		return nil, fmt.Errorf("transport: join by way of %s: %w", address, err)
	}
	answer, err := readBlock(conn, 1, maxJoin)
	if err != nil {
		return nil, fmt.Errorf("transport: join by way of %s: %w", address, errors.Join(err, ctx.Err()))
	}
	if answer[0] != statusOK {
		return nil, &RemoteError{Node: address, Text: string(answer[1:])}
	}
	return answer[1:], nil
}

// A join token in text: a prefix that tells people and secret scanners what it is, then base64url of the pin and the
// secret.
const (
	tokenPrefix = "trent-join-1."
	secretSize  = 32
)

// JoinToken proves the right to join once, and names the cluster. It does not print itself.
type JoinToken struct {
	Pin    [32]byte
	secret [secretSize]byte
}

// NewJoinToken makes a token of an authority's pin and 32 random bytes.
func NewJoinToken(pin [32]byte, secret [secretSize]byte) JoinToken { return JoinToken{pin, secret} }

// ParseJoinToken reads the text of a token. The error does not show it.
func ParseJoinToken(text string) (t JoinToken, err error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if !ok || err != nil || len(b) != len(t.Pin)+secretSize {
		return JoinToken{}, fmt.Errorf("transport: not a join token: it begins with %q and is %d characters long; copy all of it",
			tokenPrefix, len(tokenPrefix)+base64.RawURLEncoding.EncodedLen(len(t.Pin)+secretSize))
	}
	copy(t.Pin[:], b)
	copy(t.secret[:], b[len(t.Pin):])
	return t, nil
}

// Reveal is the token in text, to be shown once to who asked for it.
func (t JoinToken) Reveal() string {
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(t.Pin[:], t.secret[:]...))
}

// Secret is the part that proves the right.
func (t JoinToken) Secret() []byte { return t.secret[:] }

// Digest is what the region keeps of the token.
func (t JoinToken) Digest() []byte { return SecretDigest(t.secret[:]) }

// SecretDigest is the digest of a token's secret.
func SecretDigest(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}

// String implements fmt.Stringer without the secret.
func (JoinToken) String() string { return "[join token]" }

// GoString implements fmt.GoStringer without the secret.
func (JoinToken) GoString() string { return "[join token]" }

var _ net.Listener = (*stream)(nil)
