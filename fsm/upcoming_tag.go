//go:build trent_upcoming

package fsm

// This build knows a kind of command that its own version does not have yet and announces a feature level above it: it stands
// for the next version where an upgrade is tested.

// KindUpcoming is the number of the kind that only this build knows. No version will ever use it.
const KindUpcoming Kind = 4095

// LevelUpcoming is the feature level that introduced it.
const LevelUpcoming = 1<<15 - 1

// Upcoming changes nothing.
type Upcoming struct{}

// Kind implements Body.
func (Upcoming) Kind() Kind { return KindUpcoming }

func (*Upcoming) check() error { return nil }

func applyUpcoming(*tx, *Upcoming) outcome { return done() }

func upcoming() []commandRow {
	return []commandRow{command(applyUpcoming, initial, forgotten, since(LevelUpcoming))}
}
