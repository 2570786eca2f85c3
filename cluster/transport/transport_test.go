package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

func TestRequests(t *testing.T) {
	a, b, _ := pair(t)
	to := b.asServer("b")
	got, err := a.LastIndex(seconds(t, 5), to, "cluster-1")
	want := cluster.Answer{NodeID: "b", ClusterID: "cluster-1", LastIndex: 7, Applied: 5, Clock: 1_700_000_000_000}
	if err != nil || got != want {
		t.Errorf("question: %+v, %v", got, err)
	}
	res, err := a.Forward(seconds(t, 5), to, cluster.Gate{}, command())
	if err != nil || !reflect.DeepEqual(res, fsm.Result{Code: fsm.Stale, Index: 9, Objects: []string{"a", "b"}, Repeat: true, Detail: "d"}) {
		t.Errorf("proposal: %+v, %v", res, err)
	}
	out, err := a.Call(seconds(t, 5), to, "m", []byte("p"))
	if err != nil || string(out) != "a m p" {
		t.Errorf("call: %q, %v", out, err)
	}
	if _, err := a.LastIndex(seconds(t, 5), to, "cluster-2"); !errors.Is(err, cluster.ErrIdentity) {
		t.Errorf("another cluster was asked for: %v", err)
	}
}

// Many requests share one connection and none gets another's answer.
func TestRequestsRunSideBySide(t *testing.T) {
	a, b, _ := pair(t)
	slow := make(chan struct{})
	h := handlers("b", "cluster-1")
	echo := h.Call
	h.Call = func(ctx context.Context, peer, method string, p []byte) ([]byte, error) {
		if method == "slow" {
			<-slow
		}
		return echo(ctx, peer, method, p)
	}
	b.Handle(h)
	to := b.asServer("b")
	var wg sync.WaitGroup
	wg.Go(func() {
		if out, err := a.Call(seconds(t, 10), to, "slow", nil); err != nil || string(out) != "a slow " {
			t.Errorf("%q, %v", out, err)
		}
	})
	var rest sync.WaitGroup
	for i := range 200 {
		rest.Go(func() {
			payload := fmt.Sprint(i)
			if out, err := a.Call(seconds(t, 10), to, "m", []byte(payload)); err != nil || string(out) != "a m "+payload {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	rest.Wait()
	close(slow)
	wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) != 1 {
		t.Errorf("%d connections", len(b.open))
	}
}

// What an error means survives the wire, and what is not known stays unknown.
func TestErrorsKeepTheirMeaning(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	var say error
	h.Propose = func(context.Context, cluster.Gate, fsm.Command) (fsm.Result, error) { return fsm.Result{}, say }
	b.Handle(h)
	for _, c := range []struct {
		say, want error
		written   bool // may have been written
	}{
		{cluster.ErrNotLeader, cluster.ErrNotLeader, false},
		{cluster.ErrNoLeader, cluster.ErrNoLeader, false},
		{cluster.ErrTooBusy, cluster.ErrTooBusy, false},
		{cluster.ErrDiskFull, cluster.ErrDiskFull, false},
		{cluster.ErrClockOff, cluster.ErrClockOff, false},
		{cluster.ErrCanceled, cluster.ErrCanceled, false},
		{cluster.ErrOldNodes, cluster.ErrOldNodes, false},
		{cluster.ErrClosed, cluster.ErrNoLeader, false}, // that node stops, another may lead
		{fsm.ErrInvalid, fsm.ErrInvalid, false},
		{fmt.Errorf("%w (x)", cluster.ErrUnknown), cluster.ErrUnknown, true},
		{fmt.Errorf("%w (%w)", cluster.ErrUnknown, cluster.ErrClosed), cluster.ErrUnknown, true},
		{errors.New("anything else"), cluster.ErrUnknown, true},
	} {
		say = c.say
		_, err := a.Forward(seconds(t, 5), b.asServer("b"), cluster.Gate{}, command())
		if !errors.Is(err, c.want) || cluster.NotWritten(err) == c.written {
			t.Errorf("%v became %v", c.say, err)
		}
	}
}

// Gates and holds arrive as they were sent.
func TestGatesOnTheWire(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	var said []string
	h.Propose = func(_ context.Context, g cluster.Gate, _ fsm.Command) (fsm.Result, error) {
		said = append(said, fmt.Sprint("propose ", g.Keys, g.Hold[0]))
		return fsm.Result{}, nil
	}
	h.Hold = func(_ context.Context, id cluster.HoldID, keys []string) error {
		said = append(said, fmt.Sprint("hold ", keys, id[0]))
		return cluster.ErrNotLeader
	}
	h.Release = func(id cluster.HoldID) { said = append(said, fmt.Sprint("release ", id[0])) }
	b.Handle(h)
	to, id := b.asServer("b"), cluster.HoldID{7}
	if err := a.Hold(seconds(t, 5), to, id, []string{"k", "l"}); !errors.Is(err, cluster.ErrNotLeader) {
		t.Errorf("a refused hold: %v", err)
	}
	for _, g := range []cluster.Gate{{}, {Keys: []string{"k"}}, {Keys: []string{"k"}, Hold: id}} {
		if _, err := a.Forward(seconds(t, 5), to, g, command()); err != nil {
			t.Error(err)
		}
	}
	if err := a.Hold(seconds(t, 5), to, id, nil); err != nil {
		t.Error(err)
	}
	if got, want := fmt.Sprint(said), "[hold [k l] 7 propose [] 0 propose [k] 0 propose [k] 7 release 7]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A node that cannot be reached has written nothing; one that was reached and does not answer may have.
func TestOutcomeOfForwarding(t *testing.T) {
	a, b, _ := pair(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	nobody := raft.Server{ID: "c", Address: raft.ServerAddress(free.Addr().String())}
	if _, err := a.Forward(seconds(t, 5), nobody, cluster.Gate{}, command()); !errors.Is(err, cluster.ErrNoLeader) {
		t.Errorf("nobody there: %v", err)
	}
	h := handlers("b", "cluster-1")
	arrived := make(chan struct{})
	h.Propose = func(ctx context.Context, _ cluster.Gate, _ fsm.Command) (fsm.Result, error) {
		close(arrived)
		<-ctx.Done()
		return fsm.Result{}, cluster.ErrCanceled
	}
	b.Handle(h)
	done := make(chan error)
	go func() {
		_, err := a.Forward(seconds(t, 20), b.asServer("b"), cluster.Gate{}, command())
		done <- err
	}()
	<-arrived
	b.mu.Lock()
	for c := range b.open {
		c.Close()
	}
	b.mu.Unlock()
	if err := <-done; !errors.Is(err, cluster.ErrUnknown) || cluster.NotWritten(err) {
		t.Errorf("the connection ended: %v", err)
	}
	b.Handle(handlers("b", "cluster-1"))
	if _, err := a.Forward(seconds(t, 5), b.asServer("b"), cluster.Gate{}, command()); err != nil {
		t.Errorf("on the next connection: %v", err)
	}
}

// A deadline ends a request, and a connection that has said nothing meanwhile is given up.
func TestSilentPeer(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	h.Answer = func(string, string) (cluster.Answer, error) {
		<-b.life.Done()
		return cluster.Answer{}, errors.New("late")
	}
	b.Handle(h)
	if _, err := a.LastIndex(seconds(t, 0.05), b.asServer("b"), "cluster-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	conn := a.peer("b").conn
	if conn.failed() != nil {
		t.Error("given up after 50 ms")
	}
	if _, err := a.LastIndex(seconds(t, 1.05), b.asServer("b"), "cluster-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if conn.failed() == nil {
		t.Error("a silent connection is kept")
	}
}

func TestOnlyMembersPropose(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	h.Member = func(id string) error { return fmt.Errorf("%w (%s)", cluster.ErrNoSuchMember, id) }
	h.Propose = func(context.Context, cluster.Gate, fsm.Command) (fsm.Result, error) {
		t.Error("proposed")
		return fsm.Result{}, nil
	}
	b.Handle(h)
	if _, err := a.Forward(seconds(t, 5), b.asServer("b"), cluster.Gate{}, command()); err == nil {
		t.Error("a proposal of a node that is no member was taken")
	}
	if _, err := a.Call(seconds(t, 5), b.asServer("b"), "m", nil); !errors.Is(err, cluster.ErrNoSuchMember) {
		t.Errorf("a call of a node that is no member: %v", err)
	}
	if _, err := a.LastIndex(seconds(t, 5), b.asServer("b"), "cluster-1"); err != nil {
		t.Errorf("a question: %v", err)
	}
}

// A node says why it should not lead. One that does not know the question counts as fit, one that does not answer does not.
func TestUnfit(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	if why, err := a.Unfit(seconds(t, 5), b.asServer("b")); why != "" || err != nil {
		t.Errorf("a node that does not know the question: %q, %v", why, err)
	}
	for _, ill := range []error{nil, errors.New("the HSM hangs")} {
		h.Unfit = func() error { return ill }
		b.Handle(h)
		why, err := a.Unfit(seconds(t, 5), b.asServer("b"))
		if err != nil || (why == "") != (ill == nil) || ill != nil && why != ill.Error() {
			t.Errorf("%v arrived as %q, %v", ill, why, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if why, err := a.Unfit(seconds(t, 5), b.asServer("b")); err == nil {
		t.Errorf("a node that is gone: %q", why)
	}
}

func BenchmarkLastIndex(b *testing.B) {
	a, s, _ := pair(b)
	to := s.asServer("b")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.LastIndex(context.Background(), to, "cluster-1"); err != nil {
			b.Fatal(err)
		}
	}
}
