package check

import (
	"strconv"

	"github.com/trentkms/trent/integration/chaos/history"
)

// imported is the material of an external key.
type imported struct {
	Label   string // the material that the key is bound to, "" before the first import
	Present bool
	ValidTo int64 // milliseconds of the Unix epoch, 0 for no expiry
}

// Imports judges external keys: no use after the material expired or was deleted, no refusal while it is there, and no other
// material than the first.
//
// Operations: ImportKeyMaterial (In label, validTo in milliseconds or 0), DeleteImportedKeyMaterial, DescribeKey (Out state); any
// other kind is a use. Each carries In earliest and latest: the bounds of region time while it ran, in milliseconds, with what the
// harness knows of the nodes' clocks.
func Imports(ops []history.Op) []Anomaly {
	f := &finding{workload: ImportsName}
	linearizable(f, partition(of(ImportsName, ops), byKey), func(string, []history.Op) machine[imported] {
		return machine[imported]{imported{}, stepImport}
	})
	return f.all
}

func stepImport(m imported, op *history.Op) (bool, imported) {
	earliest, latest := number(op.In["earliest"]), number(op.In["latest"])
	// Region time is known up to bounds only: within them both answers are true.
	mayBeThere := m.Present && (m.ValidTo == 0 || earliest < m.ValidTo)
	mayBeGone := !m.Present || m.ValidTo != 0 && latest >= m.ValidTo
	switch op.Kind {
	case "ImportKeyMaterial":
		return stepImportMaterial(m, op, latest)
	case "DeleteImportedKeyMaterial":
		next := m
		next.Present = false
		return judge(op, m, next, "", true)
	case "DescribeKey":
		switch op.Out["state"] {
		case "Enabled":
			return op.Outcome == history.OK && mayBeThere, m
		case "PendingImport":
			return op.Outcome == history.OK && mayBeGone, m
		}
		return false, m
	}
	switch {
	case op.Outcome == history.OK:
		return mayBeThere, m
	case op.Outcome == history.Refused:
		return op.Error == invalidState && mayBeGone, m
	}
	return true, m
}

func stepImportMaterial(m imported, op *history.Op, latest int64) (bool, imported) {
	label, validTo := op.In["label"], number(op.In["validTo"])
	next := imported{label, true, validTo}
	foreign := m.Label != "" && m.Label != label
	switch {
	case op.Outcome == history.OK:
		return !foreign, next
	case op.Outcome == history.Unknown:
		if foreign {
			return true, m
		}
		return true, next
	case op.Error == "IncorrectKeyMaterialException":
		return foreign, m
	case op.Error == "ValidationException": // ValidTo is past
		return validTo != 0 && latest >= validTo, m
	case op.Error == "ExpiredImportTokenException":
		return op.In["jumped"] != "", m
	}
	return false, m
}

// number reads a decimal number, 0 if there is none.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
