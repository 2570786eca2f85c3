package fsm

import (
	"reflect"
	"testing"
)

func TestRepeats(t *testing.T) {
	l := newRegion(t)
	first := l.command(newKey(account1, 1))
	index := l.apply(first).Index
	want := Result{Index: index, Objects: []string{keyID(1)}, Repeat: true}
	for _, c := range []struct {
		name   string
		change func(*Command)
		repeat bool
	}{
		{"very same request", func(*Command) {}, true},
		{"second attempt", func(c *Command) { c.Attempt, c.Signature = 2, [16]byte{9} }, true},
		{"after its documents have changed", func(c *Command) { c.Reads = []Read{{Doc: DocKey, Account: account1, Name: keyID(1), Version: 77}} }, true},
		{"first attempt, other signature", func(c *Command) { c.Signature = [16]byte{9} }, false},
		{"no signature", func(c *Command) { c.Signature = [16]byte{} }, false},
		{"another id", func(c *Command) { c.ID[0] ^= 1; c.Attempt = 2 }, false},
		{"no id", func(c *Command) { c.ID = CommandID{}; c.Attempt = 2 }, false},
	} {
		before, audit, events := l.state(), len(l.audit), len(l.events)
		again := first
		c.change(&again)
		again.Time += day
		r := l.apply(again)
		if c.repeat && !reflect.DeepEqual(r, want) {
			t.Errorf("%s: %+v, want %+v", c.name, r, want)
		}
		if !c.repeat && (r.Repeat || r.Detail != "the key id is taken") {
			t.Errorf("%s: %+v, want a command of its own", c.name, r)
		}
		l.untouched(before, audit, events)
	}
	// Refusals are not remembered: the same call may succeed later.
	refused := l.command(&SetDescription{ref1(2), "d"})
	l.apply(refused)
	l.ok(newKey(account1, 2))
	if r := l.apply(refused); r.Code != OK || r.Repeat {
		t.Errorf("a refused command, again: %+v", r)
	}
}

// An attempt that was held up on its way, at a leader that hung, and arrives after a later one has taken effect.
func TestLateFirstAttempt(t *testing.T) {
	for _, settles := range []bool{false, true} {
		l := newRegion(t)
		l.ok(newKey(account1, 1))
		first := l.command(&CreateAlias{account1, "alias/a", keyID(1)})
		third := first
		third.Attempt, third.Signature, third.Settles = 3, [16]byte{9}, settles
		if r := l.apply(third); r.Code != OK || r.Repeat {
			t.Fatalf("the third attempt: %+v", r)
		}
		l.ok(&DeleteAlias{account1, "alias/a", keyID(1)})
		rest := newLab(t) // which has it from a snapshot
		if err := rest.fsm.Restore(reader(snapshotOf(t, l.state()))); err != nil {
			t.Fatal(err)
		}
		rest.index = l.index
		for _, l := range []*lab{l, rest} {
			r := l.apply(first)
			if r.Repeat != settles || (l.state().Alias(account1, "alias/a") == nil) != settles {
				t.Errorf("settles %v: the first attempt after the third: %+v", settles, r)
			}
			if _, ok := l.state().Repeat(first.ID, 1, [16]byte{7}); ok != settles {
				t.Errorf("settles %v: a repeat in the view is %v", settles, ok)
			}
		}
	}
}

func TestNotRemembered(t *testing.T) {
	l := newRegion(t)
	access := l.command(&PutAccessKey{AccessKey{ID: "AKIA2", Account: account1, Principal: "root", Domain: 1, Secret: []byte("s")}})
	l.apply(access)
	if r := l.apply(access); r.Repeat || r.Code != OK {
		t.Errorf("an access key was remembered: %+v", r)
	}
	if _, ok := l.state().Remembered(access.ID); ok {
		t.Error("an access key is remembered")
	}
	anonymous := l.command(newKey(account1, 1))
	anonymous.ID = CommandID{}
	l.apply(anonymous)
	if _, ok := l.state().Remembered(CommandID{}); ok {
		t.Error("the id of zeros is remembered")
	}
}

func TestReadSets(t *testing.T) {
	key, alias := ref1(1), "alias/a"
	doc := func(d Doc, name string) Read { return Read{Doc: d, Account: account1, Name: name} }
	docs := map[Doc]Read{
		DocKeyPolicy: doc(DocKeyPolicy, key.ID), DocKeyTags: doc(DocKeyTags, key.ID), DocKeyAlias: doc(DocKeyAlias, key.ID),
		DocKey: doc(DocKey, key.ID), DocAlias: doc(DocAlias, alias), DocAccessKey: {Doc: DocAccessKey, Name: "AKIAROOT"}, DocAccount: {Doc: DocAccount, Account: account1},
		DocIdentity: {Doc: DocIdentity, Name: identityID(IdentityUser, 1)}, DocManagedPolicy: {Doc: DocManagedPolicy, Name: policyID(1)},
		DocOIDCProvider: doc(DocOIDCProvider, "idp.example/1"),
	}
	access := initBody().AccessKey
	for _, c := range []struct {
		name  string
		body  Body
		moves []Doc
	}{
		{"policy", &PutKeyPolicy{Key: key, Policy: "{}"}, []Doc{DocKeyPolicy, DocKey}},
		{"tags", &TagKey{key, []Tag{{"a", "b"}}}, []Doc{DocKeyTags, DocKey}},
		{"untag", &UntagKey{key, []string{"a"}}, []Doc{DocKeyTags, DocKey}},
		{"another alias of the key", &CreateAlias{account1, "alias/b", key.ID}, []Doc{DocKeyAlias, DocKey}},
		{"alias moves away", &UpdateAlias{account1, alias, key.ID, keyID(2)}, []Doc{DocKeyAlias, DocKey, DocAlias}},
		{"alias goes", &DeleteAlias{account1, alias, key.ID}, []Doc{DocKeyAlias, DocKey, DocAlias}},
		{"description", &SetDescription{key, "d"}, []Doc{DocKey}},
		{"access key", &PutAccessKey{access}, []Doc{DocAccessKey}},
		{"access key goes", &DeleteAccessKey{"AKIAROOT"}, []Doc{DocAccessKey}},
		{"account", &PutAccount{Account{ID: account1}}, []Doc{DocAccount}},
		{"counters of the account", newKey(account1, 3), nil},
		{"last use", &LastUsage{[]KeyUse{{account1, key.ID, 1, "Sign", "", ""}}}, nil},
		{"user", having(newUser(1), first1+4, func(i *Identity) { i.Attached = []string{policyID(1)} }), []Doc{DocIdentity}},
		{"user goes", &DeleteIdentity{identityID(IdentityUser, 1), first1 + 4}, []Doc{DocIdentity}},
		{"managed policy", changed(newPolicy(account1, 1), func(c *PutManagedPolicy) { c.Was = first1 + 3 }), []Doc{DocManagedPolicy}},
		{"provider", newProvider(account1, 1, first1+5), []Doc{DocOIDCProvider}},
		{"provider goes", &DeleteOIDCProvider{account1, "idp.example/1", first1 + 5}, []Doc{DocOIDCProvider}},
		{"another user with the policy", having(newUser(2), 0, func(i *Identity) { i.Attached = []string{policyID(1)} }), nil},
		{"another key", &PutKeyPolicy{Key: ref1(2), Policy: "{}"}, nil},
	} {
		l := newRegion(t)
		l.ok(newKey(account1, 1))
		l.ok(newKey(account1, 2))
		l.ok(&CreateAlias{account1, alias, key.ID})
		l.ok(newPolicy(account1, 1))
		l.ok(newUser(1))
		l.ok(newProvider(account1, 1, 0))
		view := l.state()
		l.ok(c.body)
		for d, read := range docs {
			read.Version = view.Version(read)
			if read.Version == 0 {
				t.Fatalf("document %d has no version", d)
			}
			cmd := l.command(&TermStart{"n"})
			cmd.Reads = []Read{read}
			want := OK
			for _, moved := range c.moves {
				if moved == d {
					want = Stale
				}
			}
			if r := l.apply(cmd); r.Code != want || r.Index != l.index {
				t.Errorf("%s, decided on document %d: %+v, want code %d", c.name, d, r, want)
			}
		}
	}
}

// A decision can rest on a document's absence.
func TestReadSetsOfAbsentDocuments(t *testing.T) {
	l := newRegion(t)
	for d := DocKeyPolicy; d <= lastDoc; d++ {
		r := Read{Doc: d, Account: "777788889999", Name: "x"}
		if v := l.state().Version(r); v != 0 {
			t.Errorf("document %d has version %d", d, v)
		}
		c := l.command(&TermStart{"n"})
		c.Reads = []Read{r}
		if got := l.apply(c).Code; got != OK {
			t.Errorf("document %d absent: code %d", d, got)
		}
		c = l.command(&TermStart{"n"})
		r.Version = 1
		c.Reads = []Read{r}
		if got := l.apply(c); got.Code != Stale || got.Detail != "a document of the read set has changed" {
			t.Errorf("document %d gone: %+v", d, got)
		}
	}
}
