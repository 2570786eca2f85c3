package multiregion

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/trentkms/trent/fsm"
)

func sampleDoc() fsm.KeyDoc {
	return fsm.KeyDoc{
		Account: "111122223333", ID: "mrk-1", Version: fsm.SetVersion{Term: 1, Index: 2}, Primary: "a-1", Members: []fsm.Member{{Region: "a-1", Since: 1}},
		Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS", Materials: []fsm.Material{{ID: []byte{1}, State: fsm.MaterialCurrent}},
	}
}

// TestBlobsDoNotTravel: wrapped material of another region's log is refused, whatever it is wrapped under.
func TestBlobsDoNotTravel(t *testing.T) {
	d := sampleDoc()
	if err := checkDocs([]fsm.KeyDoc{d}); err != nil {
		t.Fatal(err)
	}
	d.Materials[0].Blob, d.Materials[0].Domain = []byte{1}, 1
	b, err := encode(&answer{Incarnation: 1, Docs: []fsm.KeyDoc{d}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeAnswer(b); err == nil {
		t.Error("wrapped material in a document is accepted")
	}
}

// FuzzRequest: whatever is accepted is within its bounds and reads the same again.
func FuzzRequest(f *testing.F) {
	for _, r := range []*request{
		{Version: version, Kind: kindPoke, Incarnation: 1},
		{Version: version, Kind: kindPull, Incarnation: 1, Position: 7, Cursor: cursor(3, true, 4, "111122223333", "mrk-1")},
		{Version: version, Kind: kindTell, Incarnation: 1, Docs: []fsm.KeyDoc{sampleDoc()}, Keys: []fsm.KeyRef{{Account: "111122223333", ID: "mrk-1"}}},
		{Version: version, Kind: kindMaterials, Incarnation: 1, Nonce: make([]byte, nonceSize), Wanted: []Wanted{{Account: "111122223333", ID: "mrk-1", Material: []byte{1}}}, Shared: true},
	} {
		b, err := encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRequest(b)
		if err != nil {
			return
		}
		if len(r.Docs) > maxDocs || len(r.Wanted) > maxWanted || r.Incarnation == 0 {
			t.Error("out of bounds")
		}
		again, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		same, err := decodeRequest(again)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := encode(same)
		if err != nil || !bytes.Equal(twice, again) {
			t.Errorf("%x reads as %x", again, twice)
		}
	})
}

// FuzzAnswer: answers come from a region that is trusted with keys, and still must not bring the process down.
func FuzzAnswer(f *testing.F) {
	b, err := encode(&answer{Incarnation: 1, Docs: []fsm.KeyDoc{sampleDoc()}, Entries: []entry{{"111122223333", "mrk-1", fsm.SetVersion{}, true}}, Bundle: &Bundle{Items: []Item{{Account: "a"}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	if b, err = encode(&answer{Incarnation: 1, Bundle: &Bundle{Items: []Item{{Account: "a", Material: []byte{1}, Wrapped: []byte{2}}}, Key: []byte{3}, Signature: []byte{4}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnswer(b)
		if err != nil {
			return
		}
		if a.Incarnation == 0 || len(a.Docs) > maxDocs {
			t.Error("out of bounds")
		}
		if a.Bundle == nil {
			return
		}
		if len(a.Bundle.Items) > maxWanted || len(a.Bundle.Key) > maxWrapped {
			t.Error("a bundle out of bounds")
		}
		again, err := encode(a)
		if err != nil {
			t.Fatal(err)
		}
		same, err := decodeAnswer(again)
		if err != nil {
			t.Fatal(err)
		}
		if p := new(Parties); Statement(p, same.Bundle) != Statement(p, a.Bundle) {
			t.Errorf("%x is another bundle when it is read again", again)
		}
	})
}

// FuzzCursor: what parses is what cursor makes.
func FuzzCursor(f *testing.F) {
	f.Add(cursor(1, false, 2, "111122223333", "mrk-1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, ends, index, ref, ok := parseCursor(b)
		if ok && !bytes.Equal(cursor(at, ends, index, ref.Account, ref.ID), b) {
			t.Errorf("%x is not what it parses to", b)
		}
	})
}

// TestStatementBindsEverything: a change of any field gives another statement, with a key of the bundle and without.
func TestStatementBindsEverything(t *testing.T) {
	parties := Parties{Source: "a", Target: "b", SourceIncarnation: 1, TargetIncarnation: 2, Nonce: []byte{3}}
	item := Item{"111122223333", "mrk-1", []byte{1}, fsm.SetVersion{Term: 1, Index: 2}, "s", "u", "o", []byte{4}, []byte{5}}
	seen := map[[32]byte]string{}
	note := func(name string, p *Parties, b Bundle) {
		d := Statement(p, &b)
		if other, ok := seen[d]; ok {
			t.Errorf("%s gives the statement of %s", name, other)
		}
		seen[d] = name
	}
	for form, key := range map[string][]byte{"one by one": nil, "under a key": {6}} {
		note(form, &parties, Bundle{Items: []Item{item}, Key: key})
		for i := range reflect.TypeFor[Parties]().NumField() {
			p := parties
			change(reflect.ValueOf(&p).Elem().Field(i))
			note(form+", "+reflect.TypeFor[Parties]().Field(i).Name, &p, Bundle{Items: []Item{item}, Key: key})
		}
		for i := range reflect.TypeFor[Item]().NumField() {
			it := item
			change(reflect.ValueOf(&it).Elem().Field(i))
			note(form+", "+reflect.TypeFor[Item]().Field(i).Name, &parties, Bundle{Items: []Item{it}, Key: key})
		}
		other := item
		other.ID = "mrk-2"
		note(form+", two items", &parties, Bundle{Items: []Item{item, other}, Key: key})
		note(form+", two items, the other way round", &parties, Bundle{Items: []Item{other, item}, Key: key})
		note(form+", none", &parties, Bundle{Key: key})
		moved := parties
		moved.Source, moved.Target = "ab", ""
		note(form+", names run together", &moved, Bundle{Items: []Item{item}, Key: key})
	}
	note("another key", &parties, Bundle{Items: []Item{item}, Key: []byte{7}})
}

func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Uint64:
		v.SetUint(v.Uint() + 9)
	case reflect.Slice:
		v.SetBytes(append([]byte{9}, v.Bytes()...))
	case reflect.Struct:
		v.Field(0).SetUint(77)
	}
}
