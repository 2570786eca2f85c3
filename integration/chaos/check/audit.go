package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Record is what the checker needs of an audit record.
type Record struct {
	Node      string `json:"-"` // whose log holds it
	EventID   string `json:"eventID"`
	RequestID string `json:"requestID"`
	EventName string `json:"eventName"`
	Region    string `json:"awsRegion"`
	ErrorCode string `json:"errorCode"`
	UserAgent string `json:"userAgent"`
	// Body is the record without what each node's log adds, for comparing copies.
	Body string `json:"-"`
}

// ParseRecord reads a line of an audit log.
func ParseRecord(node string, line []byte) (Record, error) {
	r := Record{Node: node}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("audit record: %w in %.200q", err, line)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return r, err
	}
	delete(members, "trent") // the chain
	body, err := json.Marshal(members)
	r.Body = string(body)
	return r, err
}

// AgentPrefix begins the user agent of every call of a workload; the call's id follows, and a space ends it.
const AgentPrefix = "chaos/"

// CallID is the id of the call that a record is of, "" if it is of no workload.
func (r *Record) CallID() string {
	id, ok := strings.CutPrefix(r.UserAgent, AgentPrefix)
	if !ok {
		return ""
	}
	id, _, _ = strings.Cut(id, " ")
	return id
}

// unidentified are the errors of calls whose caller is not known: nothing is recorded of them.
var unidentified = []string{
	unknownCaller, "InvalidClientTokenId", "IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired",
	"ExpiredTokenException", "MissingAuthenticationTokenException",
}

// Audit joins a history with the merged audit logs of all nodes. Operations carry In call, the id that the records of all their attempts
// show; In attempts, how many were made; Out request, the id of the last answer; In read for what changes nothing. lost tells the
// nodes that may have lost records of reads, cryptographic operations and refusals: those whose disk was taken, and under interval
// fsync those whose power was cut.
//
// An answered operation is recorded with its outcome; one that never left its client is not; nothing is recorded that nobody asked
// for; and the copies of a record are alike.
func Audit(ops []history.Op, records []Record, lost map[string]bool) []Anomaly {
	f := &finding{workload: AuditName}
	byCall := f.merge(records)
	known := make(map[string]bool, len(ops))
	for i := range ops {
		op := &ops[i]
		call := op.In["call"]
		if call == "" {
			continue
		}
		known[call] = true
		f.recorded(op, byCall[call], lost[op.Node] || (op.Node == "lb" || op.In["home"] != "") && len(lost) > 0)
	}
	for _, call := range slices.Sorted(maps.Keys(byCall)) {
		if !known[call] {
			f.add(nil, "call %s is recorded as %s %q, and nobody made it", call, byCall[call][0].EventName, byCall[call][0].ErrorCode)
		}
	}
	return f.all
}

// merge keeps one of all copies of a record, and groups them by the call that they are of.
func (f *finding) merge(records []Record) map[string][]Record {
	first := make(map[string]*Record, len(records))
	byCall := make(map[string][]Record)
	for i := range records {
		r := &records[i]
		if other := first[r.EventID]; other == nil {
			first[r.EventID] = r
			if call := r.CallID(); call != "" {
				byCall[call] = append(byCall[call], *r)
			}
		} else if other.Node == r.Node {
			f.add(nil, "event %s (%s) is twice in the log of %s", r.EventID, r.EventName, r.Node)
		} else if other.Body != r.Body {
			f.add(nil, "event %s differs between nodes: %s\nand: %s", r.EventID, other.Body, r.Body)
		}
	}
	return byCall
}

// second is how another region records its part of an operation, in the name of the same caller.
var second = map[string]string{"ReplicateKey": "CreateKey", "UpdatePrimaryRegion": "UpdatePrimaryRegion"}

func (f *finding) recorded(op *history.Op, records []Record, lossy bool) {
	succeeded, failed, mine, here := 0, 0, 0, 0
	abroad := make(map[string]int) // successes of another region's part, by region
	for _, r := range records {
		if name := second[op.Kind]; r.Region != op.Region && name != "" {
			if r.EventName != name {
				f.add([]history.Op{*op}, "recorded in %s as %s: %s", r.Region, r.EventName, describe(op))
			}
			if r.ErrorCode == "" {
				abroad[r.Region]++
			}
			continue
		}
		here++
		if r.EventName != op.Kind {
			f.add([]history.Op{*op}, "recorded as %s: %s", r.EventName, describe(op))
		}
		if home := op.In["home"]; home != "" && r.Region != home && r.ErrorCode == "" {
			f.add([]history.Op{*op}, "decided in %s and recorded in %s: %s", home, r.Region, describe(op))
		}
		if r.ErrorCode == "" {
			succeeded++
		} else {
			failed++
		}
		if r.RequestID == op.Out["request"] {
			mine++
		}
	}
	read := op.In["read"] != ""
	single := op.In["attempts"] == "1"
	switch op.Outcome {
	case history.OK:
		// A deletion that found nothing to delete changes nothing either, and no answer tells.
		local := read || op.Kind == "DeleteImportedKeyMaterial"
		if succeeded == 0 && !(lossy && local) {
			f.add([]history.Op{*op}, "succeeded and is not recorded: %s", describe(op))
		}
		if single && here > 1 {
			f.add([]history.Op{*op}, "made once and recorded %d times: %s", here, describe(op))
		}
		for region, n := range abroad {
			if region != op.In["to"] || n > 1 {
				f.add([]history.Op{*op}, "recorded %d times in %s: %s", n, region, describe(op))
			}
		}
	case history.Refused:
		if slices.Contains(unidentified, op.Error) {
			return
		}
		if mine == 0 && !lossy {
			f.add([]history.Op{*op}, "refused and not recorded: %s", describe(op))
		}
		if single && (succeeded > 0 || len(abroad) > 0) {
			f.add([]history.Op{*op}, "refused and recorded as a success: %s", describe(op))
		}
	case history.Failed:
		if op.In["attempts"] == "0" && len(records) > 0 {
			f.add([]history.Op{*op}, "never left the client and is recorded: %s", describe(op))
		}
	}
}

// ParseLog reads the records of a segment of an audit log. What follows the last line end is space that the log has reserved, or a line
// that is being written.
func ParseLog(node string, segment []byte) (records []Record, err error) {
	for line := range bytes.Lines(segment) {
		line = bytes.Trim(line, "\x00")
		if !bytes.HasSuffix(line, []byte("\n")) || len(line) < 2 {
			continue
		}
		r, err := ParseRecord(node, line)
		if err != nil {
			return records, err
		}
		records = append(records, r)
	}
	return records, nil
}
