package fsm

import (
	"slices"
	"strings"
	"testing"
)

func TestApplyCreateKey(t *testing.T) {
	runApply(t, []applyCase{
		{name: "adds", body: changed(newKey(account1, 1), func(c *CreateKey) {
			c.Key.Tags = []Tag{{"b", "2"}, {"a", "1"}}
			c.Key.AliasCount, c.Key.Version = 9, 9
		}), after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "tags", k.Tags, []Tag{{"a", "1"}, {"b", "2"}})
			eq(t, "versions", []uint64{k.Version, k.PolicyVersion, k.TagsVersion, k.AliasVersion}, []uint64{l.index, l.index, l.index, l.index})
			eq(t, "aliases", k.AliasCount, 0)
			eq(t, "keys of the account", l.state().Account(account1).KeyCount, 1)
			eq(t, "version of the account", l.state().Account(account1).Version, 1)
			r, ok := l.state().Remembered(commandID(int(l.index)))
			eq(t, "remembered", ok, true)
			eq(t, "objects", r.Objects, []string{keyID(1)})
		}},
		{name: "AWS managed do not count", setup: []Body{quotas(func(q *Quotas) { q.KeysPerAccount = 1 }), newKey(account1, 1)},
			body: changed(newKey(account1, 2), func(c *CreateKey) { c.Key.Manager = "AWS" }), after: func(t *testing.T, l *lab) {
				eq(t, "keys of the account", l.state().Account(account1).KeyCount, 1)
			}},
		{name: "same id in another account", setup: []Body{newKey(account1, 1)}, body: newKey(account2, 1)},
		{name: "id taken", setup: []Body{newKey(account1, 1)}, body: newKey(account1, 1), code: Stale, detail: "the key id is taken"},
		{name: "unknown account", body: newKey("777788889999", 1), code: Conflict, detail: "the account does not exist"},
		{name: "quota of keys", setup: []Body{quotas(func(q *Quotas) { q.KeysPerAccount = 1 }), newKey(account1, 1)}, body: newKey(account1, 2), code: Stale, detail: "the account's keys are at the quota"},
		{name: "quota of tags", setup: []Body{quotas(func(q *Quotas) { q.TagsPerKey = 1 })},
			body: changed(newKey(account1, 1), func(c *CreateKey) { c.Key.Tags = []Tag{{"a", ""}, {"b", ""}} }), code: Stale, detail: "tags are over the quota"},
		{name: "quota of policy bytes", body: changed(newKey(account1, 1), func(c *CreateKey) { c.Key.Policy = strings.Repeat("x", 32_769) }), code: Stale, detail: "the key policy is over the quota"},
		{name: "unknown domain key", body: changed(newKey(account1, 1), func(c *CreateKey) { c.Key.Materials[0].Domain = 2 }), code: Conflict, detail: noDomain},
	})
}

func TestApplyKeySettings(t *testing.T) {
	key := []Body{newKey(account1, 1)}
	gone := append(slices.Clone(key), schedule(1, now0+7*day))
	external := []Body{externalKey(account1, 1)}
	version := func(get func(*Key) uint64) func(*testing.T, *lab) {
		return func(t *testing.T, l *lab) { eq(t, "version", get(l.key(account1, keyID(1))), l.index) }
	}
	runApply(t, []applyCase{
		{name: "changes", setup: key, body: &SetDescription{ref1(1), "new"}, after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "description", k.Description, "new")
			eq(t, "version", k.Version, l.index)
			eq(t, "policy version", k.PolicyVersion, l.index-1)
		}},
		{name: "pending deletion", setup: gone, body: &SetDescription{ref1(1), "new"}, code: Stale, detail: pending},
		{name: "absent", body: &SetDescription{ref1(1), "new"}, code: Conflict, detail: absent},

		{name: "disables", setup: key, body: &SetEnabled{ref1(1), false}, after: func(t *testing.T, l *lab) {
			eq(t, "enabled", l.key(account1, keyID(1)).Enabled, false)
			eq(t, "events", l.events, []Event{{EventKeyUnusable, l.index, account1, keyID(1), nil}})
		}},
		{name: "enables", setup: append(slices.Clone(key), &SetEnabled{ref1(1), false}), body: &SetEnabled{ref1(1), true}, after: func(t *testing.T, l *lab) {
			eq(t, "enabled", l.key(account1, keyID(1)).Enabled, true)
			eq(t, "events", l.events, nil)
		}},
		{name: "pending deletion", setup: gone, body: &SetEnabled{ref1(1), true}, code: Stale, detail: pending},
		{name: "pending import", setup: external, body: &SetEnabled{ref1(1), true}, code: Stale, detail: notImported},
		{name: "absent", body: &SetEnabled{ref1(1), true}, code: Conflict, detail: absent},

		{name: "puts", setup: gone, body: &PutKeyPolicy{Key: ref1(1), Policy: "{}"}, after: version(func(k *Key) uint64 { return k.PolicyVersion })},
		{name: "quota", setup: key, body: &PutKeyPolicy{Key: ref1(1), Policy: strings.Repeat("x", 32_769)}, code: Stale, detail: "the key policy is over the quota"},
		{name: "absent", body: &PutKeyPolicy{Key: ref1(1), Policy: "{}"}, code: Conflict, detail: absent},
	})
}

func TestApplyDeletion(t *testing.T) {
	at := now0 + 7*day
	key := []Body{newKey(account1, 1)}
	gone := append(slices.Clone(key), schedule(1, at))
	runApply(t, []applyCase{
		{name: "schedules", setup: key, body: schedule(1, at), after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "date", k.DeletionAt, at)
			eq(t, "window", k.PendingWindowDays, 7)
			eq(t, "events", l.events, []Event{{EventKeyUnusable, l.index, account1, keyID(1), nil}})
		}},
		{name: "pending import can be scheduled", setup: []Body{externalKey(account1, 1)}, body: schedule(1, at)},
		{name: "twice", setup: gone, body: schedule(1, at), code: Stale, detail: pending},
		{name: "absent", body: schedule(1, at), code: Conflict, detail: absent},

		{name: "ends disabled", setup: gone, body: &CancelDeletion{ref1(1)}, after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "date", k.DeletionAt, 0)
			eq(t, "window", k.PendingWindowDays, 0)
			eq(t, "enabled", k.Enabled, false)
		}},
		{name: "none pending", setup: key, body: &CancelDeletion{ref1(1)}, code: Stale, detail: "the key is not pending deletion"},
		{name: "absent", body: &CancelDeletion{ref1(1)}, code: Conflict, detail: absent},

		{name: "takes everything along", time: at,
			setup: append(slices.Clone(key), &CreateAlias{account1, "alias/a", keyID(1)}, &CreateAlias{account1, "alias/b", keyID(1)},
				&LastUsage{[]KeyUse{{account1, keyID(1), now0, "Decrypt", "e", "r"}}}, newKey(account1, 2), &CreateAlias{account1, "alias/c", keyID(2)}, schedule(1, at)),
			body: &DeleteKey{ref1(1), at}, after: func(t *testing.T, l *lab) {
				s := l.state()
				eq(t, "key", s.Key(account1, keyID(1)), nil)
				eq(t, "alias", s.Alias(account1, "alias/a"), nil)
				eq(t, "alias of another key", s.Alias(account1, "alias/c").KeyID, keyID(2))
				eq(t, "last use", s.KeyLastUse(account1, keyID(1)), nil)
				eq(t, "keys of the account", s.Account(account1).KeyCount, 1)
				eq(t, "events", l.events, []Event{
					{EventMaterialGone, l.index, account1, keyID(1), materialID(1)}, {EventKeyDeleted, l.index, account1, keyID(1), nil},
				})
				if _, ok := s.Remembered(commandID(int(l.index))); ok {
					t.Error("the scheduler's command is remembered")
				}
			}},
		{name: "not due", setup: gone, body: &DeleteKey{ref1(1), at}, time: at - 1, code: Conflict, detail: "the deletion is not due"},
		{name: "its own time counts", setup: append(slices.Clone(gone), &TermStart{"n"}), body: &DeleteKey{ref1(1), at}, time: at - 1, code: Conflict, detail: "the deletion is not due"},
		{name: "another date", setup: gone, body: &DeleteKey{ref1(1), at - 1}, time: at + day, code: Conflict, detail: "the deletion has another date, or none"},
		{name: "cancelled", setup: append(slices.Clone(gone), &CancelDeletion{ref1(1)}), body: &DeleteKey{ref1(1), at}, time: at, code: Conflict, detail: "the deletion has another date, or none"},
		{name: "absent", body: &DeleteKey{ref1(1), at}, time: at, code: Conflict, detail: absent},
	})
}

func TestApplyTags(t *testing.T) {
	key := []Body{changed(newKey(account1, 1), func(c *CreateKey) { c.Key.Tags = []Tag{{"b", "1"}, {"d", "1"}} })}
	gone := append(slices.Clone(key), schedule(1, now0+7*day))
	tags := func(want ...Tag) func(*testing.T, *lab) {
		return func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			if !slices.Equal(k.Tags, want) {
				t.Errorf("tags %v, want %v", k.Tags, want)
			}
			eq(t, "tags version", k.TagsVersion, l.index)
			eq(t, "policy version", k.PolicyVersion, l.index-1)
		}
	}
	runApply(t, []applyCase{
		{name: "replaces and adds", setup: key, body: &TagKey{ref1(1), []Tag{{"c", "2"}, {"b", "2"}, {"a", "2"}, {"e", "2"}}},
			after: tags(Tag{"a", "2"}, Tag{"b", "2"}, Tag{"c", "2"}, Tag{"d", "1"}, Tag{"e", "2"})},
		{name: "quota, all or none", setup: append([]Body{quotas(func(q *Quotas) { q.TagsPerKey = 2 })}, key...), body: &TagKey{ref1(1), []Tag{{"b", "2"}, {"c", "2"}}}, code: Stale, detail: "tags are over the quota"},
		{name: "replacing at the quota", setup: append([]Body{quotas(func(q *Quotas) { q.TagsPerKey = 2 })}, key...), body: &TagKey{ref1(1), []Tag{{"b", "2"}}}},
		{name: "pending deletion", setup: gone, body: &TagKey{ref1(1), []Tag{{"a", ""}}}, code: Stale, detail: pending},
		{name: "absent", body: &TagKey{ref1(1), []Tag{{"a", ""}}}, code: Conflict, detail: absent},
		{name: "removes, unknown ones too", setup: key, body: &UntagKey{ref1(1), []string{"b", "x"}}, after: tags(Tag{"d", "1"})},
		{name: "pending deletion", setup: gone, body: &UntagKey{ref1(1), []string{"b"}}, code: Stale, detail: pending},
		{name: "absent", body: &UntagKey{ref1(1), []string{"b"}}, code: Conflict, detail: absent},
	})
}

func TestApplyAliases(t *testing.T) {
	keys := []Body{newKey(account1, 1), newKey(account1, 2), newKey(account2, 1)}
	with := func(more ...Body) []Body { return append(slices.Clone(keys), more...) }
	aliasA := &CreateAlias{account1, "alias/a", keyID(1)}
	elsewhere, full := "the alias does not exist or points to another key", "the key's aliases are at the quota"
	one := quotas(func(q *Quotas) { q.AliasesPerKey = 1 })
	runApply(t, []applyCase{
		{name: "adds", setup: keys, body: aliasA, time: now0 + 9, after: func(t *testing.T, l *lab) {
			eq(t, "alias", *l.state().Alias(account1, "alias/a"), Alias{account1, "alias/a", keyID(1), now0 + 9, now0 + 9, l.index})
			k := l.key(account1, keyID(1))
			eq(t, "aliases", k.AliasCount, 1)
			eq(t, "alias version", k.AliasVersion, l.index)
		}},
		{name: "same name in another account", setup: with(aliasA), body: &CreateAlias{account2, "alias/a", keyID(1)}},
		{name: "taken, even by the same key", setup: with(aliasA), body: aliasA, code: Stale, detail: "the alias name is taken"},
		{name: "quota", setup: with(aliasA, one), body: &CreateAlias{account1, "alias/b", keyID(1)}, code: Stale, detail: full},
		{name: "pending deletion", setup: with(schedule(1, now0+7*day)), body: aliasA, code: Stale, detail: pending},
		{name: "absent key", body: aliasA, code: Conflict, detail: absent},

		{name: "moves", setup: with(aliasA, schedule(1, now0+7*day)), body: &UpdateAlias{account1, "alias/a", keyID(1), keyID(2)}, time: now0 + 9, after: func(t *testing.T, l *lab) {
			eq(t, "alias", *l.state().Alias(account1, "alias/a"), Alias{account1, "alias/a", keyID(2), now0, now0 + 9, l.index})
			from, to := l.key(account1, keyID(1)), l.key(account1, keyID(2))
			eq(t, "counts", []int{from.AliasCount, to.AliasCount}, []int{0, 1})
			eq(t, "versions", []uint64{from.AliasVersion, to.AliasVersion}, []uint64{l.index, l.index})
			eq(t, "aliases of the old key", len(slices.Collect(l.state().AliasesOf(account1, keyID(1), ""))), 0)
		}},
		{name: "stays", setup: with(aliasA, one), body: &UpdateAlias{account1, "alias/a", keyID(1), keyID(1)}, time: now0 + 9, after: func(t *testing.T, l *lab) {
			eq(t, "date", l.state().Alias(account1, "alias/a").UpdatedAt, now0+9)
			eq(t, "aliases", l.key(account1, keyID(1)).AliasCount, 1)
		}},
		{name: "points elsewhere", setup: with(aliasA), body: &UpdateAlias{account1, "alias/a", keyID(2), keyID(1)}, code: Conflict, detail: elsewhere},
		{name: "absent", setup: keys, body: &UpdateAlias{account1, "alias/a", keyID(1), keyID(2)}, code: Conflict, detail: elsewhere},
		{name: "new key pending deletion", setup: with(aliasA, schedule(2, now0+7*day)), body: &UpdateAlias{account1, "alias/a", keyID(1), keyID(2)}, code: Stale, detail: pending},
		{name: "new key absent", setup: with(aliasA), body: &UpdateAlias{account1, "alias/a", keyID(1), keyID(3)}, code: Conflict, detail: absent},
		{name: "quota", setup: with(aliasA, &CreateAlias{account1, "alias/b", keyID(2)}, one), body: &UpdateAlias{account1, "alias/a", keyID(1), keyID(2)}, code: Stale, detail: full},

		{name: "removes, pending deletion or not", setup: with(aliasA, schedule(1, now0+7*day)), body: &DeleteAlias{account1, "alias/a", keyID(1)}, after: func(t *testing.T, l *lab) {
			eq(t, "alias", l.state().Alias(account1, "alias/a"), nil)
			eq(t, "aliases", l.key(account1, keyID(1)).AliasCount, 0)
			eq(t, "alias version", l.key(account1, keyID(1)).AliasVersion, l.index)
		}},
		{name: "points elsewhere", setup: with(aliasA), body: &DeleteAlias{account1, "alias/a", keyID(2)}, code: Conflict, detail: elsewhere},
		{name: "absent", setup: keys, body: &DeleteAlias{account1, "alias/a", keyID(2)}, code: Conflict, detail: elsewhere},
	})
}

func TestApplyLastUsage(t *testing.T) {
	use := func(n int, at int64, event string) KeyUse {
		return KeyUse{account1, keyID(n), at, "Decrypt", event, "r"}
	}
	key := []Body{newKey(account1, 1)}
	last := func(event string) func(*testing.T, *lab) {
		return func(t *testing.T, l *lab) {
			eq(t, "event", l.state().KeyLastUse(account1, keyID(1)).EventID, event)
			eq(t, "key version", l.key(account1, keyID(1)).Version, 3)
		}
	}
	runApply(t, []applyCase{
		{name: "first", setup: key, body: &LastUsage{[]KeyUse{use(1, 5, "a")}}, after: last("a")},
		{name: "later wins", setup: append(slices.Clone(key), &LastUsage{[]KeyUse{use(1, 5, "a")}}), body: &LastUsage{[]KeyUse{use(1, 6, "b")}}, after: last("b")},
		{name: "earlier does not", setup: append(slices.Clone(key), &LastUsage{[]KeyUse{use(1, 5, "a")}}), body: &LastUsage{[]KeyUse{use(1, 4, "b")}}, after: last("a")},
		{name: "first known stays", setup: append(slices.Clone(key), &LastUsage{[]KeyUse{use(1, 5, "a")}}), body: &LastUsage{[]KeyUse{use(1, 5, "b")}}, after: last("a")},
		{name: "twice in one report", setup: key, body: &LastUsage{[]KeyUse{use(1, 6, "a"), use(1, 7, "b"), use(1, 5, "c")}}, after: last("b")},
		{name: "gone keys are skipped", setup: key, body: &LastUsage{[]KeyUse{use(2, 5, "a"), use(1, 5, "b")}}, after: func(t *testing.T, l *lab) {
			eq(t, "use of a gone key", l.state().KeyLastUse(account1, keyID(2)), nil)
		}},
	})
}

// TestDeletedKeyTakesItsMaterial: whoever caches loaded material learns of every one that goes with a key.
func TestDeletedKeyTakesItsMaterial(t *testing.T) {
	l := newRegion(t)
	k := newKey(account1, 1).Key
	k.Materials = []Material{{ID: materialID(1), Domain: 1, Blob: []byte{1}, State: MaterialCurrent, AddedAt: now0}}
	k.Current = 0
	l.ok(&CreateKey{k})
	l.ok(schedule(1, now0+1))
	l.events = nil
	if r := l.do(&DeleteKey{ref1(1), now0 + 1}, now0+1); r.Code != OK {
		t.Fatal(r)
	}
	eq(t, "events", l.events, []Event{
		{EventMaterialGone, l.index, account1, keyID(1), materialID(1)}, {EventKeyDeleted, l.index, account1, keyID(1), nil},
	})
}

// TestNothingIsDestroyedAfterAJump: a command that carries region time on by more than a day, and everything within a day after
// it, destroys nothing; expiry at use does not wait (the region looks at the clock for that).
func TestNothingIsDestroyedAfterAJump(t *testing.T) {
	l := newRegion(t)
	l.ok(newKey(account1, 1))
	at := now0 + 7*holdAfter
	l.ok(schedule(1, at))
	if r := l.do(&DeleteKey{ref1(1), at}, at); r.Code != Conflict {
		t.Fatalf("the command that jumps deleted the key: %+v", r)
	}
	if r := l.do(&TermStart{"node-1"}, at); r.Code != OK {
		t.Fatal(r)
	}
	eq(t, "end of the hold", l.state().Region().HoldUntil, at+holdFor)
	if r := l.do(&DeleteKey{ref1(1), at}, at+holdFor-1); r.Code != Conflict {
		t.Fatalf("the key was deleted during the hold: %+v", r)
	}
	if r := l.do(&DeleteKey{ref1(1), at}, at+holdFor); r.Code != OK {
		t.Fatalf("the key was not deleted after the hold: %+v", r)
	}
}
