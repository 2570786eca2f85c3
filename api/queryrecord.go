package api

import (
	"context"
	"slices"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/region"
)

// queryEdge is what operations of IAM and STS see of their exchange.
type queryEdge struct {
	*edge
	x *queryExchange
}

// Record implements region.Edge.
func (e *queryEdge) Record(_ *region.Call, out any) []byte {
	r := e.x.record()
	r.ResponseElements = e.x.op.AppendResponse(nil, out)
	return r.AppendJSON(nil)
}

// audits tells whether the edge writes a record: not for what is no operation.
func (x *queryExchange) audits() bool { return x.op != nil && x.exchange.audits() }

// writeRecord writes the record of a read, a refusal or a repeat.
func (x *queryExchange) writeRecord(ctx context.Context) error {
	r := x.record()
	switch {
	case x.bad != nil:
		r.ErrorCode, r.ErrorMessage = x.bad.Name, x.bad.Message
	case x.out != nil:
		r.ResponseElements = x.op.AppendResponse(nil, x.out)
	}
	if owner := x.foreignRole(); owner != "" {
		return x.srv.audit.Append(ctx, forAll(r, owner)...)
	}
	return x.srv.audit.Append(ctx, r.AppendJSON(nil))
}

// foreignRole is the account of the role of another account that was assumed, "" if there is none.
func (x *queryExchange) foreignRole() string {
	if x.bad != nil || len(x.call.Targets) == 0 {
		return ""
	}
	if t := &x.call.Targets[0]; t.Assumed && t.Account != x.call.Caller.Account {
		return t.Account
	}
	return ""
}

// record fills what all records of IAM and STS have in common.
func (x *queryExchange) record() audit.Record {
	c := &x.call
	r := x.common()
	r.EventSource, r.ReadOnly = x.api.Source, !x.op.Write
	for i := range c.Targets {
		if t := &c.Targets[i]; t.Assumed && i == 0 {
			r.Resources = []audit.Resource{{AccountID: t.Account, Type: "AWS::IAM::Role", ARN: t.ARN}}
		}
	}
	if x.query == nil {
		r.RequestParameters = x.op.AppendRequest(nil, x.in)
	}
	noted := c.Notes()
	if x.from != "" {
		noted = append(slices.Clip(noted), region.Note{Name: "receivedInRegion", Value: x.from})
	}
	r.AdditionalEventData = notes(nil, noted)
	return r
}
