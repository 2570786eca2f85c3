package audit

import "fmt"

// Kind says what [Verify] found.
type Kind string

// Kinds of findings.
const (
	Changed        Kind = "changed"         // a record is not the one that was written, or not readable
	Removed        Kind = "removed"         // records are missing inside the log
	Inserted       Kind = "inserted"        // a line that the log did not write there
	Reordered      Kind = "reordered"       // a record stands at another place
	CutOff         Kind = "cut off"         // records are missing at the end of a segment
	MissingSegment Kind = "missing segment" // a whole segment is not there
	ExtraSegment   Kind = "extra segment"   // two segments have one number
	BadHead        Kind = "bad head"        // a head is missing, unreadable, or contradicts the segment or a committed head
	BadSignature   Kind = "bad signature"   // a head's signature is missing or wrong
)

// Finding is one deviation. Line counts from 1; Line, Offset and the sequence numbers are 0 where they say nothing.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Segment  uint64 `json:"segment"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Offset   int64  `json:"offset,omitempty"` // of the line, in bytes
	FirstSeq uint64 `json:"firstSeq,omitempty"`
	LastSeq  uint64 `json:"lastSeq,omitempty"`
	Detail   string `json:"detail"`
}

func (f Finding) String() string {
	where := fmt.Sprintf("segment %d", f.Segment)
	if f.File != "" {
		where = f.File
	}
	if f.Line > 0 {
		where += fmt.Sprintf(":%d", f.Line)
	}
	switch {
	case f.FirstSeq > 0 && f.LastSeq > f.FirstSeq:
		where += fmt.Sprintf(" (records %d to %d)", f.FirstSeq, f.LastSeq)
	case f.FirstSeq > 0:
		where += fmt.Sprintf(" (record %d)", f.FirstSeq)
	}
	return fmt.Sprintf("%s: %s: %s", where, f.Kind, f.Detail)
}

// Report is what [Verify] has seen.
type Report struct {
	Node      string `json:"node"`
	Segments  int    `json:"segments"` // read
	Records   uint64 `json:"records"`  // read
	FirstSeq  uint64 `json:"firstSeq"`
	LastSeq   uint64 `json:"lastSeq"`
	LastIndex uint64 `json:"lastIndex"` // highest Raft index seen, of any Raft log

	HeadsChecked      int `json:"headsChecked"`      // heads, checkpoints included, that were compared with the records
	SignaturesChecked int `json:"signaturesChecked"` // of those, with a good signature
	// SealedSeq is the last record that a committed head or a good signature vouches for. Those after it rest on the hash
	// chain alone, which whoever can write to the directory can continue or rewrite.
	SealedSeq uint64 `json:"sealedSeq"`

	Findings  []Finding `json:"findings"`
	Truncated bool      `json:"truncated"` // there were more findings than asked for

	// TornFiles are what recoveries have set aside: loud, but not by itself a sign of tampering.
	TornFiles []string `json:"tornFiles"`
	// IncompleteTail: the open segment ends in an incomplete line, as it does while a node writes or after a crash.
	IncompleteTail bool `json:"incompleteTail"`
}

// OK tells whether nothing was found.
func (r *Report) OK() bool { return len(r.Findings) == 0 && !r.Truncated }
