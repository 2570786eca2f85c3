// Package check judges what clients of a cluster under test did and saw. Each checker takes a history, and what was read from the
// cluster afterwards, and returns what cannot have happened if the service keeps its promises. Checkers do no I/O with the cluster,
// so that a stored history can be judged again.
//
// Every checker treats an operation of unknown outcome as one that took effect at some time from its call on, or never; a refusal as
// a statement about the state; and a failure as nothing at all. An undecided search counts as an anomaly.
package check

import (
	"fmt"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Anomaly is something that clients saw and that no correct service can have shown.
type Anomaly struct {
	// Workload is the one whose promise is broken.
	Workload string `json:"workload"`
	// Text says what is wrong, for people.
	Text string `json:"text"`
	// Ops are the operations that show it, as few as the checker could find.
	Ops []history.Op `json:"ops,omitempty"`
	// HTML is a picture of the search, if the checker made one.
	HTML []byte `json:"-"`
}

// String renders the anomaly on one line.
func (a Anomaly) String() string { return fmt.Sprintf("%s: %s", a.Workload, a.Text) }

// finding collects anomalies of one workload.
type finding struct {
	workload string
	all      []Anomaly
}

// most bounds how many anomalies of one workload are kept: the first ones tell what is broken.
const most = 50

func (f *finding) add(ops []history.Op, format string, args ...any) {
	if len(f.all) < most {
		f.all = append(f.all, Anomaly{Workload: f.workload, Text: fmt.Sprintf(format, args...), Ops: ops})
	}
}
