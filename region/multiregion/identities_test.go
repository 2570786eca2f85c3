package multiregion

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/link"
)

const (
	followed = "eu-west-1"
	account  = "111122223333"
)

// followerLab is a region that follows a home which a test plays. It is Cluster, link.Link and Identities of its engine.
type followerLab struct {
	t        *testing.T
	fsm      *fsm.FSM
	index    uint64
	now      time.Time
	proposed []fsm.Body
	asked    []*request
	home     func(*request) *answer
}

func newFollowerLab(t *testing.T) (*followerLab, *Engine) {
	l := &followerLab{t: t, now: time.UnixMilli(1_700_000_000_000)}
	var err error
	if l.fsm, err = fsm.New(fsm.Options{Fatal: func(err error) { t.Error(err) }}); err != nil {
		t.Fatal(err)
	}
	at := l.now.UnixMilli()
	for _, body := range []fsm.Body{
		&fsm.InitRegion{
			Region: fsm.Region{ClusterID: "c", Name: "us-east-1", Partition: "aws", CreatedAt: at}, Quotas: fsm.DefaultQuotas(),
			Account:   fsm.Account{ID: account, CreatedAt: at},
			AccessKey: fsm.AccessKey{ID: "AKIAROOT", Account: account, Principal: "root", Domain: 1, Secret: []byte("s"), Active: true, CreatedAt: at},
			DomainKey: fsm.DomainKey{Version: 1, ID: "domain-1", CreatedAt: at, Probe: []byte("p")},
		},
		&fsm.PutOtherRegion{Region: fsm.OtherRegion{
			Name: followed, ClusterID: "d", Incarnation: 7, CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: fsm.RegionFederated,
		}},
		&fsm.AdoptHome{Replace: true, Sync: fsm.SyncIdentities{
			Home: followed, Incarnation: 7, Position: 100, Full: true, Operator: account, CurrentAt: at, Parts: 1,
			Rows: fsm.IdentityRows{Accounts: []fsm.Account{{ID: account, CreatedAt: at, Version: 50}}},
		}},
	} {
		if res, err := l.Propose(t.Context(), command(l.State(), body)); err != nil || res.Code != fsm.OK {
			t.Fatal(res, err)
		}
	}
	l.proposed = nil
	return l, New(Config{Cluster: l, Link: l, Identities: l})
}

func (l *followerLab) View(context.Context) (*fsm.State, error) { return l.fsm.State(), nil }
func (l *followerLab) State() *fsm.State                        { return l.fsm.State() }
func (l *followerLab) Now() time.Time                           { return l.now }
func (l *followerLab) SetDigest([]byte)                         {}
func (l *followerLab) Peers() []link.Peer                       { return nil }

func (l *followerLab) Propose(_ context.Context, cmd fsm.Command) (fsm.Result, error) {
	cmd.Time = l.now.UnixMilli()
	b, err := fsm.Encode(cmd)
	if err != nil {
		return fsm.Result{}, err
	}
	l.index++
	l.proposed = append(l.proposed, cmd.Body)
	res, ok := l.fsm.Apply(&raft.Log{Index: l.index, Type: raft.LogCommand, Data: b}).(fsm.Result)
	if !ok {
		l.t.Fatalf("%T was not applied", cmd.Body)
	}
	return res, nil
}

func (l *followerLab) Call(ctx context.Context, _ string, b []byte) ([]byte, error) {
	r, err := decodeRequest(b)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.asked = append(l.asked, r)
	a := l.home(r)
	a.Incarnation = 7
	return encode(a)
}

func (l *followerLab) HandOutSecrets(context.Context, *fsm.State, *fsm.OtherRegion, []fsm.AccessKey) ([]byte, [][]byte, error) {
	return nil, nil, errors.New("not here")
}

func (l *followerLab) TakeInSecrets(context.Context, *fsm.State, []byte, [][]byte, []fsm.AccessKey) error {
	return errors.New("not here")
}

func (l *followerLab) SignIdentities(_ context.Context, _ *fsm.State, _ *fsm.OtherRegion, nonce, told []byte) ([]byte, error) {
	return append(append([]byte("signed"), nonce...), told...), nil
}

func (l *followerLab) VerifyIdentities(st *fsm.State, from *fsm.OtherRegion, nonce, told, signature []byte) error {
	if want, _ := l.SignIdentities(l.t.Context(), st, from, nonce, told); string(want) != string(signature) {
		return errors.New("the signature is not the region's")
	}
	return nil
}

func (l *followerLab) OperatorAccount(*fsm.State) string { return account }

// tells is an answer, signed or not.
func (l *followerLab) tells(r *request, t *told, sign bool) *answer {
	l.t.Helper()
	b, err := encode(t)
	if err != nil {
		l.t.Fatal(err)
	}
	a := &answer{Told: b}
	if sign {
		a.Signature, _ = l.SignIdentities(l.t.Context(), nil, nil, r.Nonce, b)
	}
	return a
}

// TestUnsignedAnswersSayNothing: of an answer that the home has not signed nothing is believed.
func TestUnsignedAnswersSayNothing(t *testing.T) {
	l, e := newFollowerLab(t)
	before := *l.State().Home()
	sibling := []fsm.Follower{{Name: "sa-east-1", Key: make([]byte, 32)}}
	evil := told{Position: 1 << 40, Operator: "444455556666", Followers: sibling}
	for _, c := range []struct {
		name   string
		later  time.Duration
		check  bool
		change func(*told)
		fails  bool
	}{
		{name: "nothing new"},
		{name: "when it is time to note that", later: time.Minute, fails: true},
		{name: "digest that was asked for", check: true, change: func(t *told) { t.Digest = []byte("x") }, fails: true},
		{name: "no digest although it was asked for", check: true, fails: true},
		{name: "digest that was not asked for", change: func(t *told) { t.Digest = []byte("x") }},
		{name: "all there is", change: func(t *told) { t.Full = true }, fails: true},
		{name: "rows", change: func(t *told) { t.Rows.Accounts = []fsm.Account{{ID: "444455556666", Version: 1}} }, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := l.now
			l.now = at.Add(c.later)
			defer func() { l.now = at }()
			tell := evil
			if c.change != nil {
				c.change(&tell)
			}
			l.home = func(r *request) *answer { return l.tells(r, &tell, false) }
			if err := e.PullIdentities(t.Context(), c.check); (err != nil) != c.fails {
				t.Errorf("error %v", err)
			}
			if got := *l.State().Home(); !reflect.DeepEqual(got, before) || len(l.proposed) > 0 || l.State().Region().Operator != account {
				t.Fatalf("home %+v, operator %s, proposed %+v", got, l.State().Region().Operator, l.proposed)
			}
		})
	}

	l.now = l.now.Add(time.Minute)
	l.home = func(r *request) *answer { return l.tells(r, &told{Position: 120, Operator: account}, true) }
	if err := e.PullIdentities(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if h := l.State().Home(); h.Position != 120 || h.CurrentAt != l.now.UnixMilli() || !l.asked[len(l.asked)-1].Sign {
		t.Errorf("what is signed is not noted: %+v", h)
	}
	if err := e.PullIdentities(t.Context(), false); err != nil || l.asked[len(l.asked)-1].Sign {
		t.Errorf("a signature is asked for that nothing depends on: %v", err)
	}

	// That a region follows the home, or does not any more, is taken over at once, and recorded.
	var recorded []string
	e.cfg.IdentitiesSynchronized = func(c *fsm.SyncIdentities, rows int) []byte {
		recorded = append(recorded, fmt.Sprint(len(c.Followers), rows))
		return []byte("{}")
	}
	for n, followers := range [][]fsm.Follower{sibling, sibling, nil, nil} {
		l.home = func(r *request) *answer {
			return l.tells(r, &told{Position: 130 + uint64(n), Operator: account, Followers: followers}, true)
		}
		if err := e.PullIdentities(t.Context(), false); err != nil || !fsm.EqualFollowers(l.State().Home().Followers, followers) {
			t.Errorf("step %d: home %+v: %v", n, l.State().Home(), err)
		}
	}
	if strings.Join(recorded, ",") != "1 0,0 0" {
		t.Errorf("recorded: %v", recorded)
	}
	for _, bad := range [][]fsm.Follower{{sibling[0], sibling[0]}, {{Name: "sa-east-1"}}, make([]fsm.Follower, 100)} {
		l.home = func(r *request) *answer {
			return l.tells(r, &told{Position: 140, Operator: account, Followers: bad}, true)
		}
		if err := e.PullIdentities(t.Context(), false); err == nil || l.State().Home().Followers != nil {
			t.Errorf("%v is taken over: %v", bad, err)
		}
	}
}

// TestPartsNameTheSameFollowers: parts that say different things of who follows are not parts of one state.
func TestPartsNameTheSameFollowers(t *testing.T) {
	l, e := newFollowerLab(t)
	l.home = func(r *request) *answer {
		tell := &told{Position: 120, Full: true, Operator: account, Rows: fsm.IdentityRows{Accounts: []fsm.Account{{ID: account, Version: 1}}}}
		if r.Cursor != nil {
			tell.Followers = []fsm.Follower{{Name: "sa-east-1", Key: make([]byte, 32)}}
		}
		a := l.tells(r, tell, true)
		if r.Cursor == nil {
			a.Next = []byte{1}
		}
		return a
	}
	if _, err := e.Identities(t.Context(), followed, true); err == nil || !strings.Contains(err.Error(), "parts of different states") {
		t.Error(err)
	}
}

// TestHomeNamesWhoFollows: a home names the regions that follow it with its operator's consent, and nobody that merely says so, in all that
// it signs, and signs unasked when that has changed.
func TestHomeNamesWhoFollows(t *testing.T) {
	const intruder = "sa-east-1"
	l, e := newFollowerLab(t)
	propose := func(bodies ...fsm.Body) {
		t.Helper()
		for _, body := range bodies {
			if res, err := l.Propose(t.Context(), command(l.State(), body)); err != nil || res.Code != fsm.OK {
				t.Fatalf("%T: %+v, %v", body, res, err)
			}
		}
	}
	propose(&fsm.ReleaseHome{Home: followed}, &fsm.AllowFollower{Region: followed, Allow: true}, &fsm.PutOtherRegion{Region: fsm.OtherRegion{
		Name: intruder, ClusterID: "e", Incarnation: 7, CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{2}, State: fsm.RegionFederated,
	}})
	serve := func(from string, r *request) (*answer, error) {
		t.Helper()
		r.Version, r.Incarnation, r.Home, r.Nonce = version, 7, "us-east-1", make([]byte, nonceSize)
		b, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if b, err = e.Serve(t.Context(), from, b); err != nil {
			return nil, err
		}
		return decodeAnswer(b)
	}
	ask := func(r *request) (names string, signed bool, at uint64) {
		t.Helper()
		a, err := serve(followed, r)
		if err != nil {
			t.Fatal(err)
		}
		tell, err := decodeTold(a.Told)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range tell.Followers {
			names += f.Name + " "
		}
		return names, a.Signature != nil, tell.Position
	}
	ask(&request{Kind: kindIdentities, Full: true}) // follows from now on
	names, signed, at := ask(&request{Kind: kindIdentities, Full: true})
	if names != followed+" " || !signed {
		t.Fatalf("the home names %q, signed %v", names, signed)
	}
	since := func(sign bool) *request {
		return &request{Kind: kindIdentities, PositionIn: l.State().Region().Incarnation(), Position: at, Sign: sign}
	}
	for _, r := range []*request{{Kind: kindPull}, {Kind: kindPoke}, {Kind: kindIdentities, Full: true}} {
		if _, err := serve(intruder, r); (err == nil) == (r.Kind == kindIdentities) {
			t.Errorf("a request of kind %d: %v", r.Kind, err)
		}
	}
	if names, signed, _ := ask(since(false)); names != "" || signed {
		t.Errorf("after somebody who may not follow said it does, the home names %q, signed %v", names, signed)
	}
	if names, _, _ := ask(since(true)); names != followed+" " {
		t.Errorf("what is signed names %q", names)
	}
	propose(&fsm.AllowFollower{Region: intruder, Allow: true}, &fsm.PutFollower{Region: intruder, Incarnation: 7, Follows: true})
	if names, signed, _ = ask(since(false)); names != followed+" "+intruder+" " || !signed {
		t.Errorf("with another one the home names %q, signed %v", names, signed)
	}
	if _, _, at = ask(since(true)); at != l.State().Index() {
		t.Errorf("position %d", at)
	}
	propose(&fsm.AllowFollower{Region: intruder})
	if names, signed, _ = ask(since(false)); names != followed+" " || !signed {
		t.Errorf("without the other one the home names %q, signed %v", names, signed)
	}
}

// TestAnswersEnd: a home that does not come to an end is not listened to for ever.
func TestAnswersEnd(t *testing.T) {
	l, e := newFollowerLab(t)
	row := fsm.IdentityRows{Accounts: []fsm.Account{{ID: account, Version: 1}}}
	for _, c := range []struct {
		name  string
		most  int
		wants string
		rows  fsm.IdentityRows
	}{
		{"empty parts", 1, "empty part", fsm.IdentityRows{}},
		{"parts without end", fsm.MaxIdentityParts, "more parts", row},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l.asked = nil
			l.home = func(r *request) *answer {
				if len(l.asked) > c.most {
					cancel()
				}
				a := l.tells(r, &told{Position: 100, Full: true, Operator: account, Rows: c.rows}, true)
				a.Next = binary.BigEndian.AppendUint64(nil, uint64(len(l.asked)))
				return a
			}
			if _, err := e.Identities(ctx, followed, true); err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("%d parts were asked for: %v", len(l.asked), err)
			}
		})
	}
}

// TestHeldStatesAreLetGo: a state that is told in parts to a region which has stopped asking is not kept.
func TestHeldStatesAreLetGo(t *testing.T) {
	l, e := newFollowerLab(t)
	e.hold("a", l.State())
	e.hold("b", l.State())
	e.sweepHeld(time.Now())
	if len(e.held) != 2 {
		t.Errorf("%d states are held", len(e.held))
	}
	e.sweepHeld(time.Now().Add(holdFor + time.Second))
	if len(e.held) != 0 {
		t.Errorf("%d states are held that nobody has asked for", len(e.held))
	}
	e.hold("a", l.State())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e.cfg.Identities = nil
	e.Run(ctx)
	if len(e.held) != 0 {
		t.Error("a node that does not lead any more holds a state")
	}
}

// TestAdoptingRegionFollows: a region that has asked for all identities in order to adopt this one follows it, although its other requests do
// not say so yet; one that has said so and does not any more follows no longer.
func TestAdoptingRegionFollows(t *testing.T) {
	l, e := newFollowerLab(t)
	for _, body := range []fsm.Body{&fsm.ReleaseHome{Home: followed}, &fsm.AllowFollower{Region: followed, Allow: true}} {
		if err := e.propose(t.Context(), body); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(r *request, follows bool) {
		t.Helper()
		r.Version, r.Incarnation, r.Nonce = version, 7, make([]byte, nonceSize)
		b, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Serve(t.Context(), followed, b); err != nil {
			t.Fatal(err)
		}
		if got := l.State().OtherRegion(followed).Follows; got != follows {
			t.Fatalf("follows: %v", got)
		}
	}
	ask(&request{Kind: kindIdentities, Full: true, Look: true}, false)
	ask(&request{Kind: kindIdentities, Full: true}, true)
	ask(&request{Kind: kindPull}, true)
	e.adopting[followed] = time.Now().Add(-adoptFor)
	ask(&request{Kind: kindPull}, false)
	ask(&request{Kind: kindIdentities, Full: true}, true)
	ask(&request{Kind: kindPull, Home: "us-east-1"}, true)
	ask(&request{Kind: kindPull}, false)
}
