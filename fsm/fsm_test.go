package fsm

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

func TestNewRequiresFatal(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("an FSM that could skip an entry in silence")
	}
	f, err := New(Options{Fatal: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	if s := f.State(); s.Index() != 0 || s.Region() != nil || s.ActiveDomainKey() != nil {
		t.Errorf("empty state: %+v", s)
	}
}

var voters = raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a:1"}, {Suffrage: raft.Nonvoter, ID: "b", Address: "b:1"}}}

func TestConfigurations(t *testing.T) {
	l := newRegion(t)
	index, cfg := l.state().Config()
	if index != 0 || len(cfg.Servers) != 0 {
		t.Errorf("configuration %d %v before the first", index, cfg)
	}
	l.fsm.StoreConfiguration(10, voters)
	index, cfg = l.state().Config()
	if index != 10 || !reflect.DeepEqual(cfg, voters) || l.state().Index() != 10 {
		t.Errorf("configuration %d %v at %d", index, cfg, l.state().Index())
	}
	responses := l.fsm.ApplyBatch([]*raft.Log{
		{Index: 12, Type: raft.LogCommand, Data: mustEncode(t, l.command(&TermStart{"n"}))},
		{Index: 13, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(raft.Configuration{})},
		{Index: 15, Type: raft.LogCommand, Data: mustEncode(t, l.command(newKey(account1, 1)))},
	})
	if len(responses) != 3 || responses[1] != nil || responses[2].(Result).Index != 15 {
		t.Errorf("responses %v", responses)
	}
	if index, cfg = l.state().Config(); index != 13 || len(cfg.Servers) != 0 || l.state().Index() != 15 {
		t.Errorf("configuration %d %v at %d", index, cfg, l.state().Index())
	}
}

// An entry that cannot be applied stops the FSM: what came before it in the batch counts, nothing after it does, and
// nothing ever will.
func TestUnappliableEntriesStop(t *testing.T) {
	good := func(l *lab, n int) *raft.Log { return l.entry(l.command(newKey(account1, n))) }
	for _, c := range []struct {
		name string
		bad  func(l *lab) *raft.Log
		want string
	}{
		{"damaged", func(l *lab) *raft.Log {
			e := good(l, 9)
			e.Data[headerSize] ^= 1
			return e
		}, "checksum"},
		{"unknown kind", func(l *lab) *raft.Log {
			e := good(l, 9)
			e.Data[offKind] = 0xff
			e.Data = sealed(e.Data)
			return e
		}, "unknown kind"},
		{"log went back", func(l *lab) *raft.Log {
			e := good(l, 9)
			e.Index = 1
			return e
		}, "the log went back"},
		{"same index again", func(l *lab) *raft.Log {
			e := good(l, 9)
			e.Index--
			return e
		}, "the log went back"},
		{"damaged configuration", func(l *lab) *raft.Log {
			l.index++
			return &raft.Log{Index: l.index, Type: raft.LogConfiguration, Data: []byte{0xc1}}
		}, "configuration"},
		{"strange type", func(l *lab) *raft.Log {
			l.index++
			return &raft.Log{Index: l.index, Type: raft.LogBarrier}
		}, "type"},
		{"audit sink fails", func(l *lab) *raft.Log {
			e := good(l, 9)
			l.fsm.options.Sink = func(index uint64, _ []byte) error {
				if index == e.Index {
					return errDisk
				}
				return nil
			}
			return e
		}, errDisk.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newRegion(t)
			first, bad := good(l, 1), c.bad(l)
			responses := l.fsm.ApplyBatch([]*raft.Log{first, bad, good(l, 2)})
			if len(responses) != 3 || responses[0].(Result).Code != OK {
				t.Fatalf("responses %v", responses)
			}
			for _, response := range append(responses[1:], l.fsm.Apply(good(l, 3))) {
				if err, ok := response.(error); !ok || !errors.Is(err, ErrStopped) {
					t.Errorf("response %v, want ErrStopped", response)
				}
			}
			if len(l.fatal) != 1 || !strings.Contains(l.fatal[0].Error(), c.want) {
				t.Errorf("Fatal was told %v, want once, with %q", l.fatal, c.want)
			}
			s := l.state()
			if s.Index() != first.Index || s.Key(account1, keyID(1)) == nil || s.Key(account1, keyID(9)) != nil || s.Key(account1, keyID(2)) != nil {
				t.Errorf("state at %d holds more or less than the entries before", s.Index())
			}
			checkInvariants(t, s)
			stopped(t, l)
		})
	}
}

// stopped checks that a stopped FSM does nothing any more.
func stopped(t *testing.T, l *lab) {
	t.Helper()
	before := l.state()
	l.fsm.StoreConfiguration(before.Index()+100, voters)
	if err := l.fsm.Restore(reader(nil)); !errors.Is(err, ErrStopped) {
		t.Errorf("Restore: %v", err)
	}
	if _, err := l.fsm.Snapshot(); !errors.Is(err, ErrStopped) {
		t.Errorf("Snapshot: %v", err)
	}
	if _, err := l.fsm.Wait(context.Background(), before.Index()+1); !errors.Is(err, ErrStopped) {
		t.Errorf("Wait: %v", err)
	}
	if l.state() != before || len(l.fatal) != 1 {
		t.Error("a stopped FSM has moved")
	}
}

func TestConfigurationThatGoesBackStops(t *testing.T) {
	l := newRegion(t)
	l.fsm.StoreConfiguration(1, voters)
	if len(l.fatal) != 1 {
		t.Errorf("Fatal was told %v", l.fatal)
	}
}

// The record of a change is written before anybody can read the change, and caches hear of it before its proposer.
func TestOrderOfSinkStateAndEvents(t *testing.T) {
	var f *FSM
	var order []string
	f, err := New(Options{
		Fatal: func(err error) { t.Error(err) },
		Sink: func(index uint64, record []byte) error {
			order = append(order, "sink "+string(record))
			if f.State().Index() >= index {
				t.Error("the change can be read before its record is written")
			}
			return nil
		},
		OnEvent: func(e Event) {
			order = append(order, "event")
			if f.State().Index() < e.Index {
				t.Error("the event comes before the state")
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, fsm: f}
	l.ok(initBody())
	l.ok(newKey(account1, 1))
	c := l.command(&SetEnabled{ref1(1), false})
	c.Audit = nil
	l.apply(c)
	want := []string{"sink record 1", "sink record 2", "event"}
	if !reflect.DeepEqual(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}
