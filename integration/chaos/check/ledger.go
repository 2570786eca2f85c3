package check

import (
	"github.com/trentkms/trent/integration/chaos/history"
)

// Ledger judges what was handed out: every acknowledged ciphertext, data key, signature and MAC is good ever after, under its key and
// context and no other, and none was handed out twice.
//
// Operations that hand out: any with Out blob (and Out head: what of it is to be unique: key, material and nonce), which carry In context and plaintext (of a data key without plaintext: none; it is
// learned by the first opening), and whose Key is the key. Operations that open: kinds Decrypt, Verify and VerifyMac with In blob,
// context and plaintext (of Verify and VerifyMac: the message), of Decrypt Out plaintext; In expect is "refused" where key or
// context are wrong on purpose; In final marks those of the end. Keys of the ledger are never disabled.
func Ledger(ops []history.Op) []Anomaly {
	f := &finding{workload: LedgerName}
	mine := of(LedgerName, ops)
	made := f.collect(mine)
	opened := make(map[string]bool)
	final := false
	for i := range mine {
		op := &mine[i]
		blob := op.In["blob"]
		if blob == "" {
			if op.Outcome == history.Refused {
				f.add([]history.Op{*op}, "a key that serves was refused: %s", describe(op))
			}
			continue
		}
		final = final || op.In["final"] != ""
		source := made[blob]
		if source == nil {
			continue // a foreign blob, made up by the client
		}
		if f.opening(op, source) && op.In["final"] != "" {
			opened[blob] = true
		}
	}
	if final {
		for blob, op := range made {
			if !opened[blob] {
				f.add([]history.Op{*op}, "never opened at the end: %s", describe(op))
			}
		}
	}
	return f.all
}

// collect gathers what was acknowledged, and finds what was handed out twice.
func (f *finding) collect(mine []history.Op) map[string]*history.Op {
	made, heads := make(map[string]*history.Op), make(map[string]*history.Op)
	for i := range mine {
		op := &mine[i]
		blob := op.Out["blob"]
		if op.Outcome != history.OK || blob == "" {
			continue
		}
		if first := made[blob]; first != nil && !repeatable(op, first) {
			f.add([]history.Op{*first, *op}, "handed out twice: %s", describe(op))
		}
		made[blob] = op
		if head := op.Out["head"]; head != "" {
			if first := heads[head]; first != nil {
				f.add([]history.Op{*first, *op}, "a nonce is used twice: %s", describe(op))
			}
			heads[head] = op
		}
	}
	return made
}

// repeatable tells that two equal answers are as it should be: MACs, and deterministic signatures, of the same message.
func repeatable(a, b *history.Op) bool {
	return a.Kind == b.Kind && a.Key == b.Key && a.In["plaintext"] == b.In["plaintext"] && (a.Kind == "GenerateMac" || a.Kind == "Sign")
}

// opening judges one use of a blob, and tells whether it was opened as it must be.
func (f *finding) opening(op, source *history.Op) bool {
	pair := []history.Op{*source, *op}
	right := op.Key == source.Key && op.In["context"] == source.In["context"]
	if op.Kind != "Decrypt" {
		right = right && op.In["plaintext"] == source.In["plaintext"]
	}
	if plain := source.Out["plaintext"]; right && op.Outcome == history.OK && op.Kind == "Decrypt" {
		want := source.In["plaintext"]
		if want == "" {
			want = plain
		}
		if want != "" && op.Out["plaintext"] != want {
			f.add(pair, "opened to something else: %s", describe(op))
			return false
		}
	}
	switch {
	case op.Outcome == history.OK && !right:
		f.add(pair, "opened under another key, context or message: %s", describe(op))
	case op.Outcome == history.Refused && right:
		f.add(pair, "an acknowledged answer is refused: %s", describe(op))
	case op.Outcome == history.Failed && op.In["final"] != "":
		f.add(pair, "not opened by a healed cluster: %s", describe(op))
	default:
		return op.Outcome == history.OK && right
	}
	return false
}
