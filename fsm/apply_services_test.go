package fsm

import "testing"

func TestApplyServiceKeys(t *testing.T) {
	key := func(id string) *PutServiceKey {
		return &PutServiceKey{AccessKey{ID: id, Account: account1, Principal: "service/ssm", Domain: 1, Secret: []byte("s"), Active: true}}
	}
	l := newRegion(t)
	l.ok(key("AKIA2"))
	l.ok(key("AKIA3"))
	if r := l.apply(l.command(key("AKIA4"))); r.Code != Stale || r.Detail != "the service's access keys are at the quota" {
		t.Errorf("one key too many: %+v", r)
	}
	if r := l.apply(l.command(key("AKIA2"))); r.Code != Stale {
		t.Errorf("a key that is there: %+v", r)
	}
	// A service's key becomes nobody's else, and no ordinary way makes one.
	for _, principal := range []string{"root", "service/ssm"} {
		if r := l.apply(l.command(&PutAccessKey{AccessKey{ID: "AKIA2", Account: account1, Principal: principal, Domain: 1, Secret: []byte("s")}})); r.Code == OK && principal == "root" {
			t.Errorf("PutAccessKey for %s on a service's key: %+v", principal, r)
		}
		if r := l.apply(l.command(&PutAccessKey{AccessKey{ID: "AKIA5", Account: account1, Principal: principal, Domain: 1, Secret: []byte("s")}})); r.Code == OK && principal != "root" {
			t.Errorf("PutAccessKey has made a service's key: %+v", r)
		}
	}
	l.ok(&DeleteAccessKey{"AKIA2"})
	l.ok(key("AKIA4"))
	if _, err := Encode(l.command(&PutServiceKey{AccessKey{ID: "AKIA6", Account: account1, Principal: "root", Domain: 1, Secret: []byte("s")}})); err == nil {
		t.Error("a root user's key is taken for a service's")
	}
}
