package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/link/linktest"
	"github.com/trentkms/trent/region/shape"
)

// decideIn performs operators' acts in a region for those that follow it.
func decideIn(l *clockLab) func(context.Context, string, []byte) ([]byte, error) {
	return func(ctx context.Context, from string, b []byte) ([]byte, error) {
		var r actRequest
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, err
		}
		return l.service.PerformAct(ctx, from, r.RequestID, r.Act)
	}
}

// TestIdentitiesFollowTheirHome does everything with one pair of regions, since making one takes seconds. What loses a region comes last.
func TestIdentitiesFollowTheirHome(t *testing.T) {
	f := newRegionsLab(t, regionA, regionB)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"adopted", f.homeAdopted}, {"decided at home", f.decidedAtHome}, {"bad network", f.homeOverBadNetwork}, {"many", f.manyIdentities},
		{"cut off", f.homeCutOff}, {"restored follower", f.followerRestored}, {"restored home", f.homeRestored}, {"forgotten", f.homeForgotten},
	} {
		if !t.Run(part.name, func(t *testing.T) { f.t = t; part.run(t) }) {
			return
		}
	}
}

func (f *regionsLab) state(region string) *fsm.State { return f.labs[region].node.State() }

// inStep waits until the follower has what the home has.
func (f *regionsLab) inStep() {
	f.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for f.state(regionA).IdentityDigest() != f.state(regionB).IdentityDigest() {
		if time.Now().After(deadline) {
			f.t.Fatalf("not in step: home %+v, at index %d", f.state(regionB).Home(), f.state(regionA).Index())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (f *regionsLab) newUser(region, name string) *User {
	f.t.Helper()
	out, err := perform(f.labs[region], "CreateUser", (*Service).CreateUser, &CreateUserInput{Path: "/", UserName: name})
	return must(f.labs[region], out, err).User
}

func (f *regionsLab) newAccessKey(region, user string) *AccessKey {
	f.t.Helper()
	out, err := perform(f.labs[region], "CreateAccessKey", (*Service).CreateAccessKey, &CreateAccessKeyInput{UserName: shape.Some(user)})
	return must(f.labs[region], out, err).AccessKey
}

// opens tells whether a region opens an access key to its secret.
func (f *regionsLab) opens(region, id string, want shape.Secret) {
	f.t.Helper()
	st := f.state(region)
	row := st.AccessKey(id)
	if row == nil {
		f.t.Fatalf("region %s has no access key %s", region, id)
	}
	got, err := f.labs[region].service.AccessSecret(f.t.Context(), st, row)
	if err != nil || !got.Equal(want) {
		f.t.Fatalf("the secret of access key %s differs in region %s: %v", id, region, err)
	}
}

func (f *regionsLab) homeAdopted(t *testing.T) {
	b := f.labs[regionB].service
	f.newUser(regionA, "ann")
	ak := f.newAccessKey(regionA, "ann")
	f.newUser(regionB, "bob")
	key := f.labs[regionB].createKey().KeyID

	if _, err := b.AdoptHome(t.Context(), regionA, true, false); err == nil || !strings.Contains(err.Error(), "share "+regionB) {
		t.Fatalf("identities are told without consent: %v", err)
	}
	made, err := b.CreateAccount(t.Context(), "000000000001")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := b.others.Decide(t.Context(), regionA, []byte(`{"act":{"name":"CreateAccount","account":"000000000002"}}`)); err == nil {
		t.Fatal("a region decides for another one that may not follow it")
	}
	if err := f.labs[regionA].service.ShareIdentities(t.Context(), regionB, true); err != nil {
		t.Fatal(err)
	}
	out, err := b.AdoptHome(t.Context(), regionA, true, false)
	if err != nil || len(out.Vanish) != 3 || f.state(regionB).Home() != nil {
		t.Fatalf("dry run: %+v, %v", out, err)
	}
	if said := fmt.Sprint(&out.Vanish[0], ", ", &out.Vanish[1], ", ", &out.Vanish[2]); said != "root access key "+made.AccessKeyID+
		" of the root user of account 000000000001, account 000000000001, user arn:aws:iam::"+labAccount+":user/bob" {
		t.Errorf("dry run: %s", said)
	}
	if f.state(regionA).OtherRegion(regionB).Follows {
		t.Error("a dry run has made the region a follower")
	}
	if _, err := b.AdoptHome(t.Context(), regionA, false, false); !errors.Is(err, ErrVanish) || !strings.Contains(err.Error(), "user/bob") {
		t.Fatalf("adopted although a user vanishes: %v", err)
	}
	if _, err := b.AdoptHome(t.Context(), regionA, false, true); err != nil {
		t.Fatal(err)
	}
	f.inStep()
	st := f.state(regionB)
	if st.IdentityNamed(labAccount, fsm.IdentityUser, "ann") == nil || st.IdentityNamed(labAccount, fsm.IdentityUser, "bob") != nil {
		t.Error("the users are not the home's")
	}
	f.opens(regionB, ak.AccessKeyID, ak.SecretAccessKey)
	if st.Key(labAccount, key) == nil || st.Account(labAccount).KeyCount != 1 {
		t.Error("keys of the region are touched")
	}
	if b.OperatorAccount(st) != labAccount {
		t.Error("the operator's account is not the home's")
	}
	if _, err := b.AdoptHome(t.Context(), regionA, false, false); err == nil {
		t.Error("adopted twice")
	}
	if _, err := f.labs[regionA].service.AdoptHome(t.Context(), regionB, false, true); err == nil {
		t.Error("a home follows the region that follows it")
	}
	if _, err := perform(f.labs[regionB], "CreateUser", (*Service).CreateUser, &CreateUserInput{Path: "/", UserName: "eve"}); err == nil {
		t.Error("an identity was made in a region that is not its home")
	}
}

// decidedAtHome: what operators do in the follower is done at home, and known to the follower when it is answered.
func (f *regionsLab) decidedAtHome(t *testing.T) {
	b := f.labs[regionB].service
	var recorded []OperatorEvent
	f.labs[regionA].service.cfg.RecordOperator = func(ev OperatorEvent) []byte {
		recorded = append(recorded, ev) // before the act is answered
		return []byte(`{}`)
	}
	const request = "01234567-89ab-4def-8123-456789abcdef"
	who := WithAsker(t.Context(), Asker{By: "arn:aws:iam::111122223333:user/ann", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", RequestID: request})
	made, err := b.CreateAccount(who, "444455556666")
	if err != nil {
		t.Fatal(err)
	}
	if len(recorded) != 2 || fmt.Sprint(recorded[0].Details[2:]) != "[{receivedInRegion eu-west-1} {requestedBy arn:aws:iam::111122223333:user/ann} "+
		"{requestedByAccessKeyId AKIAIOSFODNN7EXAMPLE} {receivedRequestId "+request+"}]" {
		t.Errorf("recorded at home: %+v", recorded)
	}
	f.actsAreHeldToTheirForm(t)
	if f.state(regionA).Account("444455556666") == nil {
		t.Error("the account is not at home")
	}
	f.opens(regionB, made.AccessKeyID, shape.NewSecret([]byte(made.SecretAccessKey)))
	if _, err := b.CreateAccount(t.Context(), "444455556666"); !errors.Is(err, ErrAccountExists) {
		t.Errorf("the same account again: %v", err)
	}
	service, err := b.RegisterService(WithAsker(t.Context(), Asker{By: "admin socket of node node-1"}), "ssm")
	if err != nil {
		t.Fatal(err)
	}
	if last := recorded[len(recorded)-1]; last.Name != "CreateService" || fmt.Sprint(last.Details[2:]) != "[{receivedInRegion eu-west-1} {requestedBy admin socket of node node-1}]" {
		t.Errorf("recorded at home: %+v", last)
	}
	f.opens(regionA, service.AccessKeys[0].AccessKeyID, shape.NewSecret([]byte(service.AccessKeys[0].SecretAccessKey)))
	if !b.Registered(f.state(regionB), "ssm.amazonaws.com") {
		t.Error("the service is not known where it was registered")
	}
	if err := b.DeleteService(t.Context(), "ssm", ""); err != nil || b.Registered(f.state(regionB), "ssm.amazonaws.com") {
		t.Errorf("delete the service: %v", err)
	}
	if err := b.PutRootAccessKey(t.Context(), labAccount, "AKIANEW", shape.NewSecret([]byte("s"))); err == nil || !strings.Contains(err.Error(), regionA) {
		t.Errorf("root credentials made in a region that is not the home: %v", err)
	}
}

// actsAreHeldToTheirForm: what a region says of who has asked there is a text of the form that nodes give it, or the act is refused.
func (f *regionsLab) actsAreHeldToTheirForm(t *testing.T) {
	home := f.labs[regionA].service
	const id = "ACTABCDEFGHIJKLMNOPQ"
	for _, c := range []struct {
		name, id string
		asker    *Asker
		good     bool
	}{
		{"of a region that does not say who", id, nil, true},
		{"of a user", id, &Asker{By: "arn:aws:iam::111122223333:user/ann", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", RequestID: "01234567-89ab-4def-8123-456789abcdef"}, true},
		{"without an id", "", nil, false},
		{"with an id of its own", "ACTABCDEFGHIJKLMNOP\n", nil, false},
		{"of nobody", id, &Asker{}, false},
		{"of a text without end", id, &Asker{By: strings.Repeat("a", 2000)}, false},
		{"of two lines", id, &Asker{By: "a\nb"}, false},
		{"of what is no text", id, &Asker{By: "\xff"}, false},
		{"with an access key that is none", id, &Asker{By: "a", AccessKeyID: "AKIA\"}"}, false},
		{"with a request that is none", id, &Asker{By: "a", RequestID: "1"}, false},
	} {
		reply, err := home.PerformAct(t.Context(), regionB, c.id, &IdentityAct{Name: "DeleteService", Service: "none", Asker: c.asker})
		if (err == nil) != c.good || c.good && !strings.Contains(string(reply), ErrNoService.Error()) {
			t.Errorf("an act %s: %s, %v", c.name, reply, err)
		}
	}
}

// homeOverBadNetwork changes identities while messages are lost, repeated and overtake each other.
func (f *regionsLab) homeOverBadNetwork(t *testing.T) {
	f.net.SetFaults(linktest.Faults{LoseRequest: 0.2, LoseAnswer: 0.2, Duplicate: 0.3, Delay: 10 * time.Millisecond})
	defer f.net.SetFaults(linktest.Faults{})
	var last *AccessKey
	for i := range 10 {
		name := fmt.Sprint("user-", i)
		f.newUser(regionA, name)
		last = f.newAccessKey(regionA, name)
		if i%2 == 0 {
			_, err := perform(f.labs[regionA], "DeleteAccessKey", (*Service).DeleteAccessKey, &DeleteAccessKeyInput{UserName: shape.Some(name), AccessKeyID: last.AccessKeyID})
			must(f.labs[regionA], last, err)
			_, err = perform(f.labs[regionA], "DeleteUser", (*Service).DeleteUser, &DeleteUserInput{UserName: name})
			must(f.labs[regionA], last, err)
		}
	}
	f.net.SetFaults(linktest.Faults{LoseRequest: 0.1, Duplicate: 0.3, Delay: 5 * time.Millisecond})
	f.inStep()
	f.opens(regionB, last.AccessKeyID, last.SecretAccessKey)
}

// manyIdentities: what does not fit into one message is taken over at once all the same.
func (f *regionsLab) manyIdentities(t *testing.T) {
	f.net.Cut(regionA, regionB, true)
	document := `{"Version":"2012-10-17","Statement":[]` + strings.Repeat(" ", 30<<10) + `}`
	for i := range 24 {
		f.propose(regionA, &fsm.PutManagedPolicy{Policy: fsm.ManagedPolicy{
			Account: labAccount, ID: fmt.Sprint("ANPALARGE", i), Name: fmt.Sprint("large-", i), Path: "/", Default: 1, Last: 1,
			Versions: []fsm.PolicyVersion{{Number: 1, Document: document}},
		}})
	}
	f.net.Cut(regionA, regionB, false)
	f.inStep()
}

func (f *regionsLab) homeCutOff(t *testing.T) {
	l := f.labs[regionB]
	l.service.cfg.MaxIdentityStaleness = time.Hour
	defer func() { l.service.cfg.MaxIdentityStaleness = 0 }()
	f.net.Cut(regionA, regionB, true)
	if _, err := l.service.CreateAccount(t.Context(), "777788889999"); !errors.Is(err, fault.ServiceUnavailable) || !strings.Contains(fault.From(err).Message, regionA) {
		t.Errorf("decided without the home: %v", err)
	}
	if err := l.service.FreshIdentities(f.state(regionB)); err != nil {
		t.Errorf("identities are stale at once: %v", err)
	}
	l.pass(2 * time.Hour)
	if err := l.service.FreshIdentities(f.state(regionB)); !errors.Is(err, fault.ServiceUnavailable) || !strings.Contains(fault.From(err).Message, regionA) {
		t.Errorf("identities of two hours ago are believed: %v", err)
	}
	f.net.Cut(regionA, regionB, false)
	f.fresh()
}

// fresh waits until the follower's identities are fresh again.
func (f *regionsLab) fresh() {
	f.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := f.labs[regionB].service.FreshIdentities(f.state(regionB))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// followerRestored: a region that begins a new life believes no identity before it has heard from their home.
func (f *regionsLab) followerRestored(t *testing.T) {
	f.net.Cut(regionA, regionB, true)
	f.propose(regionB, &fsm.BeginIncarnation{Incarnation: f.state(regionB).Region().Incarnation() + 1, ClusterID: "restored"})
	if err := f.labs[regionB].service.FreshIdentities(f.state(regionB)); !errors.Is(err, fault.ServiceUnavailable) {
		t.Errorf("a restored region believes what it has: %v", err)
	}
	f.net.Cut(regionA, regionB, false)
	f.fresh()
	f.inStep()
}

func (f *regionsLab) homeRestored(t *testing.T) {
	f.propose(regionA, &fsm.BeginIncarnation{Incarnation: f.state(regionA).Region().Incarnation() + 1, ClusterID: "restored"})
	want := f.state(regionA).Region().Incarnation()
	f.newUser(regionA, "after")
	deadline := time.Now().Add(20 * time.Second)
	for f.state(regionB).Home().Incarnation != want {
		if time.Now().After(deadline) {
			t.Fatalf("the follower is at %+v", f.state(regionB).Home())
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.inStep()
}

// homeForgotten: the region goes on with the identities it has, and decides about them.
func (f *regionsLab) homeForgotten(t *testing.T) {
	before := f.state(regionB).Home()
	f.propose(regionB, &fsm.ForgetRegion{Name: regionA, Fence: 5_000_000})
	if f.state(regionB).Home() != nil {
		t.Fatal("a forgotten region is the home of identities")
	}
	f.newUser(regionB, "own")
	late := &fsm.SyncIdentities{
		Home: regionA, WasIn: before.Incarnation, Was: before.Position, Incarnation: before.Incarnation, Position: before.Position + 1, Full: true,
		Operator: labAccount, Parts: 1,
	}
	if err := f.labs[regionB].service.proposeSetup(t.Context(), late); err == nil || f.state(regionB).IdentityNamed(labAccount, fsm.IdentityUser, "own") == nil {
		t.Errorf("late news of a forgotten home is taken over: %v", err)
	}
}
