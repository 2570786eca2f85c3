package multiregion

import (
	"log/slog"
	"strings"

	"github.com/trentkms/trent/fsm"
)

// awaiting is what the leader of a restored region has said of what that region waits for.
type awaiting struct{ said bool }

// note says once that the region was restored and what that means, and once that it is over.
func (a *awaiting) note(log *slog.Logger, st *fsm.State) {
	unheard := st.Unheard()
	switch {
	case unheard == a.said:
	case unheard:
		log.Warn("multi-Region keys: this region was restored from an older state: until it has heard everything from the other regions it is the "+
			"primary of nothing, and keys that it shares with them encrypt nothing", "waits-for", strings.Join(unheardOf(st), ", "))
	default:
		log.Info("multi-Region keys: this region was restored and has heard everything from the other regions: it takes part as before")
	}
	a.said = unheard
}

// unheardOf are the regions that a restored one has not heard everything from.
func unheardOf(st *fsm.State) (names []string) {
	for o := range st.OtherRegions() {
		if o.State == fsm.RegionFederated && !st.Heard(o) {
			names = append(names, o.Name)
		}
	}
	return names
}
