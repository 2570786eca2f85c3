package api

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// AuditLog is where records are written; *audit.Log is it.
type AuditLog interface {
	// Append writes the records of one call before its answer leaves.
	Append(ctx context.Context, recs ...[]byte) error
}

// recorded is an input whose record shows more than the request said: effective defaults (spec 03 AUD-26).
type recorded interface{ Recorded() region.Input }

// edge is what operations see of their exchange.
type edge exchange

// CheckKeyPolicy implements region.Edge.
func (e *edge) CheckKeyPolicy(_ context.Context, c *region.Call, key *fsm.Key, policy string, bypass bool) error {
	return e.srv.authz.checkKeyPolicy((*exchange)(e), key, policy, bypass)
}

// Record implements region.Edge: the record of a change that will have succeeded, and of the region's own events that come with
// it, one a line.
func (e *edge) Record(_ *region.Call, out any) []byte {
	x := (*exchange)(e)
	r := x.record()
	r.ResponseElements = x.responseElements(out)
	var b []byte
	if owners := x.foreignOwners(); len(owners) > 0 {
		b = bytes.Join(forAll(r, owners...), []byte{'\n'})
	} else {
		b = r.AppendJSON(make([]byte, 0, firstBuffer))
	}
	for _, ev := range x.call.Also {
		b = append(append(b, '\n'), InternalRecord(x.srv.service.Region(), ev)...)
	}
	return b
}

// audits tells whether the edge writes a record: not for requests without an identified caller (spec 03 AUD-09), and not for
// changes, which every node that applies them records, nor for refusals that are left out.
func (x *exchange) audits() bool { return x.call.Caller != nil && !x.call.Proposed() && !x.unrecorded }

// writeRecord writes the record of a read, a cryptographic operation, a refusal or a repeat.
func (x *exchange) writeRecord(ctx context.Context) error {
	r := x.record()
	if x.fault != nil {
		r.ErrorCode, r.ErrorMessage = x.fault.Code.AuditCode(), x.fault.Message
	} else if x.op.Class == Write {
		r.ResponseElements = x.responseElements(x.out)
	}
	buf := recordBuffers.get()
	defer recordBuffers.put(buf)
	owners := x.foreignOwners()
	if len(owners) == 0 {
		*buf = r.AppendJSON(*buf)
		x.room.record[0] = *buf
		return x.srv.audit.Append(ctx, x.room.record[:]...)
	}
	return x.srv.audit.Append(ctx, forAll(r, owners...)...)
}

// forAll renders the records of a successful call on foreign keys, for the caller's account and for each owner's, tied together by
// sharedEventID (spec 03 AUD-05).
func forAll(r audit.Record, owners ...string) [][]byte {
	r.SharedEventID = newID()
	all := [][]byte{r.AppendJSON(nil)}
	r.UserIdentity = r.UserIdentity.ForeignIdentity()
	for _, owner := range owners {
		r.RecipientAccountID, r.EventID = owner, newID()
		all = append(all, r.AppendJSON(nil))
	}
	return all
}

// foreignOwners are the owners of the foreign keys of a successful call, each once: ReEncrypt can have two.
func (x *exchange) foreignOwners() (owners []string) {
	if x.fault != nil {
		return nil
	}
	for i := range x.call.Targets {
		if t := &x.call.Targets[i]; t.Key != nil && t.Key.Account != x.call.Caller.Account && !slices.Contains(owners, t.Key.Account) {
			owners = append(owners, t.Key.Account)
		}
	}
	return owners
}

// record fills what all records have in common.
func (x *exchange) record() audit.Record {
	c := &x.call
	r := x.common()
	r.ReadOnly, r.Resources = x.readOnly(), x.room.recorded[:0]
	if strings.Contains(x.target, "CustomKeyStore") {
		r.Resources = nil // these operations have none at all (spec 03 AUD-20)
	}
	for _, res := range c.Resources {
		r.Resources = append(r.Resources, audit.Resource{AccountID: res.Account, ARN: res.ARN})
	}
	text := x.room.text[:0]
	if x.op != nil && x.op.request != nil && x.invalid == nil {
		in := x.in
		if full, ok := in.(recorded); ok {
			in = full.Recorded()
		}
		text = x.op.request.Append(text, in)
		r.RequestParameters = text
	}
	r.AdditionalEventData = notes(text[len(text):], c.Notes())
	x.showService(&r)
	return r
}

// readOnly is the record's readOnly. Operations that are not performed have no row; the model's names tell reads from writes.
func (x *exchange) readOnly() bool {
	if x.op != nil {
		return x.op.readOnly()
	}
	return strings.HasPrefix(x.target, "List") || strings.HasPrefix(x.target, "Describe")
}

// notes appends additionalEventData to b, or returns nil if there is nothing to say.
func notes(b []byte, list []region.Note) []byte {
	if len(list) == 0 {
		return nil
	}
	b = append(b, '{')
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(audit.AppendString(b, n.Name), ':')
		b = audit.AppendString(b, n.Value)
	}
	return append(b, '}')
}

// responseElements renders what the row says of a success (spec 03 AUD-22, AUD-23).
func (x *exchange) responseElements(out any) []byte {
	switch x.op.Response {
	case RespondKeyARN:
		if arn := x.keyARN(); arn != "" {
			return append(audit.AppendString([]byte(`{"keyId":`), arn), '}')
		}
	case RespondOutput:
		if out != nil {
			return x.op.response.Append(make([]byte, 0, firstBuffer/2), out)
		}
	case RespondOutputAndKey:
		if out != nil {
			b := x.op.response.Append(nil, out)
			return append(audit.AppendString(append(b[:len(b)-1], `,"keyId":`...), x.keyARN()), '}')
		}
	}
	return nil
}

// keyARN is the ARN of the call's first key, "" if it has none.
func (x *exchange) keyARN() string {
	for i := range x.call.Targets {
		if t := &x.call.Targets[i]; t.Key != nil {
			return t.ARN
		}
	}
	return ""
}

// tlsDetails describes the connection, nil without TLS.
func (x *exchange) tlsDetails() *audit.TLSDetails {
	t := x.r.TLS
	if t == nil {
		return nil
	}
	x.room.tls = audit.TLSDetails{
		TLSVersion: tlsVersion(t.Version), CipherSuite: cipherSuite(t.CipherSuite), ClientProvidedHostHeader: x.r.Host,
		KeyExchange: t.CurveID.String(),
	}
	return &x.room.tls
}

// identityOf is the caller as records show it (spec 03 A3).
func identityOf(c *region.Caller) audit.UserIdentity {
	u := audit.UserIdentity{
		PrincipalID: c.PrincipalID, ARN: c.ARN, AccountID: c.Account, AccessKeyID: c.AccessKeyID, UserName: c.UserName,
	}
	if c.Session != nil {
		u.Session = sessionOf(c)
	}
	switch c.Kind {
	case region.PrincipalRoot:
		u.Type = audit.TypeRoot
	case region.PrincipalUser:
		u.Type = audit.TypeIAMUser
	case region.PrincipalRoleSession:
		u.Type = audit.TypeAssumedRole
	case region.PrincipalFederatedUser:
		u.Type = audit.TypeFederatedUser
	case region.PrincipalService:
		u.Type = audit.TypeAWSService
	case region.PrincipalWebIdentity:
		u = audit.UserIdentity{Type: audit.TypeWebIdentityUser, PrincipalID: c.PrincipalID, UserName: c.UserName, IdentityProvider: c.ARN}
	}
	return u
}

// sessionOf describes temporary credentials, with the role behind a role session.
func sessionOf(c *region.Caller) *audit.SessionContext {
	s := &audit.SessionContext{CreationDate: c.Session.Issued}
	if f := c.Session.FederatedBy(); f != nil {
		s.FederatedProvider = f.URL
	}
	if c.Kind == region.PrincipalRoleSession {
		role := c.Standing.Identity
		s.Issuer = &audit.SessionIssuer{
			Type: "Role", PrincipalID: role.ID, ARN: c.Standing.IdentityARN, AccountID: role.Account, UserName: role.Name,
		}
	}
	return s
}

// clientIP is the address of a client without its port.
func clientIP(remote string) string {
	if host, _, ok := strings.Cut(remote, ":"); ok && strings.LastIndexByte(remote, ':') == len(host) {
		return host // IPv4, as nearly always
	}
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().String()
	}
	return remote
}

// InternalRecord renders the record of a change that the region made by itself (spec 03 A10). Its event id follows from the
// change, so that a change proposed twice has one id.
func InternalRecord(regionName string, ev region.InternalEvent) []byte {
	seeds := []string{"trent/internal/1", ev.Name, ev.KeyARN, ev.At.UTC().Format(time.RFC3339Nano)}
	for _, d := range ev.Details { // several events of one key fall into one millisecond
		seeds = append(seeds, d.Value)
	}
	r := audit.Record{
		UserIdentity: audit.InternalIdentity(ev.Key.Account), EventTime: ev.At, EventName: ev.Name, AWSRegion: regionName,
		SourceIPAddress: audit.InternalCaller, UserAgent: audit.InternalCaller, EventType: audit.TypeServiceEvent,
		EventID:            audit.EventID(seeds...),
		Resources:          []audit.Resource{{AccountID: ev.Key.Account, ARN: ev.KeyARN}},
		RecipientAccountID: ev.Key.Account, ServiceEventDetails: notes(nil, ev.Details),
	}
	if ev.Name != "DeleteExpiredKeyMaterial" {
		r.ResponseElements = append(audit.AppendString([]byte(`{"keyId":`), ev.KeyARN), '}')
	}
	return r.AppendJSON(nil)
}

// OperatorRecord renders the record of something that an operator did to the region.
func OperatorRecord(regionName string, ev region.OperatorEvent) []byte {
	seeds := []string{"trent/operator/1", ev.Name, ev.At.UTC().Format(time.RFC3339Nano)}
	for _, d := range ev.Details {
		seeds = append(seeds, d.Value)
	}
	r := audit.Record{
		UserIdentity: audit.InternalIdentity(ev.Account), EventTime: ev.At, EventName: ev.Name, AWSRegion: regionName,
		SourceIPAddress: audit.InternalCaller, UserAgent: "trent operator", EventType: audit.TypeServiceEvent,
		EventID: audit.EventID(seeds...), RecipientAccountID: ev.Account, ServiceEventDetails: notes(nil, ev.Details),
	}
	return r.AppendJSON(nil)
}

// recordFault is what the client is told when the record of its call cannot be written: without a record there is no answer.
func recordFault(err error) *fault.Error { return fault.Unavailable(err) }

func syncRecord(regionName, account, keyARN string, at time.Time) []byte {
	r := audit.Record{
		UserIdentity: audit.InternalIdentity(account), EventTime: at, EventName: "SynchronizeMultiRegionKey", AWSRegion: regionName,
		SourceIPAddress: audit.InternalCaller, UserAgent: audit.InternalCaller, RequestID: newID(), EventID: newID(),
		Resources:          []audit.Resource{{AccountID: account, ARN: keyARN}},
		RecipientAccountID: account,
		ResponseElements:   append(audit.AppendString([]byte(`{"keyId":`), keyARN), '}'),
	}
	return r.AppendJSON(nil)
}
