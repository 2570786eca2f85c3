package api

import (
	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/api/facts"
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
)

// room is space for what nearly every request needs once: one allocation with the exchange instead of a dozen. It is space and no
// more: whoever needs two of something appends beyond it and gets memory of its own.
type room struct {
	id        [1]string // the answer's header with the request id
	targets   [1]region.Target
	decisions [1]region.Decision
	resources [1]region.Resource
	resolver  region.Resolver

	// Of the decision on the target at hand.
	reads   [1]fsm.Read
	context facts.Conditions
	request policy.Request

	// Of the audit record.
	recorded [1]audit.Resource
	tls      audit.TLSDetails
	record   [1][]byte
	text     [448]byte // requestParameters and additionalEventData
}
