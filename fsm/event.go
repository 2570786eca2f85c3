package fsm

// EventKind says what an Event is about.
type EventKind uint8

// Events. They are local to a node, neither stored nor sent.
const (
	// EventRestored: a snapshot has replaced the state. Whatever was derived from earlier states may be wrong.
	EventRestored EventKind = 1
	// EventKeyDeleted: Account and ID name a KMS key that is gone for good.
	EventKeyDeleted EventKind = 2
	// EventKeyUnusable: Account and ID name a KMS key that was disabled or scheduled for deletion.
	EventKeyUnusable EventKind = 3
	// EventMaterialGone: material MaterialID of the KMS key is gone: imported material that was deleted or has expired, or any
	// material of a key that was deleted.
	EventMaterialGone EventKind = 4
	// EventAccessKeyChanged: ID names an access key that was replaced or removed.
	EventAccessKeyChanged EventKind = 5
	// EventIdentities: identities were taken over from their home, or changed in a region that others follow, or became this region's own.
	EventIdentities EventKind = 6
)

// Event tells caches what they must drop. It comes after the state in which it happened was published: a cache that
// compares Index with the index of the state that a load began with cannot keep what a load in flight brings in later.
type Event struct {
	Kind       EventKind
	Index      uint64 // log index of the change; of the snapshot for EventRestored
	Account    string
	ID         string
	MaterialID []byte // shared, must not be modified
}
