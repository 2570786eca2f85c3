package region

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/link"
)

// federated is a region of one node with its place among the other regions.
type federated struct {
	*memberLab
	*Regions
	audit *auditTrail
	end   func() // stops the region
}

// auditTrail is what operators did.
type auditTrail struct{ names []string }

func newFederated(t *testing.T, name, clusterID string) *federated {
	l := newRegionLab(t, name, clusterID)
	f := &federated{memberLab: l, audit: &auditTrail{}}
	f.join(RegionsConfig{}, func(context.Context) {})
	return f
}

// join takes the region's last node's place among those of other regions, and runs what else is to be run.
func (f *federated) join(cfg RegionsConfig, also func(context.Context)) {
	n := f.nodes[len(f.nodes)-1]
	n.members.service.cfg.RecordOperator = func(ev OperatorEvent) []byte {
		f.audit.names = append(f.audit.names, ev.Name+" "+ev.Details[0].Value)
		return []byte(ev.Name)
	}
	f.Regions = NewRegions(n.members, n.wire, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.Follow(ctx) })
	running.Go(func() { f.Speak(ctx) })
	running.Go(func() { also(ctx) })
	f.end = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		f.Close()
	})
	f.t.Cleanup(f.end)
}

// long is a context for a whole test: three regions make their keys, on a slow machine.
func (f *federated) long() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	f.t.Cleanup(cancel)
	return ctx
}

// state is the state in which this region has another one, "" if it does not know it.
func (f *federated) state(of *federated) string {
	f.t.Helper()
	st, err := f.service.View(f.long())
	if err != nil {
		f.t.Fatal(err)
	}
	if o := st.OtherRegion(of.region); o != nil {
		return stateName(o.State)
	}
	return ""
}

func (f *federated) tokenFor(of *federated) string {
	f.t.Helper()
	text, _, err := f.NewToken(f.long(), of.region, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

func (f *federated) info(of *federated) RegionInfo {
	f.t.Helper()
	all, err := f.List(f.long())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, r := range all {
		if r.Region == of.region {
			return r
		}
	}
	return RegionInfo{}
}

// TestFederation lets three regions come together and part again, step by step.
func TestFederation(t *testing.T) {
	a, b, c := newFederated(t, "us-east-1", "cluster-a"), newFederated(t, "eu-west-1", "cluster-b"), newFederated(t, "ap-south-1", "cluster-c")
	ctx := a.long()

	t.Run("tokens", func(t *testing.T) { tokensAreRefused(t, a, b, c) })

	text := a.tokenFor(b)
	out, err := b.Accept(ctx, text, true)
	if err != nil || len(out.Regions) != 1 || out.Regions[0].Region != a.region || out.Regions[0].Authority != a.info(a).Authority {
		t.Fatalf("dry run: %+v, %v", out, err)
	}
	if a.state(b) != "" || b.state(a) != "" {
		t.Fatalf("a dry run has changed something: %q, %q", a.state(b), b.state(a))
	}
	for range 2 { // the second time is that of a region which missed the answer
		if _, err := b.Accept(ctx, text, false); err != nil {
			t.Fatal(err)
		}
	}
	if a.state(b) != "federated" || b.state(a) != "federated" {
		t.Fatalf("after accept: %q, %q", a.state(b), b.state(a))
	}
	a.until("the leaders reach each other", func() bool {
		_, err := a.Link().Call(ctx, b.region, nil)
		var refusal *link.Refusal
		return errors.As(err, &refusal) && strings.Contains(refusal.Text, "serves no such request") // the one that no handler is set for
	})

	// The third region federates with one; the other one is introduced, and consents by itself.
	if out, err = c.Accept(ctx, a.tokenFor(c), false); err != nil || len(out.Regions) != 2 || out.Regions[1].State != "pending" {
		t.Fatalf("third region: %+v, %v", out, err)
	}
	b.until("the third region is introduced", func() bool { return b.state(c) == "introduced" })
	var logged bytes.Buffer
	log, told := slog.New(slog.NewTextHandler(&logged, nil)), map[string]*reminder{}
	b.remind(log, time.Now(), told)
	b.remind(log, time.Now().Add(remindAfter-time.Minute), told)
	if logged.Len() > 0 {
		t.Errorf("said at once: %s", logged.String())
	}
	for range 2 { // once
		b.remind(log, time.Now().Add(remindAfter), told)
	}
	if line := logged.String(); strings.Count(line, "WARN") != 1 || !strings.Contains(line, `command="trent operator federate confirm `+c.region) {
		t.Errorf("that a region waits for consent: %s", line)
	}
	if info := b.info(c); info.By != a.region || info.Authority != c.info(c).Authority {
		t.Errorf("introduced: %+v", info)
	}
	if _, err := c.Link().Control(ctx, b.region, nil); !errors.Is(err, link.ErrUnreachable) && !errors.Is(err, link.ErrUnknownRegion) {
		t.Errorf("a region was heard before its operator's consent: %v", err)
	}
	if _, err := c.Link().Call(ctx, b.region, nil); !errors.Is(err, link.ErrUnknownRegion) {
		t.Errorf("a region that has not consented was called: %v", err)
	}
	if err := b.Confirm(ctx, c.region); err != nil {
		t.Fatal(err)
	}
	b.until("both have consented", func() bool { return b.state(c) == "federated" && c.state(b) == "federated" })

	var night []*fsm.State
	for _, f := range []*federated{a, b, c} {
		night = append(night, f.nodes[0].node.State())
	}

	t.Run("descriptions", func(t *testing.T) { descriptionsAreRefused(t, a, b) })

	// Two part.
	if err := a.Unfederate(ctx, b.region); err != nil {
		t.Fatal(err)
	}
	a.until("what is open is closed", func() bool {
		_, err := b.Link().Control(ctx, a.region, []byte("{}"))
		return errors.Is(err, link.ErrUnreachable)
	})
	if a.state(b) != "introduced" { // by the third one, which is federated with both: that needs consent again
		a.until("it is introduced again", func() bool { return a.state(b) == "introduced" })
	}
	t.Run("forget", func(t *testing.T) { forgetRegion(t, a, b, c) })
	t.Run("restored together", func(t *testing.T) { restoredTogether(t, a, b, c, night) })
	all := strings.Join(a.audit.names, ", ")
	for _, want := range []string{"CreateFederationToken eu-west-1", "FederateRegion eu-west-1", "UnfederateRegion eu-west-1", "ConfirmRegion eu-west-1", "ForgetRegion ap-south-1"} {
		if !strings.Contains(all, want) {
			t.Errorf("no audit record of %s in %s", want, all)
		}
	}
}

// tokensAreRefused tries tokens that are not good for what they are used for.
func tokensAreRefused(t *testing.T, a, b, c *federated) {
	ctx := a.long()
	text := a.tokenFor(b)
	if _, err := c.Accept(ctx, text, false); err == nil || !strings.Contains(err.Error(), "for region eu-west-1") {
		t.Errorf("a token for another region: %v", err)
	}
	change := func(f func(*federationToken)) string {
		tok, err := parseFederationToken(text)
		if err != nil {
			t.Fatal(err)
		}
		f(tok)
		changed, err := tok.reveal()
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	for _, bad := range []struct{ what, token, want string }{
		{"another secret", change(func(t *federationToken) { t.Secret[3] ^= 1 }), "unknown, expired or used"},
		{"another authority", change(func(t *federationToken) { t.Pin[3] ^= 1 }), "does not belong to the region"},
		{"made for another region", change(func(t *federationToken) { t.For = "sa-east-1" }), "for region sa-east-1"},
		{"of another name", change(func(t *federationToken) { t.From = "sa-east-1" }), "answered the token"},
		{"cut off", text[:len(text)-9], "copy all of it"},
		{"a node's token", "trent-join-1.AAAA", "copy all of it"},
	} {
		if _, err := b.Accept(ctx, bad.token, true); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %q", bad.what, err, bad.want)
		}
	}
	// The certificate must be of the authority that is described.
	self, _, err := c.describe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := parseFederationToken(a.tokenFor(c))
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(exchangeRequest{Secret: tok.Secret, Self: *self})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Link().Exchange(ctx, a.region, tok.Addresses, [32]byte(tok.Pin), request); err == nil {
		t.Error("a region federated under the description of another one")
	}
	if a.state(c) != "" || a.state(b) != "" {
		t.Errorf("something was federated: %q %q", a.state(c), a.state(b))
	}
}

// descriptionsAreRefused has b say of itself what a must not take.
func descriptionsAreRefused(t *testing.T, a, b *federated) {
	ctx := a.long()
	_, d, err := b.describe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	st, err := b.service.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(change func(*description)) *hello {
		other := *d
		change(&other)
		body, err := json.Marshal(other)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := b.service.signRegion(ctx, st, purposeDescription, body)
		if err != nil {
			t.Fatal(err)
		}
		return &hello{Self: signedDescription{body, signature}}
	}
	forged := sign(func(*description) {})
	forged.Self.Description = []byte(strings.Replace(string(forged.Self.Description), `"eu-west-1"`, `"eu-west-2"`, 1))
	for _, bad := range []struct {
		what, want string
		said       *hello
	}{
		{"changed after it was signed", "signature is not", forged},
		{"another region's name", "describes itself as", sign(func(d *description) { d.Name = "eu-west-2" })},
		{"an earlier life", "earlier life", sign(func(d *description) { d.Incarnation-- })},
		{"another group in the same life", "earlier life", sign(func(d *description) { d.ClusterID = "cluster-x" })},
		{"no address", "addresses", sign(func(d *description) { d.Addresses = nil })},
		{"an address that is none", "host:port", sign(func(d *description) { d.Addresses = []string{"nowhere"} })},
		{"a transport key that is none", "transport key", sign(func(d *description) { d.Transport = d.Signing })},
		{"an authority that is none", "authority", sign(func(d *description) { d.CA = []byte{1} })},
	} {
		if err := a.heard(ctx, b.region, bad.said); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %q", bad.what, err, bad.want)
		}
	}
	if err := a.heard(ctx, b.region, sign(func(d *description) { d.Addresses = []string{"192.0.2.1:1"} })); err != nil {
		t.Errorf("a new address: %v", err)
	}
	if got := a.info(b).Addresses; len(got) != 1 || got[0] != "192.0.2.1:1" {
		// The region may have said already where it really is.
		if len(got) != 1 || got[0] != d.Addresses[0] {
			t.Errorf("addresses: %v", got)
		}
	}
}

// forgetRegion gives a region up in two others.
func forgetRegion(t *testing.T, a, b, c *federated) {
	ctx := a.long()
	if err := a.Confirm(ctx, b.region); err != nil {
		t.Fatal(err)
	}
	a.until("the two are federated again", func() bool { return a.state(b) == "federated" && a.info(b).Reachable })
	out, err := a.ForgetRegion(ctx, c.region, true, false)
	if err != nil || out.Fence == 0 || a.state(c) != "federated" {
		t.Fatalf("dry run: %+v, %v, %s", out, err, a.state(c))
	}
	a.until("the region is heard", func() bool { return a.info(c).Reachable })
	if _, err := a.ForgetRegion(ctx, c.region, false, false); !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "reachable") {
		t.Errorf("a region that is there was forgotten: %v", err)
	}
	if out, err = a.ForgetRegion(ctx, c.region, false, true); err != nil || a.state(c) != "forgotten" {
		t.Fatalf("%+v, %v", out, err)
	}
	b.until("the other region hears of it", func() bool { f := b.info(c).ForgottenBy; return f != nil && f.Region == a.region })
	if b.state(c) != "federated" {
		t.Errorf("it was forgotten without its operator: %s", b.state(c))
	}
	still := []string{b.region}
	if in := a.info(c).StillKnownBy; !slices.Equal(in, still) || !slices.Equal(out.Elsewhere, still) ||
		!slices.Equal(a.Unforgotten()[c.region], still) || !slices.Equal(b.Unforgotten()[c.region], still) {
		t.Errorf("it has still to be forgotten in %v, %v, %v, %v", in, out.Elsewhere, a.Unforgotten(), b.Unforgotten())
	}
	if again, err := a.ForgetRegion(ctx, c.region, false, false); err != nil || !slices.Equal(again.Elsewhere, still) {
		t.Errorf("forgotten again: %+v, %v", again, err)
	}
	var logged bytes.Buffer
	log, told := slog.New(slog.NewTextHandler(&logged, nil)), map[string]*reminder{}
	now := time.Now()
	a.remind(log, now, told)
	a.remind(log, now.Add(remindAfter-1), told)
	if logged.Len() > 0 {
		t.Errorf("said before the others had the time to tell: %s", logged.String())
	}
	for range 2 { // once
		a.remind(log, now.Add(remindAfter), told)
	}
	if line := logged.String(); strings.Count(line, "WARN") != 1 || !strings.Contains(line, "in="+b.region) || !strings.Contains(line, `command="trent operator region forget `+c.region) {
		t.Errorf("the log says %s", line)
	}
	logged.Reset()
	again, err := b.ForgetRegion(ctx, c.region, false, true)
	if err != nil || again.Fence != out.Fence || len(again.Elsewhere) > 0 {
		t.Errorf("fences %d and %d, still to be forgotten in %v, %v", out.Fence, again.Fence, again.Elsewhere, err)
	}
	// How many regions the other one has forgotten comes with the synchronization of keys.
	for _, pair := range [][2]*federated{{a, b}, {b, a}} {
		body := &fsm.MarkFeed{Region: pair[1].region, Incarnation: pair[0].info(pair[1]).Incarnation, Heard: true, HeardIn: pair[0].info(pair[0]).Incarnation, Forgets: 1}
		if err := pair[0].service.proposeSetup(ctx, body); err != nil {
			t.Fatal(err)
		}
		if in := pair[0].info(c).StillKnownBy; len(in) > 0 || len(pair[0].Unforgotten()[c.region]) > 0 {
			t.Errorf("it was forgotten everywhere, and has still to be in %v", in)
		}
	}
	if a.remind(log, now.Add(2*remindAfter), told); !strings.Contains(logged.String(), "level=INFO") {
		t.Errorf("that it is forgotten everywhere: %s", logged.String())
	}
	if _, err := c.Accept(ctx, a.tokenFor(c), false); err == nil || !strings.Contains(err.Error(), "forgotten") {
		t.Errorf("a forgotten region came back in the same life: %v", err)
	}
	if err := a.Unfederate(ctx, a.region); !errors.Is(err, ErrUnknownRegion) || !strings.Contains(err.Error(), "is this region") {
		t.Errorf("with itself: %v", err)
	}
	if err := a.Unfederate(ctx, "sa-east-1"); !errors.Is(err, ErrUnknownRegion) {
		t.Error(err)
	}
}

func TestFederationTokenTellsNothing(t *testing.T) {
	tok := &federationToken{From: "us-east-1", For: "eu-west-1", Pin: make([]byte, 32), Addresses: []string{"a:1"}, Secret: []byte(strings.Repeat("s", 32))}
	text, err := tok.reveal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := parseFederationToken(" " + text + "\n")
	if err != nil || string(back.Secret) != string(tok.Secret) {
		t.Fatalf("%v, %v", back, err)
	}
	if s := tok.String() + tok.GoString(); strings.Contains(s, "sss") {
		t.Error("the token prints its secret")
	}
}

func FuzzFederationToken(f *testing.F) {
	tok := &federationToken{From: "us-east-1", For: "eu-west-1", Pin: make([]byte, 32), Addresses: []string{"a:1"}, Secret: make([]byte, 32)}
	text, err := tok.reveal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := parseFederationToken(text)
		if err != nil {
			return
		}
		again, err := tok.reveal()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseFederationToken(again); err != nil || back.For != tok.For || back.From != tok.From {
			t.Errorf("%q is read as %v and written as %q", text, tok, again)
		}
	})
}

func FuzzDescription(f *testing.F) {
	f.Add([]byte(`{"name":"eu-west-1","clusterId":"c","incarnation":1,"addresses":["a:1"],"ca":"MA==","transport":"MA==","signing":"MA=="}`), []byte{1})
	f.Fuzz(func(t *testing.T, body, signature []byte) {
		s := signedDescription{Description: body, Signature: signature}
		if d, err := s.open(); err == nil { // nobody has that key
			t.Errorf("taken: %+v", d)
		}
	})
}
