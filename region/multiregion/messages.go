package multiregion

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/link"
)

// version of the messages. A region that does not know it refuses, so that the newer one can say so.
const version = 1

// kind says what a request asks.
type kind uint8

// Kinds of requests. The numbers are never reused.
const (
	kindPoke      kind = 1 // there is something new
	kindPull      kind = 2 // what changed after a position
	kindCompare   kind = 3 // what differs, in full
	kindTell      kind = 4 // these keys stand so with me; how with you?
	kindMaterials kind = 5 // hand out key material
	kindAsk       kind = 6 // may this caller do that in your region?

	kindIdentities kind = 20 // what has changed in your identities after a position?
	kindDecide     kind = 21 // decide about identities in the place of a region that follows
	kindSessions   kind = 22 // hand out your session keys
)

// request is what one region sends to another.
type request struct {
	Version int  `cbor:"1,keyasint"`
	Kind    kind `cbor:"2,keyasint"`
	// Incarnation is the sender's. Forgets is the number of regions that it knows to be forgotten.
	Incarnation uint64 `cbor:"3,keyasint"`
	Forgets     int    `cbor:"4,keyasint,omitempty"`

	// Position and Cursor of kindPull: everything after the position, and within it after the cursor of the answer before.
	Position uint64 `cbor:"10,keyasint,omitempty"`
	Cursor   []byte `cbor:"11,keyasint,omitempty"`
	// Buckets of kindCompare are the digests of what the sender shares with the receiver, From where to go on.
	Buckets []uint64 `cbor:"12,keyasint,omitempty"`
	From    int      `cbor:"13,keyasint,omitempty"`
	// Docs of kindTell are how keys stand with the sender, Keys those of which the receiver is to tell the same.
	Docs []fsm.KeyDoc `cbor:"14,keyasint,omitempty"`
	Keys []fsm.KeyRef `cbor:"15,keyasint,omitempty"`
	// Nonce and Wanted of kindMaterials; Nonce of kindSessions.
	Nonce  []byte   `cbor:"16,keyasint,omitempty"`
	Wanted []Wanted `cbor:"17,keyasint,omitempty"`
	// Shared of kindMaterials says that the sender takes bundles with a Key. A region that does not know it sends none.
	Shared bool `cbor:"19,keyasint,omitempty"`
	// Question of kindAsk.
	Question []byte `cbor:"18,keyasint,omitempty"`

	// Home is the region in which the sender's identities are decided, "" if that is the sender.
	Home string `cbor:"40,keyasint,omitempty"`
	// PositionIn of kindIdentities is the receiver's incarnation that Position is of. Full asks for all there is, Look without following,
	// Digest for that of all identities. Sign asks for a signature even if nothing has changed: only what is signed is believed.
	PositionIn uint64 `cbor:"41,keyasint,omitempty"`
	Full       bool   `cbor:"42,keyasint,omitempty"`
	Look       bool   `cbor:"43,keyasint,omitempty"`
	Digest     bool   `cbor:"44,keyasint,omitempty"`
	Sign       bool   `cbor:"45,keyasint,omitempty"`
}

// answer is what comes back.
type answer struct {
	Incarnation uint64 `cbor:"1,keyasint"`
	Forgets     int    `cbor:"2,keyasint,omitempty"`

	Docs []fsm.KeyDoc `cbor:"10,keyasint,omitempty"`
	// Next is the cursor of the next part, nil at the end; then everything up to Position was told.
	Next     []byte `cbor:"11,keyasint,omitempty"`
	Position uint64 `cbor:"12,keyasint,omitempty"`
	// Entries of kindCompare are what the receiver has in buckets that differ; From is the bucket to go on with, 0 at the end.
	Entries []entry `cbor:"13,keyasint,omitempty"`
	From    int     `cbor:"14,keyasint,omitempty"`
	Bundle  *Bundle `cbor:"15,keyasint,omitempty"`
	Reply   []byte  `cbor:"16,keyasint,omitempty"`
	// Lives of kindCompare are the incarnations in which the region knows the others that it is federated with.
	Lives []fsm.RegionLife `cbor:"17,keyasint,omitempty"`
	// Age is how many milliseconds ago the oldest of the changes told in Docs was made. Left, in the first part of a kindPull, is how
	// many keys have changed in all, those told included.
	Age  int64 `cbor:"30,keyasint,omitempty"`
	Left int   `cbor:"31,keyasint,omitempty"`
	// Sessions is fsm.SessionKeysDigest of the region's own session keys. SessionBundle answers kindSessions.
	Sessions      uint64         `cbor:"32,keyasint,omitempty"`
	SessionBundle *SessionBundle `cbor:"33,keyasint,omitempty"`

	// Told of kindIdentities is an encoded part of what the region tells, Signature that of its HSM over it.
	Told      []byte `cbor:"40,keyasint,omitempty"`
	Signature []byte `cbor:"41,keyasint,omitempty"`
}

// entry is one key in a comparison.
type entry struct {
	Account string         `cbor:"1,keyasint"`
	ID      string         `cbor:"2,keyasint"`
	Version fsm.SetVersion `cbor:"3,keyasint"`
	Gone    bool           `cbor:"4,keyasint,omitempty"`
}

// Wanted names one material of a key, and the version of the set that named it.
type Wanted struct {
	Account  string         `cbor:"1,keyasint"`
	ID       string         `cbor:"2,keyasint"`
	Material []byte         `cbor:"3,keyasint"`
	Version  fsm.SetVersion `cbor:"4,keyasint"`
}

// Bundle is key material on its way, signed as a whole by the region that hands it out (Statement).
type Bundle struct {
	Items     []Item `cbor:"1,keyasint"`
	Signature []byte `cbor:"2,keyasint"`
	// Key is an AES-256 key that the source's HSM has made for this bundle alone, wrapped for the receiver's HSM, and the items are
	// wrapped under it (hsm.WrapAESKWP). Without one each item is wrapped for the receiver's HSM by itself.
	Key []byte `cbor:"3,keyasint,omitempty"`
}

// Taken is one item of a bundle that was taken in, or why it was not: that has nothing to do with the others.
type Taken struct {
	Material fsm.Material
	Err      error
}

// Item is one material, wrapped for the receiver's HSM.
type Item struct {
	Account  string         `cbor:"1,keyasint"`
	ID       string         `cbor:"2,keyasint"`
	Material []byte         `cbor:"3,keyasint"`
	Version  fsm.SetVersion `cbor:"4,keyasint"` // of the set, as the region that hands it out knows it
	Spec     string         `cbor:"5,keyasint"`
	Usage    string         `cbor:"6,keyasint"`
	Origin   string         `cbor:"7,keyasint"`
	Wrapped  []byte         `cbor:"8,keyasint"`
	Public   []byte         `cbor:"9,keyasint,omitempty"`
}

// Bounds of messages.
const (
	maxDocs     = 256 // keys of one part
	maxWanted   = 64  // materials of one request; also the documents of one command, fewer than a read set can name
	maxEntries  = 4096
	bucketCount = 1024
	nonceSize   = 32
	// partBytes is about how large a part may get: below link.MaxRequest with room for what encoding adds.
	partBytes = 1 << 20
)

var modes = sync.OnceValues(func() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic("multiregion: CBOR encoding options: " + err.Error())
	}
	return enc, strictMode(cbor.UTF8RejectInvalid)
})

// strictMode reads CBOR of another region, within bounds and in one form alone; texts says whether they have to be UTF-8.
func strictMode(texts cbor.UTF8Mode) cbor.DecMode {
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 16, MaxArrayElements: 8192, MaxMapPairs: 64,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, UTF8: texts,
	}.DecMode()
	if err != nil {
		panic("multiregion: CBOR decoding options: " + err.Error())
	}
	return dec
}

func encode(v any) ([]byte, error) {
	enc, _ := modes()
	b, err := enc.Marshal(v)
	if err == nil && len(b) > link.MaxRequest {
		err = link.ErrTooLarge
	}
	return b, err
}

// decodeRequest reads a request and holds it to its bounds. Unknown fields are skipped: a newer region may say more.
func decodeRequest(b []byte) (*request, error) {
	if len(b) > link.MaxRequest {
		return nil, link.ErrTooLarge
	}
	_, dec := modes()
	var r request
	if err := dec.Unmarshal(b, &r); err != nil {
		return nil, errors.New("unreadable request")
	}
	if r.Version != version {
		return nil, fmt.Errorf("messages of version %d, this region speaks version %d: upgrade the older one", r.Version, version)
	}
	if r.Incarnation == 0 || len(r.Docs) > maxDocs || len(r.Keys) > maxDocs || len(r.Wanted) > maxWanted ||
		r.Kind == kindCompare && len(r.Buckets) != bucketCount || r.From < 0 || r.From >= bucketCount ||
		(r.Kind == kindMaterials || r.Kind == kindSessions) && len(r.Nonce) != nonceSize || r.Forgets < 0 {
		return nil, errors.New("a request out of bounds")
	}
	return &r, checkDocs(r.Docs)
}

func decodeAnswer(b []byte) (*answer, error) {
	if len(b) > link.MaxRequest {
		return nil, link.ErrTooLarge
	}
	_, dec := modes()
	var a answer
	if err := dec.Unmarshal(b, &a); err != nil {
		return nil, errors.New("multiregion: unreadable answer")
	}
	if a.Incarnation == 0 || len(a.Docs) > maxDocs || len(a.Entries) > maxEntries || a.From < 0 || a.From >= bucketCount || a.Forgets < 0 ||
		a.Age < 0 || a.Age > maxAge || a.Left < 0 {
		return nil, errors.New("multiregion: an answer out of bounds")
	}
	if err := checkBundle(a.Bundle); err != nil {
		return nil, err
	}
	if b := a.SessionBundle; b != nil && len(b.Items) > fsm.MaxSessionKeys {
		return nil, errors.New("multiregion: too many session keys")
	}
	if err := fsm.CheckLives(a.Lives); err != nil {
		return nil, fmt.Errorf("multiregion: %w", err)
	}
	return &a, checkDocs(a.Docs)
}

// Bounds of what is wrapped, in bytes: an RSA-16384 block and the longest wrapped key, and what else an item may hold.
const (
	maxWrapped  = 16384/8 + 16<<10
	maxPublic   = 8 << 10
	maxItemText = 128
)

// checkBundle bounds what is done for a bundle before its signature is checked.
func checkBundle(b *Bundle) error {
	if b == nil {
		return nil
	}
	if len(b.Items) > maxWanted || len(b.Key) > maxWrapped || len(b.Signature) > maxItemText {
		return errors.New("multiregion: a bundle out of bounds")
	}
	for i := range b.Items {
		it := &b.Items[i]
		if len(it.Wrapped) > maxWrapped || len(it.Public) > maxPublic ||
			max(len(it.Account), len(it.ID), len(it.Material), len(it.Spec), len(it.Usage), len(it.Origin)) > maxItemText {
			return errors.New("multiregion: a bundle out of bounds")
		}
	}
	return nil
}

// answers tells whether a bundle has nothing but what was asked for, each material once and in the order of asking.
func (b *Bundle) answers(wanted []Wanted) bool {
	for i := range b.Items {
		it := &b.Items[i]
		at := slices.IndexFunc(wanted, func(w Wanted) bool {
			return w.Account == it.Account && w.ID == it.ID && bytes.Equal(w.Material, it.Material)
		})
		if at < 0 {
			return false
		}
		wanted = wanted[at+1:]
	}
	return true
}

// checkDocs refuses what the state machine would, and blobs, which only a region's own log may hold.
func checkDocs(docs []fsm.KeyDoc) error {
	for i := range docs {
		d := &docs[i]
		for j := range d.Materials {
			if len(d.Materials[j].Blob) > 0 || d.Materials[j].Domain != 0 {
				return errors.New("multiregion: wrapped material in a document")
			}
		}
		if err := d.Check(); err != nil {
			return fmt.Errorf("multiregion: key %s: %w", d.ID, err)
		}
	}
	return nil
}
