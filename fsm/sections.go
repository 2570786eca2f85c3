package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	memdb "github.com/hashicorp/go-memdb"

	"github.com/trentkms/trent/fsm/planted"
)

// section is one table in a snapshot: how its rows are written and read back.
type section struct {
	number byte
	name   string
	// rows passes the rows on in ascending order of their primary key until yield returns false.
	rows func(s *State, yield func(row any) bool)
	// restore takes one row and returns its primary key, nil if the order of the rows is their own.
	restore func(l *loader, data []byte) ([]byte, error)
	// later tells that earlier versions do not know the section: it is left out while it has no rows, which commands of a
	// higher feature level bring, so that such versions read the snapshots of this one and come to the same digest.
	later bool
}

func later(s section) section {
	s.later = true
	return s
}

// sections is the order of the stream. Numbers are never reused; a new one comes at the end. Keys come before what
// shares their strings.
func sections() []section {
	return []section{
		{number: 1, name: "region", rows: regionRows, restore: restoreRegion},
		tableSection(2, tableAccounts, (*Account).primary, nil),
		tableSection(3, tableAccessKeys, (*AccessKey).primary, nil),
		tableSection(4, tableDomainKeys, (*DomainKey).primary, nil),
		tableSection(5, tableKeys, (*Key).primary, (*loader).takeKey),
		tableSection(6, tableAliases, (*Alias).primary, (*loader).takeAlias),
		tableSection(7, tableKeyUses, (*KeyUse).primary, (*loader).takeUse),
		tableSection(8, tableAuditHeads, (*AuditHead).primary, nil),
		{number: 9, name: "remembered", rows: rememberedRows, restore: restoreRemembered},
		tableSection(10, tableGrants, (*Grant).primary, (*loader).takeGrant),
		tableSection(11, tableRemains, (*Remains).primary, nil),
		tableSection(12, tableIdentities, (*Identity).primary, (*loader).takeIdentity),
		tableSection(13, tableManagedPolicies, (*ManagedPolicy).primary, (*loader).takeManagedPolicy),
		later(tableSection(14, tableOIDCProviders, (*OIDCProvider).primary, nil)),
		tableSection(30, tableAuthorities, (*Authority).primary, nil),
		tableSection(31, tableNodes, (*Node).primary, nil),
		tableSection(32, tableRemovedNodes, (*RemovedNode).primary, nil),
		tableSection(33, tableJoinTokens, (*JoinToken).primary, nil),
		later(tableSection(40, tableRotations, (*DomainRotation).primary, nil)),
		later(tableSection(41, tableRecoveryKeys, (*RecoveryKey).primary, nil)),
		later(tableSection(50, tableOtherRegions, (*OtherRegion).primary, nil)),
		later(tableSection(51, tableEnds, (*ReplicaEnd).primary, nil)),
		later(tableSection(60, tableGoneIdentities, (*GoneIdentity).primary, nil)),
		later(tableSection(61, tableIdentityParts, (*IdentityPart).primary, nil)),
	}
}

func tableSection[T any](number byte, table string, primary func(*T) []byte, take func(*loader, *T) error) section {
	return section{
		number: number, name: table,
		rows: func(s *State, yield func(any) bool) {
			for row := range from[T](&s.view, table, indexID, nil) {
				if !yield(row) {
					return
				}
			}
		},
		restore: func(l *loader, data []byte) ([]byte, error) {
			row := new(T)
			if err := unmarshal(data, row); err != nil {
				return nil, err
			}
			if take != nil {
				if err := take(l, row); err != nil {
					return nil, err
				}
			}
			if planted.Enabled && planted.Bug(planted.SnapshotDropsRow) && table == tableGrants {
				return primary(row), nil
			}
			return primary(row), l.txn.Insert(table, row)
		},
	}
}

// regionRow is the one row of section 1, absent before InitRegion.
type regionRow struct {
	Region Region `cbor:"1,keyasint"`
	Quotas Quotas `cbor:"2,keyasint"`
}

func regionRows(s *State, yield func(any) bool) {
	if s.region != nil {
		yield(&regionRow{*s.region, s.quotas})
	}
}

func restoreRegion(l *loader, data []byte) ([]byte, error) {
	if l.state.region != nil {
		return nil, errors.New("two regions")
	}
	var row regionRow
	if err := unmarshal(data, &row); err != nil {
		return nil, err
	}
	l.state.region, l.state.quotas = &row.Region, row.Quotas
	return nil, nil
}

// rememberedRow is one row of section 9; they are in the order of the log.
type rememberedRow struct {
	ID        []byte   `cbor:"1,keyasint"`
	Signature []byte   `cbor:"2,keyasint"`
	Index     uint64   `cbor:"3,keyasint"`
	Objects   []string `cbor:"4,keyasint,omitempty"`
	Settles   bool     `cbor:"5,keyasint,omitempty"` // from LevelSettles on
}

func rememberedRows(s *State, yield func(any) bool) {
	var row rememberedRow
	for id, r := range s.repeats.all() {
		row = rememberedRow{id[:], r.Signature[:], r.Index, r.Objects, r.Settles}
		if !yield(&row) {
			return
		}
	}
}

func restoreRemembered(l *loader, data []byte) ([]byte, error) {
	var row rememberedRow
	if err := unmarshal(data, &row); err != nil {
		return nil, err
	}
	size := len(row.Objects)
	for _, object := range row.Objects {
		size += len(object)
	}
	if len(row.ID) != len(CommandID{}) || len(row.Signature) != len(Remembered{}.Signature) || size > maxRememberedSize {
		return nil, errors.New("fields of the wrong size")
	}
	if l.state.repeats.next == l.state.repeats.limit {
		return nil, errors.New("more rows than are kept")
	}
	if planted.Bug(planted.ForgetRetryIDs) {
		return nil, nil
	}
	l.state.repeats = l.state.repeats.add(CommandID(row.ID), Remembered{[16]byte(row.Signature), row.Index, row.Objects, row.Settles})
	return nil, nil
}

// loader builds a state from a snapshot, beside whatever state there is.
type loader struct {
	view
	db       *memdb.MemDB
	interner *interner
	state    *State
}

// load reads a whole snapshot. accept is asked as soon as the snapshot's index is known.
func load(r io.Reader, accept func(index uint64) error) (*loader, error) {
	db, err := newDB()
	if err != nil {
		return nil, err
	}
	l := &loader{db: db, interner: new(interner), state: emptyState(db)}
	l.view = view{txn: db.Txn(true), lookups: l.state.lookups}
	sr := newStreamReader(r)
	if err := l.header(sr); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrSnapshot, err)
	}
	if err := accept(l.state.index); err != nil {
		return nil, err
	}
	if err := l.sections(sr); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	l.txn.Commit()
	l.state.txn = db.Txn(false)
	return l, nil
}

func (l *loader) header(sr *streamReader) error {
	var start [len(snapshotMagic) + 1]byte
	if err := sr.fixed(start[:]); err != nil {
		return err
	}
	if string(start[:len(snapshotMagic)]) != snapshotMagic {
		return errors.New("bad magic")
	}
	if v := start[len(snapshotMagic)]; v != snapshotVersion {
		return fmt.Errorf("unknown version %d", v)
	}
	data, err := sr.item()
	if err != nil {
		return err
	}
	var h snapshotHeader
	if err := unmarshal(data, &h); err != nil {
		return err
	}
	l.state.index, l.state.cfgIndex, l.state.cfg, l.state.now = h.Index, h.CfgIndex, h.configuration(), h.Now
	return nil
}

// sections reads the sections, each at most once and in order; one that is missing was unknown to the writer, and its
// table stays empty. Then it compares the digest.
func (l *loader) sections(sr *streamReader) error {
	rest := sections()
	for {
		number, err := sr.byte()
		if err != nil {
			return err
		}
		if number == endOfSections {
			return sr.end()
		}
		for len(rest) > 0 && rest[0].number < number {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].number != number {
			return fmt.Errorf("section %d is unknown or out of order", number)
		}
		if err := l.section(sr, &rest[0]); err != nil {
			return fmt.Errorf("section %s: %w", rest[0].name, err)
		}
		rest = rest[1:]
	}
}

func (l *loader) section(sr *streamReader, s *section) error {
	var rows uint64
	var last []byte
	for {
		data, err := sr.item()
		if err != nil {
			return err
		}
		if data == nil {
			break
		}
		rows++
		key, err := s.restore(l, data)
		if err != nil {
			return fmt.Errorf("row %d: %w", rows, err)
		}
		if key != nil && last != nil && bytes.Compare(key, last) <= 0 {
			return fmt.Errorf("row %d is out of order", rows)
		}
		last = key
	}
	count, err := sr.count()
	if err != nil {
		return err
	}
	if count != rows {
		return fmt.Errorf("%d rows instead of %d", rows, count)
	}
	return nil
}

// takeKey also refuses what the apply functions could not stand.
func (l *loader) takeKey(k *Key) error {
	if k.Current < -1 || k.Current >= len(k.Materials) {
		return fmt.Errorf("current material %d of %d", k.Current, len(k.Materials))
	}
	l.interner.key(k)
	return nil
}

func (l *loader) takeAlias(a *Alias) error {
	if k := l.key(a.Account, a.KeyID); k != nil {
		a.Account, a.KeyID = k.Account, k.ID
	}
	return nil
}

// takeGrant also refuses what lookups could not stand.
func (l *loader) takeGrant(g *Grant) error {
	if g.Constraint != nil && len(g.Constraint.Pairs) == 0 {
		return errors.New("a constraint without pairs")
	}
	if k := l.key(g.Account, g.KeyID); k != nil {
		g.Account, g.KeyID = k.Account, k.ID
	}
	g.IssuingAccount = l.interner.string(g.IssuingAccount)
	return nil
}

func (l *loader) takeUse(u *KeyUse) error {
	u.Operation = l.interner.string(u.Operation)
	if k := l.key(u.Account, u.KeyID); k != nil {
		u.Account, u.KeyID = k.Account, k.ID
	}
	return nil
}

// takeIdentity also refuses what lookups could not stand.
func (l *loader) takeIdentity(i *Identity) error {
	if i.Type < IdentityUser || i.Type > IdentityRole {
		return fmt.Errorf("unknown type of identity %d", i.Type)
	}
	i.Account, i.Path = l.interner.string(i.Account), l.interner.string(i.Path)
	return nil
}

func (l *loader) takeManagedPolicy(p *ManagedPolicy) error {
	p.Account, p.Path = l.interner.string(p.Account), l.interner.string(p.Path)
	return nil
}
