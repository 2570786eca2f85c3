package multiregion

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/trentkms/trent/fsm"
)

// Identities that live in a home region: a region that follows asks its home, every second and when it is poked, what has changed after the
// index that it is at, and takes that over as one change. docs/multi-region.md has the protocol.

// Identities is what an engine asks of its region about identities; *region.Service is it.
type Identities interface {
	// HandOutSecrets wraps the secrets of access keys for another region's HSM: a fresh key, and one sealed secret for each access key.
	HandOutSecrets(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, keys []fsm.AccessKey) (key []byte, sealed [][]byte, err error)
	// TakeInSecrets seals secrets that another region has handed out under this region's domain key, into the access keys.
	TakeInSecrets(ctx context.Context, st *fsm.State, key []byte, sealed [][]byte, keys []fsm.AccessKey) error
	// SignIdentities signs what is told to another region in answer to a nonce, VerifyIdentities checks that.
	SignIdentities(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce, told []byte) ([]byte, error)
	VerifyIdentities(st *fsm.State, from *fsm.OtherRegion, nonce, told, signature []byte) error
	// OperatorAccount is the account whose identities look after the region.
	OperatorAccount(st *fsm.State) string
}

// told is a part of what a home tells, as it is signed.
type told struct {
	Position uint64           `cbor:"1,keyasint"` // of the home's log: the same in all parts
	Full     bool             `cbor:"2,keyasint,omitempty"`
	Operator string           `cbor:"3,keyasint"`
	Rows     fsm.IdentityRows `cbor:"4,keyasint"`
	// Key is the wrapped key under which Secrets are sealed, one for each access key of the rows.
	Key     []byte   `cbor:"5,keyasint,omitempty"`
	Secrets [][]byte `cbor:"6,keyasint,omitempty"`
	// Digest is that of all identities at Position, if it was asked for.
	Digest []byte `cbor:"7,keyasint,omitempty"`
	// Followers are all regions that follow the home at Position: the same in all parts, and in everything that is signed.
	Followers []fsm.Follower `cbor:"8,keyasint,omitempty"`
}

const (
	// toldBytes is about how large a part gets before its last row: with that one it fits into a command.
	toldBytes = 160 << 10
	toldRows  = 2048
	// maxTold bounds the rows, maxToldBytes the bytes of one synchronization: they are gathered in memory before they are taken over.
	maxTold      = 2_000_000
	maxToldBytes = 512 << 20
	// noteEvery is how often the log learns how current the identities are while nothing changes.
	noteEvery = 10 * time.Second
	// decideTimeout bounds a decision at home: it commits a change, three times at most.
	decideTimeout = 10 * time.Second
	// holdFor is how long a home keeps the state that it tells in parts.
	holdFor = time.Minute
	// adoptFor is how long a region that has asked for identities in order to adopt this one counts as one that follows, unless it says so.
	adoptFor = time.Minute
)

// textMode reads what a region tells: texts that clients have put need not be UTF-8.
var textMode = sync.OnceValue(func() cbor.DecMode { return strictMode(cbor.UTF8DecodeInvalid) })

func decodeTold(b []byte) (*told, error) {
	var t told
	if err := textMode().Unmarshal(b, &t); err != nil {
		return nil, errors.New("multiregion: unreadable identities")
	}
	if len(t.Secrets) != len(t.Rows.AccessKeys) || t.Position == 0 {
		return nil, errors.New("multiregion: identities out of bounds")
	}
	if err := errors.Join(t.Rows.Check(), fsm.CheckFollowers(t.Followers)); err != nil {
		return nil, fmt.Errorf("multiregion: identities: %w", err)
	}
	return &t, nil
}
