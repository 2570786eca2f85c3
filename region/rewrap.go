package region

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/envelope"
)

// A pass of re-wrapping proposes what it did in commands of at most so many blobs and bytes, so that clients' commands are not
// held up behind one of them.
const (
	rewrapItems = 128
	rewrapBytes = 128 << 10
)

// errDamaged reports that something did not unwrap: the state or the HSM's old domain key is damaged, and the object is lost.
var errDamaged = errors.New("not everything could be wrapped anew")

// rewrapAll wraps everything under version to that is under older ones. It may be cut off and begun again: what is done is
// never done twice. What cannot be unwrapped is left, named in the log, and reported as errDamaged.
func (s *Service) rewrapAll(ctx context.Context, to *fsm.DomainKey) error {
	var after fsm.KeyRef
	damaged := 0
	for {
		st, err := s.View(ctx)
		if err != nil {
			return err
		}
		b := rewrapBatch{to: to, before: after, last: after}
		for item := range st.UnderOlder(to.Version, after) {
			if b.full() {
				break
			}
			if err := s.rewrapItem(ctx, st, &b, item); err != nil {
				return err
			}
		}
		if len(b.items) > 0 {
			if err := s.proposeSetup(ctx, &fsm.Rewrap{To: to.Version, Items: b.items}); err != nil {
				return fmt.Errorf("re-wrap: %w", err)
			}
		}
		damaged += b.damaged
		switch {
		case b.full():
			// Materials of the last key may be left.
			after = b.before
		case damaged > 0:
			return fmt.Errorf("%w: %d left, see the log", errDamaged, damaged)
		default:
			return nil
		}
	}
}

// rewrapBatch gathers one command.
type rewrapBatch struct {
	to      *fsm.DomainKey
	items   []fsm.RewrapItem
	bytes   int
	damaged int
	// before is the key before the last one that was looked at, last that one.
	before, last fsm.KeyRef
}

func (b *rewrapBatch) full() bool { return len(b.items) >= rewrapItems || b.bytes >= rewrapBytes }

// rewrapItem adds one blob to the batch. Only what keeps all others from being wrapped is an error.
func (s *Service) rewrapItem(ctx context.Context, st *fsm.State, b *rewrapBatch, item fsm.RewrapItem) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ref := (fsm.KeyRef{Account: item.Account, ID: item.ID}); item.Kind == fsm.RewrapKeyMaterial && ref != b.last {
		b.before, b.last = b.last, ref
	}
	blob, err := s.rewrapped(ctx, st, b.to, &item)
	switch {
	case errors.Is(err, hsm.ErrIntegrity), errors.Is(err, envelope.ErrInvalid), errors.Is(err, hsm.ErrUnsupported):
		b.damaged++
		s.log.Error("an object cannot be wrapped under the new domain key version", "account", item.Account, "id", item.ID, "version", item.From, "error", err)
		return nil
	case err != nil:
		return fmt.Errorf("re-wrap %s: %w", item.ID, err)
	}
	item.Blob = blob
	b.items, b.bytes = append(b.items, item), b.bytes+len(blob)+256
	return nil
}

// rewrapped returns an item's blob under another version.
func (s *Service) rewrapped(ctx context.Context, st *fsm.State, to *fsm.DomainKey, item *fsm.RewrapItem) ([]byte, error) {
	from := st.DomainKey(item.From)
	if from == nil {
		return nil, fmt.Errorf("%w: the region has no version %d", hsm.ErrIntegrity, item.From)
	}
	switch item.Kind {
	case fsm.RewrapKeyMaterial:
		k := st.Key(item.Account, item.ID)
		m := findMaterial(k, item.Material)
		t, u, err := hsmUse(k)
		if err != nil {
			return nil, err
		}
		return s.rewrapMaterial(ctx, to, hsm.Material{
			Domain: hsm.DomainID(from.ID), Type: t, Usage: u, Binding: binding(k, m.ID), Wrapped: hsm.Wrapped{Blob: m.Blob, Public: m.Public},
		})
	case fsm.RewrapAuditKey:
		m := st.Region().AuditKey
		return s.rewrapMaterial(ctx, to, hsm.Material{
			Domain: hsm.DomainID(from.ID), Type: hsm.P256, Usage: hsm.UseSign,
			Binding: append([]byte(auditBinding), m.ID...), Wrapped: hsm.Wrapped{Blob: m.Blob, Public: m.Public},
		})
	case fsm.RewrapRegionTransport, fsm.RewrapRegionSigning:
		return s.rewrapRegionKey(ctx, st, from, to, item.Kind)
	case fsm.RewrapSessionKey:
		return s.rewrapMaterial(ctx, to, hsm.Material{
			Domain: hsm.DomainID(from.ID), Type: hsm.Symmetric, Usage: hsm.UseDerive,
			Binding: sessionKeyBinding(cmp.Or(item.ID, s.cfg.Region), item.Material), Wrapped: hsm.Wrapped{Blob: item.Blob},
		})
	case fsm.RewrapAccessKey:
		return s.reseal(ctx, from, to, accessKeyBinding(item.Account, item.ID), item.Blob)
	case fsm.RewrapAuthority:
		return s.reseal(ctx, from, to, authorityBinding(uint32(item.Was)), item.Blob)
	}
	return nil, fmt.Errorf("%w: unknown kind %d", hsm.ErrUnsupported, item.Kind)
}

// rewrapRegionKey wraps one of the region's key pairs towards other regions.
func (s *Service) rewrapRegionKey(ctx context.Context, st *fsm.State, from, to *fsm.DomainKey, kind fsm.RewrapKind) ([]byte, error) {
	role, pair := regionSigning, st.RegionKeys().Signing
	if kind == fsm.RewrapRegionTransport {
		role, pair = regionTransport, st.RegionKeys().Transport
	}
	t, u := role.kind()
	return s.rewrapMaterial(ctx, to, hsm.Material{
		Domain: hsm.DomainID(from.ID), Type: t, Usage: u, Binding: role.binding(), Wrapped: hsm.Wrapped{Blob: pair.Blob, Public: pair.Public},
	})
}

func (s *Service) rewrapMaterial(ctx context.Context, to *fsm.DomainKey, m hsm.Material) ([]byte, error) {
	w, err := s.cfg.HSM.Rewrap(ctx, m, hsm.DomainID(to.ID))
	return w.Blob, err
}

// reseal seals a secret under another version.
func (s *Service) reseal(ctx context.Context, from, to *fsm.DomainKey, binding, sealed []byte) ([]byte, error) {
	secret, err := envelope.OpenSecret(ctx, s.domainPRF(from), binding, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return envelope.SealSecret(ctx, s.domainPRF(to), binding, secret)
}
