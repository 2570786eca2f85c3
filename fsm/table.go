package fsm

import (
	"fmt"
	"sync"
)

// LevelInitial is the feature level of everything that the first release knew.
const LevelInitial = 1

// LevelSettles is the feature level from which on commands settle their calls (Command.Settles).
const LevelSettles = 3

// lastDoc is the highest document number that this version knows.
const lastDoc = DocOIDCProvider

// commandRow is one kind of command: all its facts in one place.
type commandRow struct {
	kind Kind
	name string // for errors and logs
	// level is the feature level that introduced the kind.
	level int
	// remember tells that the kind's command ids are remembered. It is off for what no client asks for, since such
	// commands are conditional on the object anyway and would only push out the ids of clients, and for access
	// keys, whose answer holds a secret that cannot be given twice.
	remember bool
	// initial tells that the kind may take effect before the region is initialized.
	initial bool
	// identity tells that the kind changes identities, which only their home region does.
	identity bool

	pointer func(Body) (Body, bool) // *T of T or *T
	check   func(Body) error        // bounds that do not depend on the state; body is *T
	sizeOf  func(Body) int          // a guess at the encoded size, to allocate once
	decode  func([]byte) (Body, error)
	apply   func(*tx, Body) outcome
}

// body is a pointer to one of the command bodies.
type body[T any] interface {
	*T
	Body
	check() error
}

// command makes the row of a body type. Its options follow the apply function.
func command[T any, P body[T]](apply func(*tx, P) outcome, options ...func(*commandRow)) commandRow {
	row := commandRow{
		kind:     P(new(T)).Kind(),
		name:     typeName[T](),
		level:    LevelInitial,
		remember: true,
		pointer: func(b Body) (Body, bool) {
			switch v := any(b).(type) {
			case T:
				return P(&v), true
			case P:
				return v, true
			}
			return nil, false
		},
		check:  func(b Body) error { return b.(P).check() },
		sizeOf: func(b Body) int { return sizeOf(b) },
		decode: func(data []byte) (Body, error) {
			p := P(new(T))
			if err := unmarshal(data, p); err != nil {
				return nil, err
			}
			return p, nil
		},
		apply: func(t *tx, b Body) outcome { return apply(t, b.(P)) },
	}
	for _, option := range options {
		option(&row)
	}
	return row
}

func forgotten(r *commandRow) { r.remember = false }
func initial(r *commandRow)   { r.initial = true }
func identity(r *commandRow)  { r.identity = true }

// since names the feature level that introduced the kind.
func since(level int) func(*commandRow) { return func(r *commandRow) { r.level = level } }

// commandRows is the table of commands.
func commandRows() []commandRow {
	return append(upcoming(), []commandRow{
		command(applyTermStart, initial, forgotten),
		command(applyInitRegion, initial, forgotten),
		command(applySetQuotas),
		command(applyPutAccount, identity),
		command(applyPutAccessKey, forgotten, identity),
		command(applyDeleteAccessKey, forgotten, identity),
		command(applyPutServiceKey, forgotten, identity, since(LevelServices)),
		command(applyPutDomainKey),
		command(applyPutAuditHead, forgotten),
		command(applyPutAuthority, forgotten),
		command(applyPutJoinToken, forgotten),
		command(applyAdmitNode, forgotten),
		command(applyPutNode, forgotten),
		command(applyWrapDomainKey, forgotten),
		command(applyForgetNode, forgotten),
		command(applyBeginRotation, forgotten, since(LevelDomainRotation)),
		command(applyAdvanceRotation, forgotten, since(LevelDomainRotation)),
		command(applyRewrap, forgotten, since(LevelDomainRotation)),
		command(applyConfirmDestroyed, forgotten, since(LevelDomainRotation)),
		command(applyPutRecoveryKey, forgotten, since(LevelDomainRotation)),
		command(applyRemoveRecoveryKey, forgotten, since(LevelDomainRotation)),
		command(applyOperatorEvent, forgotten, since(LevelDomainRotation)),
		command(applyCreateKey),
		command(applySetDescription),
		command(applySetEnabled),
		command(applyScheduleDeletion),
		command(applyCancelDeletion),
		command(applyDeleteKey, forgotten),
		command(applyPutKeyPolicy),
		command(applyTagKey),
		command(applyUntagKey),
		command(applyCreateAlias),
		command(applyUpdateAlias),
		command(applyDeleteAlias),
		command(applySetRotation),
		command(applyRotateKey),
		command(applyImportMaterial),
		command(applyDeleteMaterial),
		command(applyExpireMaterial, forgotten),
		command(applyRewrapMaterial, forgotten),
		command(applyLastUsage, forgotten),
		command(applyCreateGrant),
		command(applyDeleteGrant),
		command(applyPurgeGrants, forgotten),
		command(applyPutIdentity, identity),
		command(applyDeleteIdentity, identity),
		command(applyPutManagedPolicy, identity),
		command(applyDeleteManagedPolicy, identity),
		command(applySetAccessKeyStatus, identity),
		command(applyPutRegionKeys, forgotten, since(LevelFederation)),
		command(applyPutOtherRegion, forgotten, since(LevelFederation)),
		command(applyForgetRegion, forgotten, since(LevelFederation)),
		command(applyBeginIncarnation, forgotten, since(LevelFederation)),
		command(applyMarkFeed, forgotten, since(LevelFederation)),
		command(applyAdmitRegion, forgotten, since(LevelFederation)),
		command(applyDropRegion, forgotten, since(LevelFederation)),
		command(applyPutSessionKey, forgotten, since(LevelSessions)),
		command(applyTakeSessionKeys, forgotten, since(LevelSessions)),
		command(applyAddReplica, since(LevelFederation)),
		command(applyMovePrimary, since(LevelFederation)),
		command(applyScheduleSetDeletion, since(LevelFederation)),
		command(applySyncKeys, forgotten, since(LevelFederation)),
		command(applyTendKeys, forgotten, since(LevelFederation)),
		command(applyDropEnds, forgotten, since(LevelFederation)),
		command(applyPutOIDCProvider, identity, since(LevelProviders)),
		command(applyDeleteOIDCProvider, identity, since(LevelProviders)),
		command(applySyncIdentities, forgotten, since(LevelHome)),
		command(applyAdoptHome, forgotten, since(LevelHome)),
		command(applyReleaseHome, forgotten, since(LevelHome)),
		command(applyPutFollower, forgotten, since(LevelHome)),
		command(applyAllowFollower, forgotten, since(LevelHome)),
	}...)
}

// commandTable indexes the rows by kind.
type commandTable []*commandRow

func newCommandTable(rows []commandRow) (commandTable, error) {
	var table commandTable
	for i := range rows {
		row := &rows[i]
		for int(row.kind) >= len(table) {
			table = append(table, nil)
		}
		if other := table[row.kind]; other != nil {
			return nil, fmt.Errorf("fsm: command kind %d is both %s and %s: give one of them a number of its own", row.kind, other.name, row.name)
		}
		table[row.kind] = row
	}
	return table, nil
}

// table is a constant in all but syntax.
var table = sync.OnceValues(func() (commandTable, error) { return newCommandTable(commandRows()) })

// rowOf returns the row of a kind, nil if this version does not know it.
func rowOf(k Kind) *commandRow {
	rows, err := table()
	if err != nil || int(k) >= len(rows) {
		return nil
	}
	return rows[k]
}

// Level returns the feature level that introduced a kind of command, 0 if this version does not know it. A command is
// proposed only once every node of the region announces at least its level.
func Level(k Kind) int {
	if row := rowOf(k); row != nil {
		return row.level
	}
	return 0
}

// MaxLevel returns the highest feature level that this version can apply: what a node announces.
func MaxLevel() int {
	rows, _ := table()
	level := LevelSettles
	for _, row := range rows {
		if row != nil {
			level = max(level, row.level)
		}
	}
	return level
}

// String returns the kind's name, for logs and metrics.
func (k Kind) String() string {
	if row := rowOf(k); row != nil {
		return row.name
	}
	return fmt.Sprintf("kind %d", uint16(k))
}

func typeName[T any]() string {
	var zero T
	name := fmt.Sprintf("%T", zero)
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[i+1:]
		}
	}
	return name
}

// sizeOf guesses how many bytes the body takes beyond its small fields. A wrong guess costs a reallocation.
func sizeOf(b Body) int {
	const small = 256
	switch b := b.(type) {
	case *CreateKey:
		n := small + len(b.Key.Policy) + len(b.Key.Description) + 64*len(b.Key.Tags)
		for i := range b.Key.Materials {
			n += 96 + len(b.Key.Materials[i].Blob) + len(b.Key.Materials[i].Public)
		}
		return n
	case *PutKeyPolicy:
		return small + len(b.Policy)
	case *SetDescription:
		return small + len(b.Description)
	case *LastUsage:
		return small + 192*len(b.Uses)
	case *SyncKeys:
		return small + 2048*len(b.Docs)
	case *SyncIdentities:
		return small + 1024*b.Rows.Len()
	}
	return small
}
