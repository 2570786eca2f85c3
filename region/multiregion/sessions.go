package multiregion

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm"
)

// Sessions looks after the keys by which regions seal session tokens and open each other's; *region.Service is it.
type Sessions interface {
	// KeepSessionKeys gives the region the session key that it is to have by now.
	KeepSessionKeys(ctx context.Context, st *fsm.State) error
	// HandOutSessionKeys wraps this region's session keys for another region and signs the whole.
	HandOutSessionKeys(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce []byte) (*SessionBundle, error)
	// TakeInSessionKeys checks a bundle that came in answer to nonce and returns the keys, wrapped under this region's domain key.
	TakeInSessionKeys(ctx context.Context, st *fsm.State, from *fsm.OtherRegion, nonce []byte, b *SessionBundle) ([]fsm.SessionKey, error)
}

// SessionBundle is a region's session keys on their way, signed as a whole by the region (SessionStatement).
type SessionBundle struct {
	Items     []SessionItem `cbor:"1,keyasint"`
	Signature []byte        `cbor:"2,keyasint"`
}

// SessionItem is one session key, wrapped for the receiver's HSM.
type SessionItem struct {
	ID        []byte `cbor:"1,keyasint"`
	CreatedAt int64  `cbor:"2,keyasint"`
	UseFrom   int64  `cbor:"3,keyasint"`
	Until     int64  `cbor:"4,keyasint,omitempty"`
	Wrapped   []byte `cbor:"5,keyasint"`
}

// SessionStatement returns the SHA-256 digest that the source signs, in the encoding of Statement.
func SessionStatement(p *Parties, items []SessionItem) [sha256.Size]byte {
	b := p.append([]byte("trent/session-transfer/1\x00"))
	b = binary.BigEndian.AppendUint64(b, uint64(len(items)))
	for i := range items {
		it := &items[i]
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(it.ID))), it.ID...)
		for _, n := range []int64{it.CreatedAt, it.UseFrom, it.Until} {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
		wrapped := sha256.Sum256(it.Wrapped)
		b = append(b, wrapped[:]...)
	}
	return sha256.Sum256(b)
}

// keepSessions has the region make its session key when it is time.
func (e *Engine) keepSessions(ctx context.Context, st *fsm.State) error {
	if e.cfg.Sessions == nil || st.Region() == nil || st.Region().Reborn || len(st.FederatedRegions()) == 0 {
		return nil
	}
	return e.cfg.Sessions.KeepSessionKeys(ctx, st)
}

// takeSessions asks a region for its session keys if it has told, in its last answer, that they are not those known here.
func (e *Engine) takeSessions(ctx context.Context, region string) error {
	p := e.peer(region)
	p.Lock()
	told := p.sessions
	p.Unlock()
	st := e.cfg.Cluster.State()
	o := st.OtherRegion(region)
	if e.cfg.Sessions == nil || o == nil || told == fsm.SessionKeysDigest(o.Sessions) {
		return nil
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	a, err := e.call(ctx, region, &request{Kind: kindSessions, Nonce: nonce})
	if err != nil {
		return fmt.Errorf("session keys: %w", err)
	}
	// The answer may be of an incarnation that is not known yet: the next pull tells.
	st = e.cfg.Cluster.State()
	if o = st.OtherRegion(region); a.SessionBundle == nil || o == nil || o.Incarnation != a.Incarnation {
		return errors.New("session keys: the region handed out none of its present incarnation")
	}
	keys, err := e.cfg.Sessions.TakeInSessionKeys(ctx, st, o, nonce, a.SessionBundle)
	if err != nil {
		return fmt.Errorf("session keys: %w", err)
	}
	return e.propose(ctx, &fsm.TakeSessionKeys{Region: region, Incarnation: a.Incarnation, Keys: keys})
}
