package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"
)

// sealed puts the right checksum under a changed command.
func sealed(data []byte) []byte {
	end := len(data) - trailerSize
	return binary.BigEndian.AppendUint32(data[:end:end], crc32.Checksum(data[:end], castagnoli()))
}

func mustEncode(t testing.TB, c Command) []byte {
	t.Helper()
	data, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEncodeTakesValuesAndPointers(t *testing.T) {
	byValue := mustEncode(t, Command{Body: SetDescription{ref1(1), "d"}})
	byPointer := mustEncode(t, Command{Body: &SetDescription{ref1(1), "d"}})
	if !bytes.Equal(byValue, byPointer) {
		t.Error("a body by value is encoded differently")
	}
	c, err := Decode(byValue)
	if err != nil || c.Attempt != 1 || c.Reads != nil || c.Audit != nil {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	var none *SetDescription
	key := newKey(account1, 1).Key
	with := func(change func(*Key)) *CreateKey {
		k := key
		k.Materials = append([]Material(nil), key.Materials...)
		change(&k)
		return &CreateKey{k}
	}
	many := make([]Read, maxReads+1)
	for i := range many {
		many[i].Doc = DocKey
	}
	for _, c := range []struct {
		want string
		c    Command
	}{
		{"no body", Command{}},
		{"nil body", Command{Body: none}},
		{"unknown kind 999", Command{Body: strange{}}},
		{"is not the body of kind 20", Command{Body: impostor{}}},
		{"negative time", Command{Body: &TermStart{"n"}, Time: -1}},
		{"audit record", Command{Body: &TermStart{"n"}, Audit: make([]byte, maxAudit+1)}},
		{"unknown document 99", Command{Body: &TermStart{"n"}, Reads: []Read{{Doc: 99}}}},
		{"unknown document 0", Command{Body: &TermStart{"n"}, Reads: []Read{{}}}},
		{"257 documents", Command{Body: &TermStart{"n"}, Reads: many}},
		{"node id", Command{Body: &TermStart{""}}},
		{"printable ASCII", Command{Body: &TermStart{"a b"}}},
		{"not 12 digits", Command{Body: with(func(k *Key) { k.Account = "11112222333x" })}},
		{"key id of 65 bytes", Command{Body: with(func(k *Key) { k.ID = strings.Repeat("x", 65) })}},
		{"printable ASCII", Command{Body: with(func(k *Key) { k.ID = "a\x00b" })}},
		{"key manager", Command{Body: with(func(k *Key) { k.Manager = "" })}},
		{"scheduled deletion", Command{Body: with(func(k *Key) { k.DeletionAt = 1 })}},
		{"no key policy", Command{Body: with(func(k *Key) { k.Policy = "" })}},
		{"same tag key", Command{Body: with(func(k *Key) { k.Tags = []Tag{{"a", ""}, {"a", ""}} })}},
		{"current material", Command{Body: with(func(k *Key) { k.Current = 1 })}},
		{"disagree", Command{Body: with(func(k *Key) { k.Current = -1 })}},
		{"same id", Command{Body: with(func(k *Key) {
			k.Materials = append(k.Materials, k.Materials[0])
			k.Materials[1].State = MaterialNonCurrent
		})}},
		{"several pending", Command{Body: with(func(k *Key) {
			k.Materials = append(k.Materials, Material{ID: []byte{1}, State: MaterialPendingRotation}, Material{ID: []byte{2}, State: MaterialPendingRotation})
		})}},
		{"without domain key version", Command{Body: with(func(k *Key) { k.Materials[0].Domain = 0 })}},
		{"wrapped material", Command{Body: with(func(k *Key) { k.Materials[0].Blob = make([]byte, maxBlob+1) })}},
		{"without expiry", Command{Body: with(func(k *Key) { k.Materials[0].Expires = true })}},
		{"unknown material state", Command{Body: with(func(k *Key) { k.Materials[0].State = 9 })}},
		{"without period", Command{Body: with(func(k *Key) { k.Rotation = &Rotation{Enabled: true} })}},
		{"quota TagsPerKey is 0", Command{Body: quotas(func(q *Quotas) { q.TagsPerKey = 0 })}},
		{"alias/", Command{Body: &CreateAlias{account1, "a", keyID(1)}}},
		{"no date", Command{Body: &DeleteKey{ref1(1), 0}}},
		{"waiting period", Command{Body: &ScheduleDeletion{ref1(1), 1, 0}}},
		{"no tags", Command{Body: &TagKey{Key: ref1(1)}}},
		{"no tag keys", Command{Body: &UntagKey{Key: ref1(1)}}},
		{"rotation type", Command{Body: &RotateKey{Key: ref1(1), From: []byte{1}, Material: Material{ID: []byte{2}}}}},
		{"date of the next", Command{Body: &RotateKey{Key: ref1(1), From: []byte{1}, Material: Material{ID: []byte{2}}, Type: RotationAutomatic}}},
		{"no wrapped material", Command{Body: &ImportMaterial{Key: ref1(1), Material: Material{ID: []byte{1}, State: 1}}}},
		{"same domain key", Command{Body: &RewrapMaterial{Key: ref1(1), MaterialID: []byte{1}, From: 1, Domain: 1, Blob: []byte{1}}}},
		{"without time", Command{Body: &LastUsage{[]KeyUse{{Account: account1, KeyID: "k", Operation: "Decrypt"}}}}},
		{"wrapped twice", Command{Body: &PutDomainKey{DomainKey{Version: 1, ID: "d", Wrapped: []WrappedDomain{{"n", []byte{1}}, {"n", []byte{1}}}}}}},
		{"first account", Command{Body: changed(initBody(), func(c *InitRegion) { c.AccessKey.Account = account2 })}},
		{"propose less", Command{Body: &LastUsage{manyUses(maxUses)}, Audit: make([]byte, maxAudit)}},
	} {
		data, err := Encode(c.c)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) || data != nil {
			t.Errorf("%T: error %v, want %q", c.c.Body, err, c.want)
		}
	}
}

func manyUses(n int) []KeyUse {
	uses := make([]KeyUse, n)
	for i := range uses {
		uses[i] = KeyUse{account1, keyID(i), 1, "Decrypt", strings.Repeat("e", 36), strings.Repeat("r", 36)}
	}
	return uses
}

type strange struct{}

func (strange) Kind() Kind { return 999 }

type impostor struct{}

func (impostor) Kind() Kind { return KindCreateKey }

// A bad body that is in the log nevertheless is refused by all nodes alike.
func TestApplyChecksBodies(t *testing.T) {
	l := newRegion(t)
	row := rowOf(KindSetDescription)
	row2 := *row
	entry := l.entry(l.command(&SetDescription{ref1(1), "d"}))
	c, err := Decode(entry.Data)
	if err != nil {
		t.Fatal(err)
	}
	c.Body.(*SetDescription).Key.Account = "x"
	d := newDraft(l.fsm.db, l.fsm.interner, l.state())
	defer d.txn.Abort()
	out := (&tx{view: d.view, d: d, index: l.index}).judge(&row2, &c)
	if out.code != Conflict || !strings.Contains(out.detail, "12 digits") {
		t.Errorf("%+v", out)
	}
}

// A command that settles its call differs in the version of the envelope alone.
func TestSettlingEnvelope(t *testing.T) {
	c := Command{ID: CommandID{1}, Attempt: 2, Body: newKey(account1, 1)}
	plain := mustEncode(t, c)
	c.Settles = true
	settling := mustEncode(t, c)
	if got, err := Decode(settling); err != nil || !got.Settles {
		t.Fatalf("%+v, %v", got, err)
	}
	if plain[3] != 1 || settling[3] != 2 {
		t.Errorf("versions %d and %d", plain[3], settling[3])
	}
	end := len(plain) - trailerSize
	settling[3] = plain[3]
	if !bytes.Equal(plain[:end], settling[:end]) {
		t.Error("more than the version differs")
	}
}

// Every single flipped bit is found.
func TestDecodeFindsDamage(t *testing.T) {
	data := mustEncode(t, Command{ID: CommandID{1}, Body: newKey(account1, 1), Audit: []byte("audit"), Reads: []Read{{Doc: DocKey, Name: "n"}}})
	for i := range len(data) * 8 {
		damaged := bytes.Clone(data)
		damaged[i/8] ^= 1 << (i % 8)
		if c, err := Decode(damaged); !errors.Is(err, ErrUnreadable) || !reflect.DeepEqual(c, Command{}) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	for n := range data {
		if _, err := Decode(data[:n]); !errors.Is(err, ErrUnreadable) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	plain := mustEncode(t, Command{Body: &TermStart{"node-1"}})
	change := func(off int, b ...byte) []byte {
		data := bytes.Clone(plain)
		copy(data[off:], b)
		return sealed(data)
	}
	body := func(cborBody ...byte) []byte {
		data := bytes.Clone(plain[:headerSize])
		binary.BigEndian.PutUint32(data[offLengths+4:], uint32(len(cborBody)))
		return sealed(append(append(data, cborBody...), 0, 0, 0, 0))
	}
	reads := func(cborReads ...byte) []byte {
		data := bytes.Clone(plain[:headerSize])
		binary.BigEndian.PutUint32(data[offLengths:], uint32(len(cborReads)))
		return sealed(append(append(append(data, cborReads...), plain[headerSize:len(plain)-trailerSize]...), 0, 0, 0, 0))
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "0 bytes"},
		{"too long", make([]byte, MaxCommandSize+1), "bytes"},
		{"magic", change(0, 'X'), "bad magic"},
		{"version", change(3, 3), "unknown envelope version 3"},
		{"checksum", append(bytes.Clone(plain[:len(plain)-1]), plain[len(plain)-1]^1), "checksum"},
		{"kind", change(offKind, 0xff, 0xff), "unknown kind 65535"},
		{"kind in a gap", change(offKind, 0, 19), "unknown kind 19"},
		{"negative time", change(offTime, 0x80), "negative time"},
		{"lengths", change(offLengths, 0xff), "lengths do not add up"},
		{"unknown field", body(0xa1, 0x18, 0x63, 0x00), "TermStart"},
		{"field twice", body(0xa2, 0x01, 0x61, 'n', 0x01, 0x61, 'n'), "TermStart"},
		{"trailing bytes", body(0xa1, 0x01, 0x61, 'n', 0x00), "TermStart"},
		{"indefinite length", body(0xbf, 0x01, 0x61, 'n', 0xff), "TermStart"},
		{"tag", body(0xc1, 0xa1, 0x01, 0x61, 'n'), "TermStart"},
		{"deep", body(bytes.Repeat([]byte{0x81}, 100)...), "TermStart"},
		{"long array", body(0xa1, 0x01, 0x9a, 0xff, 0xff, 0xff, 0xff), "TermStart"},
		{"no body", body(), "TermStart"},
		{"unknown document", reads(0x81, 0xa2, 0x01, 0x18, 0x63, 0x04, 0x00), "unknown document 99"},
		{"bad read set", reads(0x01), "read set"},
	} {
		if _, err := Decode(c.data); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// Text that is not UTF-8 must not stop a region: it is decoded after it was committed.
func TestTextNeedNotBeUTF8(t *testing.T) {
	c, err := Decode(mustEncode(t, Command{Body: &SetDescription{ref1(1), "\xff\xfe"}}))
	if err != nil || c.Body.(*SetDescription).Description != "\xff\xfe" {
		t.Errorf("%+v, %v", c.Body, err)
	}
}

func TestCommandTable(t *testing.T) {
	if _, err := newCommandTable(append(commandRows(), command(applyTermStart))); err == nil || !strings.Contains(err.Error(), "kind 1 is both TermStart and TermStart") {
		t.Errorf("a duplicate kind is accepted: %v", err)
	}
	for _, c := range goldenCommands() {
		want := LevelInitial
		if c.Body.Kind() >= KindPutRegionKeys && c.Body.Kind() <= KindDropEnds {
			want = LevelFederation
		}
		if k := c.Body.Kind(); rowOf(k).level == LevelDomainRotation && k >= KindBeginRotation && (k < KindPutRegionKeys || k > KindDropEnds) {
			want = LevelDomainRotation
		}
		if k := c.Body.Kind(); k >= KindSyncIdentities && k <= KindAllowFollower {
			want = LevelHome
		}
		if k := c.Body.Kind(); k == KindPutSessionKey || k == KindTakeSessionKeys {
			want = LevelSessions
		}
		if k := c.Body.Kind(); k == KindPutOIDCProvider || k == KindDeleteOIDCProvider {
			want = LevelProviders
		}
		if Level(c.Body.Kind()) != want {
			t.Errorf("level of %v is %d", c.Body.Kind(), Level(c.Body.Kind()))
		}
	}
	if Level(0) != 0 || Level(19) != 0 || Level(9999) != 0 || MaxLevel() != LevelSettles {
		t.Error("an unknown kind has a level, or the highest level is wrong")
	}
	if KindCreateKey.String() != "CreateKey" || Kind(999).String() != "kind 999" {
		t.Error("names of kinds")
	}
}

func TestEncodeAllocations(t *testing.T) {
	c := Command{ID: CommandID{1}, Body: newKey(account1, 1), Audit: make([]byte, 1500), Reads: []Read{{Doc: DocAccount, Account: account1}}}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Encode(c); err != nil {
			t.Fatal(err)
		}
	}); n > 5 {
		t.Errorf("Encode allocates %v times", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range goldenCommands() {
		data := mustEncode(f, c)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > headerSize+trailerSize {
			data = sealed(data) // past the checksum, or nothing below it is reached
		}
		c, err := Decode(data)
		if err != nil {
			if !errors.Is(err, ErrUnreadable) || !reflect.DeepEqual(c, Command{}) {
				t.Fatalf("%+v beside %v", c, err)
			}
			return
		}
		again, err := Encode(c)
		if err != nil {
			return // readable, but not what a node proposes
		}
		d, err := Decode(again)
		if err != nil {
			t.Fatalf("Decode(Encode): %v", err)
		}
		if !bytes.Equal(mustEncode(t, d), again) {
			t.Fatal("encoding is not stable")
		}
	})
}
