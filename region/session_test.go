package region

import (
	"encoding/base64"
	"testing"

	"github.com/trentkms/trent/fsm"
)

// FuzzSessionToken: no token makes the parser fail otherwise than by finding none.
func FuzzSessionToken(f *testing.F) {
	machine, err := fsm.New(fsm.Options{Fatal: func(err error) { f.Error(err) }})
	if err != nil {
		f.Fatal(err)
	}
	s := New(Config{Partition: "aws", Region: "us-east-1"})
	for _, raw := range []string{"", "TRT\x01", "TRT\x01\x09us-east-1\x00\x00\x00\x01sealed", "TRT\x01\xffus-east-1", "TRT\x02\x09us-east-1\x00\x00\x00\x01",
		"TRT\x02\x09us-east-10123456789abcdef\x02sgsealed", "TRT\x02\x090123456789abcdef\xffsg"} {
		f.Add(base64.StdEncoding.EncodeToString([]byte(raw)))
	}
	f.Fuzz(func(t *testing.T, token string) {
		if s.parseToken(machine.State(), "ASIA", token) != nil {
			t.Errorf("%q names a key of a region that has none", token)
		}
		if _, _, err := s.OpenSession(t.Context(), machine.State(), "ASIA", token); err != ErrSessionToken {
			t.Errorf("%q: %v", token, err)
		}
	})
}

func TestPrincipalTags(t *testing.T) {
	of := &fsm.Identity{Tags: []fsm.Tag{{Key: "Team", Value: "a"}, {Key: "x", Value: "1"}}}
	s := &Session{Tags: []fsm.Tag{{Key: "team", Value: "b"}}}
	if got := s.PrincipalTags(of); len(got) != 2 || got[0].Value != "b" || got[1].Key != "x" {
		t.Errorf("%v: the session's tags come over the role's, without regard to case", got)
	}
	if got := (*Session)(nil).PrincipalTags(of); len(got) != 2 {
		t.Errorf("%v without a session", got)
	}
	if got := (*Session)(nil).PrincipalTags(nil); got != nil {
		t.Errorf("%v of nobody", got)
	}
}

// TestInherit: what goes on through a chain of roles.
func TestInherit(t *testing.T) {
	from := &Session{
		Parent: "AKIA1", SourceIdentity: "ann", Transitive: []string{"team"},
		Tags: []fsm.Tag{{Key: "other", Value: "1"}, {Key: "team", Value: "a"}},
	}
	next := &Session{Parent: "ASIA1", Tags: []fsm.Tag{{Key: "zone", Value: "z"}}}
	if err := next.inherit(from); err != nil || next.Parent != "AKIA1" || next.SourceIdentity != "ann" || len(next.Tags) != 2 || next.Tags[0].Key != "team" || next.Transitive[0] != "team" {
		t.Errorf("%+v, %v", next, err)
	}
	if err := (&Session{SourceIdentity: "bob"}).inherit(from); err == nil {
		t.Error("the source identity was changed")
	}
	if err := (&Session{Tags: []fsm.Tag{{Key: "TEAM", Value: "b"}}}).inherit(from); err == nil {
		t.Error("a transitive tag was changed")
	}
}
