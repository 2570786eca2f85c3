package fsm

import (
	"slices"
	"testing"
)

func TestApplyRegion(t *testing.T) {
	runApply(t, []applyCase{
		{name: "moves region time", body: &TermStart{"node-1"}, time: now0 + 5, after: func(t *testing.T, l *lab) {
			eq(t, "region time", l.state().Now(), now0+5)
		}},
		{name: "time does not run backwards", body: &TermStart{"node-1"}, time: now0 - 5, after: func(t *testing.T, l *lab) {
			eq(t, "region time", l.state().Now(), now0)
		}},
		{name: "twice", body: initBody(), code: NotReady, detail: "the region is initialized already"},
		{name: "replaces", body: quotas(func(q *Quotas) { q.TagsPerKey = 3 }), after: func(t *testing.T, l *lab) {
			eq(t, "TagsPerKey", l.state().Quotas().TagsPerKey, 3)
		}},
	})
}

func TestApplyInitRegion(t *testing.T) {
	l := newLab(t)
	l.refused(newKey(account1, 1), now0, NotReady, "the region is not initialized")
	l.refused(&LastUsage{}, now0, NotReady, "the region is not initialized")
	l.ok(&TermStart{"node-1"})
	c := initBody()
	c.Account.KeyCount, c.Account.Version, c.DomainKey.Active = 99, 99, false
	c.DomainKey.Wrapped = []WrappedDomain{{"b", []byte{1}}, {"a", []byte{2}}}
	l.ok(c)
	s := l.state()
	eq(t, "cluster id", s.Region().ClusterID, "cluster-1")
	eq(t, "quotas", s.Quotas(), DefaultQuotas())
	eq(t, "account", *s.Account(account1), Account{ID: account1, CreatedAt: now0, Version: l.index})
	eq(t, "access key version", s.AccessKey("AKIAROOT").Version, l.index)
	eq(t, "active", s.ActiveDomainKey().Version, 1)
	eq(t, "order of nodes", s.ActiveDomainKey().Wrapped[0].NodeID, "a")
	checkInvariants(t, s)
}

func TestApplyAccounts(t *testing.T) {
	access := func(id, account string) *PutAccessKey {
		return &PutAccessKey{AccessKey{ID: id, Account: account, Principal: "root", Domain: 1, Secret: []byte("s"), Active: true}}
	}
	runApply(t, []applyCase{
		{name: "adds", body: &PutAccount{Account{ID: "777788889999", CreatedAt: 5, KeyCount: 9}}, after: func(t *testing.T, l *lab) {
			eq(t, "account", *l.state().Account("777788889999"), Account{ID: "777788889999", CreatedAt: 5, Version: l.index})
		}},
		{name: "keeps counters and date", setup: []Body{newKey(account1, 1)}, body: &PutAccount{Account{ID: account1, CreatedAt: 5}}, after: func(t *testing.T, l *lab) {
			eq(t, "account", *l.state().Account(account1), Account{ID: account1, CreatedAt: now0, KeyCount: 1, Version: l.index})
		}},
		{name: "adds", body: access("AKIA2", account2), after: func(t *testing.T, l *lab) {
			eq(t, "version", l.state().AccessKey("AKIA2").Version, l.index)
			eq(t, "events", l.events, nil)
		}},
		{name: "replaces", setup: []Body{access("AKIA2", account2)}, body: changed(access("AKIA2", account2), func(c *PutAccessKey) { c.AccessKey.Active = false }),
			after: func(t *testing.T, l *lab) {
				eq(t, "active", l.state().AccessKey("AKIA2").Active, false)
				eq(t, "events", l.events, []Event{{EventAccessKeyChanged, l.index, account2, "AKIA2", nil}})
			}},
		{name: "id of another account", setup: []Body{access("AKIA2", account2)}, body: access("AKIA2", account1), code: Stale, detail: "the access key id is taken"},
		{name: "unknown account", body: access("AKIA2", "777788889999"), code: Conflict, detail: "the account does not exist"},
		{name: "unknown domain key", body: changed(access("AKIA2", account2), func(c *PutAccessKey) { c.AccessKey.Domain = 2 }), code: Conflict, detail: noDomain},
		{name: "removes", body: &DeleteAccessKey{"AKIAROOT"}, after: func(t *testing.T, l *lab) {
			eq(t, "access key", l.state().AccessKey("AKIAROOT"), nil)
			eq(t, "events", l.events, []Event{{EventAccessKeyChanged, l.index, account1, "AKIAROOT", nil}})
		}},
		{name: "absent", body: &DeleteAccessKey{"AKIANONE"}, code: Conflict, detail: "the access key does not exist"},
	})
}

func TestApplyDomainKeys(t *testing.T) {
	second := func(active bool) *PutDomainKey {
		return &PutDomainKey{DomainKey{Version: 2, ID: "domain-2", Active: active, Probe: []byte("p2")}}
	}
	first := func() *PutDomainKey {
		return &PutDomainKey{DomainKey{Version: 1, ID: "domain-1", Probe: []byte("probe"), CreatedAt: 1,
			Wrapped: []WrappedDomain{{"b", []byte{1}}, {"a", []byte{2}}}}}
	}
	runApply(t, []applyCase{
		{name: "adds", body: second(false), after: func(t *testing.T, l *lab) { eq(t, "active", l.state().ActiveDomainKey().Version, 1) }},
		{name: "adds and activates", body: second(true), after: func(t *testing.T, l *lab) {
			eq(t, "active", l.state().ActiveDomainKey().Version, 2)
			eq(t, "old one", l.state().DomainKey(1).Active, false)
		}},
		{name: "activates a known one", setup: []Body{second(false)}, body: second(true), after: func(t *testing.T, l *lab) {
			eq(t, "active", l.state().ActiveDomainKey().Version, 2)
		}},
		{name: "wraps for nodes", body: first(), after: func(t *testing.T, l *lab) {
			d := l.state().DomainKey(1)
			eq(t, "row", *d, DomainKey{Version: 1, ID: "domain-1", CreatedAt: now0, Active: true, Probe: []byte("probe"),
				Wrapped: []WrappedDomain{{"a", []byte{2}}, {"b", []byte{1}}}})
		}},
		{name: "another id", body: changed(first(), func(c *PutDomainKey) { c.DomainKey.ID = "x" }), code: Conflict, detail: "the domain key version is another key"},
		{name: "another probe", body: changed(first(), func(c *PutDomainKey) { c.DomainKey.Probe = nil }), code: Conflict, detail: "the domain key version is another key"},
		{name: "not above all", setup: []Body{&PutDomainKey{DomainKey{Version: 5, ID: "domain-5"}}}, body: second(false), code: Stale, detail: "the domain key version is not above all others"},
	})
}

func TestApplyAuditHeads(t *testing.T) {
	head := func(segment, seq uint64, closed bool) *PutAuditHead {
		return &PutAuditHead{AuditHead{NodeID: "node-1", Segment: segment, LastSeq: seq, Closed: closed, Chain: []byte{1}, Sig: []byte{2}, KeyID: "audit-1"}}
	}
	last := func(segment, seq uint64) func(*testing.T, *lab) {
		return func(t *testing.T, l *lab) {
			heads := slices.Collect(l.state().AuditHeads())
			if len(heads) != 1 || heads[0].Segment != segment || heads[0].LastSeq != seq {
				t.Errorf("heads %+v", heads)
			}
		}
	}
	const behind = "the audit head is not ahead of the one recorded"
	runApply(t, []applyCase{
		{name: "first", body: head(3, 7, false), after: last(3, 7)},
		{name: "later in the segment", setup: []Body{head(3, 7, false)}, body: head(3, 8, false), after: last(3, 8)},
		{name: "closes", setup: []Body{head(3, 7, false)}, body: head(3, 7, true), after: last(3, 7)},
		{name: "next segment", setup: []Body{head(3, 7, true)}, body: head(4, 1, false), after: last(4, 1)},
		{name: "same again", setup: []Body{head(3, 7, false)}, body: head(3, 7, false), code: Conflict, detail: behind},
		{name: "earlier", setup: []Body{head(3, 7, false)}, body: head(3, 6, true), code: Conflict, detail: behind},
		{name: "earlier segment", setup: []Body{head(3, 7, false)}, body: head(2, 9, true), code: Conflict, detail: behind},
		{name: "closed segment", setup: []Body{head(3, 7, true)}, body: head(3, 8, false), code: Conflict, detail: behind},
	})
}
