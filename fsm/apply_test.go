package fsm

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

// applyCase is one rule: in a region prepared by setup, body at a time has a result.
type applyCase struct {
	name   string
	setup  []Body
	body   Body
	time   int64 // now0 if 0
	code   Code  // OK: takes effect, and after is checked
	detail string
	after  func(t *testing.T, l *lab)
}

func runApply(t *testing.T, cases []applyCase) {
	for _, c := range cases {
		t.Run(fmt.Sprintf("%v/%s", c.body.Kind(), c.name), func(t *testing.T) {
			l := newRegion(t)
			for _, body := range c.setup {
				l.ok(body)
			}
			if c.time == 0 {
				c.time = max(now0, l.state().Now())
			}
			if c.code != OK {
				l.refused(c.body, c.time, c.code, c.detail)
				return
			}
			l.walk(c.time)
			l.events = nil
			if r := l.do(c.body, c.time); r.Code != OK || r.Index != l.index || r.Repeat || r.Detail != "" {
				t.Fatalf("%+v, want it to take effect", r)
			}
			if got, want := l.audit[len(l.audit)-1], fmt.Sprintf("%d:record %d", l.index, l.index); got != want {
				t.Errorf("audit record %q, want %q", got, want)
			}
			if c.after != nil {
				c.after(t, l)
			}
			checkInvariants(t, l.state())
		})
	}
}

func eq[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func quotas(change func(*Quotas)) *SetQuotas {
	q := DefaultQuotas()
	change(&q)
	return &SetQuotas{q}
}

func changed[T any](body *T, change func(*T)) *T {
	change(body)
	return body
}

func schedule(n int, at int64) *ScheduleDeletion { return &ScheduleDeletion{ref1(n), at, 7} }

const pending, disabled, absent, notImported = "the key is pending deletion", "the key is disabled", "the key does not exist", "the key is pending import"

// A row that a reader holds must not change under it.
func TestReadersKeepTheirRows(t *testing.T) {
	l := newRegion(t)
	l.ok(changed(newKey(account1, 1), func(c *CreateKey) { c.Key.Tags = []Tag{{"a", "1"}} }))
	l.ok(externalKey(account1, 2))
	l.ok(imported(ref1(2), 2, MaterialCurrent, true))
	before := l.state()
	frozen := snapshotOf(t, before)
	l.ok(&PutDomainKey{DomainKey{Version: 2, ID: "domain-2", Active: true}})
	l.ok(&TagKey{ref1(1), []Tag{{"a", "2"}, {"0", ""}}})
	l.ok(&UntagKey{ref1(1), []string{"a"}})
	l.ok(&RewrapMaterial{ref1(1), materialID(1), 1, 2, []byte("x")})
	l.ok(&SetRotation{ref1(1), Rotation{true, 90, now0}})
	l.ok(&RotateKey{ref1(1), materialID(1), Material{ID: materialID(5), Domain: 1, Blob: []byte("y"), State: MaterialCurrent}, RotationAutomatic, now0 + day})
	l.ok(imported(ref1(2), 2, MaterialCurrent, false))
	l.ok(&DeleteMaterial{ref1(2), materialID(2)})
	l.ok(&PutAccount{Account{ID: account1}})
	l.ok(newGrant(1, 1))
	l.ok(&DeleteGrant{ref1(1), grantID(1), GrantRetired})
	if !bytes.Equal(frozen, snapshotOf(t, before)) {
		t.Error("a published state has changed")
	}
}
