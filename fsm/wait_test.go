package fsm

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newRegion(t)
		base := l.state().Index()
		type answer struct {
			s   *State
			err error
		}
		wait := func(ctx context.Context, index uint64) chan answer {
			ch := make(chan answer, 1)
			go func() {
				s, err := l.fsm.Wait(ctx, index)
				ch <- answer{s, err}
			}()
			return ch
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		one, three, timedOut, also := wait(t.Context(), base+1), wait(t.Context(), base+3), wait(short, base+2), wait(t.Context(), base+1)
		if a := <-wait(t.Context(), base); a.err != nil || a.s.Index() != base {
			t.Errorf("an index that is reached: %+v", a)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if a := <-timedOut; !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("timed out: %+v", a)
		}
		if n := len(l.fsm.waiters.heap); n != 3 {
			t.Errorf("%d waiters, want 3: who has timed out must leave", n)
		}
		l.ok(&TermStart{"n"})
		for _, ch := range []chan answer{one, also} {
			if a := <-ch; a.err != nil || a.s.Index() < base+1 {
				t.Errorf("woken: %+v", a)
			}
		}
		synctest.Wait()
		select {
		case a := <-three:
			t.Errorf("woken too early: %+v", a)
		default:
		}
		l.fsm.StoreConfiguration(base+5, voters) // a configuration counts
		if a := <-three; a.err != nil || a.s.Index() != base+5 {
			t.Errorf("woken: %+v", a)
		}
		last := wait(t.Context(), base+9)
		synctest.Wait()
		l.fsm.StoreConfiguration(1, voters) // stops
		if a := <-last; !errors.Is(a.err, ErrStopped) {
			t.Errorf("stopped: %+v", a)
		}
		if n := len(l.fsm.waiters.heap); n != 0 {
			t.Errorf("%d waiters are left behind", n)
		}
	})
}

// Readers share states with each other and run beside apply and snapshots. The race detector does the judging.
func TestReadersBesideApply(t *testing.T) {
	l := newRegion(t)
	l.ok(newKey(account1, 0))
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				s := l.fsm.State()
				n := 0
				for k := range s.Keys(account1, "") {
					n++
					for range s.AliasesOf(account1, k.ID, "") {
					}
				}
				if n != s.Account(account1).KeyCount || s.Key(account1, keyID(0)) == nil {
					t.Error("a state that does not agree with itself")
				}
				s.Repeat(commandID(int(s.Index())), 2, [16]byte{})
				s.ActiveDomainKey()
				s.Version(Read{Doc: DocKey, Account: account1, Name: keyID(0)})
			}
		})
	}
	readers.Go(func() {
		for ctx.Err() == nil {
			s := l.fsm.State()
			first, second := Hash(s), Hash(s)
			if first != second {
				t.Error("a state that changes while it is written")
			}
		}
	})
	for i := 1; i < 150; i++ {
		l.ok(newKey(account1, i))
		l.ok(&CreateAlias{account1, "alias/" + keyID(i), keyID(i)})
		l.ok(&TagKey{ref1(i / 2), []Tag{{"a", keyID(i)}}})
		l.ok(&LastUsage{[]KeyUse{{account1, keyID(i), int64(i), "Sign", "", ""}}})
	}
	cancel()
	readers.Wait()
}

func TestLookupAllocations(t *testing.T) {
	l := withKeys(t, 1000)
	s, id := l.state(), keyID(500)
	if n := testing.AllocsPerRun(1000, func() {
		if s.Key(account1, id) == nil {
			t.Fatal("key is missing")
		}
	}); n > 3 {
		t.Errorf("Key allocates %v times, at most 3 are wanted", n)
	}
}

// raft itself drives the FSM: entries, configuration, snapshot.
func TestUnderRaft(t *testing.T) {
	l := newLab(t)
	_, transport := raft.NewInmemTransport("")
	config := raft.DefaultConfig()
	config.LocalID, config.LogOutput = "node-1", io.Discard
	config.HeartbeatTimeout, config.ElectionTimeout, config.LeaderLeaseTimeout = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	store, snapshots := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	if err := raft.BootstrapCluster(config, store, store, snapshots, transport, raft.Configuration{Servers: []raft.Server{{ID: "node-1", Address: transport.LocalAddr()}}}); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(config, l.fsm, store, store, snapshots, transport)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Shutdown().Error(); err != nil {
			t.Error(err)
		}
	}()
	for leads := range r.LeaderCh() {
		if leads {
			break
		}
	}
	future := r.Apply(mustEncode(t, l.command(initBody())), time.Second)
	if err := future.Error(); err != nil {
		t.Fatal(err)
	}
	if result, ok := future.Response().(Result); !ok || result.Code != OK || result.Index != future.Index() {
		t.Fatalf("response %+v", future.Response())
	}
	s, err := l.fsm.Wait(t.Context(), future.Index())
	if err != nil {
		t.Fatal(err)
	}
	if index, cfg := s.Config(); index != 1 || len(cfg.Servers) != 1 || cfg.Servers[0].ID != "node-1" {
		t.Errorf("configuration %d %v", index, cfg)
	}
	taken := r.Snapshot()
	if err := taken.Error(); err != nil {
		t.Fatal(err)
	}
	_, stream, err := taken.Open()
	if err != nil {
		t.Fatal(err)
	}
	other := newLab(t)
	if err := other.fsm.Restore(stream); err != nil {
		t.Fatal(err)
	}
	if Hash(other.state()) != Hash(s) {
		t.Error("a snapshot that went through raft has another hash")
	}
}
