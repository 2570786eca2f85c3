package region

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
	"github.com/trentkms/trent/region/fault"
)

const testGrant = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// tokenLab is a service over a state machine without a cluster.
type tokenLab struct {
	*Service
	fsm   *fsm.FSM
	index uint64
}

func newTokenLab(t testing.TB) *tokenLab {
	t.Helper()
	module, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = module.Close() })
	for _, id := range []string{"domain-1", "domain-2"} {
		if err := module.CreateDomain(t.Context(), hsm.DomainID(id)); err != nil {
			t.Fatal(err)
		}
	}
	machine, err := fsm.New(fsm.Options{Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	l := &tokenLab{Service: New(Config{Partition: "aws", Region: "us-east-1", HSM: module}), fsm: machine}
	l.apply(t, &fsm.InitRegion{
		Region: fsm.Region{ClusterID: "c", Name: "us-east-1", Partition: "aws"}, Quotas: fsm.DefaultQuotas(), Account: fsm.Account{ID: "111122223333"},
		AccessKey: fsm.AccessKey{ID: "AKIA", Account: "111122223333", Principal: RootPrincipal, Domain: 1, Secret: []byte("s")},
		DomainKey: fsm.DomainKey{Version: 1, ID: "domain-1"},
	})
	return l
}

func (l *tokenLab) apply(t testing.TB, body fsm.Body) {
	t.Helper()
	data, err := fsm.Encode(fsm.Command{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	l.index++
	if r, ok := l.fsm.Apply(&raft.Log{Index: l.index, Type: raft.LogCommand, Data: data}).(fsm.Result); !ok || r.Code != fsm.OK {
		t.Fatalf("%T: %+v", body, r)
	}
}

func (l *tokenLab) token(t testing.TB) string {
	t.Helper()
	token, err := l.newGrantToken(t.Context(), l.fsm.State(), testGrant)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestGrantTokens: tokens differ and mean the same, for ever and in this region alone (spec 04 GT-02, GT-05, GT-07).
func TestGrantTokens(t *testing.T) {
	l := newTokenLab(t)
	before := []string{l.token(t), l.token(t)}
	old := l.fsm.State()
	l.apply(t, &fsm.PutDomainKey{DomainKey: fsm.DomainKey{Version: 2, ID: "domain-2", Active: true}})
	after := l.token(t)
	if before[0] == before[1] || strings.Contains(before[0], testGrant) {
		t.Errorf("tokens %v", before)
	}
	ids, err := l.OpenGrantTokens(t.Context(), l.fsm.State(), append(before, after))
	if err != nil || len(ids) != 3 || ids[0] != testGrant || ids[1] != testGrant || ids[2] != testGrant {
		t.Errorf("%v, %v", ids, err)
	}
	if ids, err := l.OpenGrantTokens(t.Context(), l.fsm.State(), nil); ids != nil || err != nil {
		t.Errorf("no tokens: %v, %v", ids, err)
	}
	refused := func(what string, s *Service, st *fsm.State, tokens ...string) {
		t.Helper()
		if ids, err := s.OpenGrantTokens(t.Context(), st, tokens); !errors.Is(err, fault.InvalidGrantTokenException) || ids != nil {
			t.Errorf("%s: %v, %v", what, ids, err)
		}
	}
	refused("a domain key that the region has not", l.Service, old, after)
	refused("another region with the same HSM", New(Config{Partition: "aws", Region: "eu-west-1", HSM: l.cfg.HSM}), old, before[0])
	refused("another HSM", newTokenLab(t).Service, old, before[0])
	raw, err := base64.RawURLEncoding.DecodeString(before[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		refused("a changed byte", l.Service, old, base64.RawURLEncoding.EncodeToString(raw))
		raw[i] ^= 1
	}
}

// TestGrantTokensNeedNoHSM: the HSM is asked once for each version of the domain key.
func TestGrantTokensNeedNoHSM(t *testing.T) {
	l := newTokenLab(t)
	token := l.token(t)
	if err := l.cfg.HSM.Close(); err != nil {
		t.Fatal(err)
	}
	if ids, err := l.OpenGrantTokens(t.Context(), l.fsm.State(), []string{token}); err != nil || ids[0] != testGrant {
		t.Errorf("%v, %v", ids, err)
	}
	fresh := New(l.cfg)
	if _, err := fresh.OpenGrantTokens(t.Context(), l.fsm.State(), []string{token}); !errors.Is(err, fault.KeyUnavailableException) {
		t.Errorf("without HSM: %v", err)
	}
}

// FuzzGrantToken: no text but the tokens given out is one, and nothing makes the parser fail otherwise.
func FuzzGrantToken(f *testing.F) {
	l := newTokenLab(f)
	good := l.token(f)
	for _, s := range []string{"", good, good[:len(good)-1], good + "A", strings.Repeat("A", len(good)), "VFJHAQAAAAE", strings.ToLower(good)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ids, err := l.OpenGrantTokens(context.Background(), l.fsm.State(), []string{s})
		switch {
		case s == good && (err != nil || ids[0] != testGrant):
			t.Fatalf("the good token: %v", err)
		case s != good && !errors.Is(err, fault.InvalidGrantTokenException):
			t.Fatalf("%q: %v, %v", s, ids, err)
		}
	})
}

func BenchmarkOpenGrantToken(b *testing.B) {
	l := newTokenLab(b)
	tokens, st := []string{l.token(b)}, l.fsm.State()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.OpenGrantTokens(b.Context(), st, tokens); err != nil {
			b.Fatal(err)
		}
	}
}
