package awsjson_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region/shape"
)

type recursive struct {
	Next []recursive `wire:"Next"`
}

// TestCompileRefuses: every mistake in a declaration is found when the table is built, and named.
func TestCompileRefuses(t *testing.T) {
	for _, tt := range []struct {
		want string
		v    any
	}{
		{"no wire tag", struct{ A string }{}},
		{"must be exported", struct {
			a string `wire:"A"`
		}{}},
		{"capital letter", struct {
			A string `wire:"a"`
		}{}},
		{"unknown flag", struct {
			A string `wire:"A,requird"`
		}{}},
		{"declared twice", struct {
			A string `wire:"A"`
			B string `wire:"A"`
		}{}},
		{"cannot be inline", struct {
			A string `wire:",inline"`
		}{}},
		{"declared twice", struct {
			A string   `wire:"A"`
			B struct { // what is inline shares the names
				A string `wire:"A"`
			} `wire:",inline"`
		}{}},
		{"field A: member name", struct {
			B struct {
				A string `wire:"a"`
			} `wire:",inline"`
		}{}},
		{"needs a refuse tag", struct {
			_ struct{}
		}{}},
		{"names no type", struct {
			A string `wire:"A" is:"KeyIdTyp"`
		}{}},
		{"type is sensitive", struct {
			A shape.Blob `wire:"A" is:"PlaintextType"`
		}{}},
		{"does not fit a Blob", struct {
			A shape.Blob `wire:"A" is:"KeyIdType"`
		}{}},
		{"list of constrained items", struct {
			A string `wire:"A" is:"GrantTokenList"`
		}{}},
		{"does not fit a Integer", struct {
			A int32 `wire:"A" len:"1..2"`
		}{}},
		{"does not fit a String", struct {
			A string `wire:"A" range:"1..2"`
		}{}},
		{"does not fit a Boolean", struct {
			A bool `wire:"A" pattern:"a"`
		}{}},
		{"min..max", struct {
			A string `wire:"A" len:"5"`
		}{}},
		{"invalid syntax", struct {
			A string `wire:"A" len:"a..5"`
		}{}},
		{"minimum exceeds", struct {
			A string `wire:"A" len:"6..5"`
		}{}},
		{"pattern", struct {
			A string `wire:"A" pattern:"["`
		}{}},
		{"only structures are pointers", struct {
			A *string `wire:"A"`
		}{}},
		{"only structures are pointers", struct {
			A *time.Time `wire:"A"`
		}{}},
		{"Opt is for scalars", struct {
			A shape.Opt[shape.Blob] `wire:"A"`
		}{}},
		{"list items are plain", struct {
			A []shape.Opt[string] `wire:"A"`
		}{}},
		{"list items are plain", struct {
			A [][]string `wire:"A"`
		}{}},
		{"no form on the wire", struct {
			A map[string]string `wire:"A"`
		}{}},
		{"no form on the wire", struct {
			A float64 `wire:"A"`
		}{}},
		{"contains itself", recursive{}},
		{"drop the flag", struct {
			A shape.Secret `wire:"A,hidden"`
		}{}},
		{"flag text is for a Secret", struct {
			A string `wire:"A,text"`
		}{}},
		{"cannot have a default", struct {
			A string `wire:"A,required" default:"x"`
		}{}},
		{"have defaults", struct {
			A []string `wire:"A" default:"x"`
		}{}},
		{"invalid syntax", struct {
			A int32 `wire:"A" default:"x"`
		}{}},
		{"Member must satisfy enum value set", struct {
			A shape.MessageType `wire:"A" default:"raw"`
		}{}},
		{"Member must have value less", struct {
			A int32 `wire:"A" range:"1..5" default:"6"`
		}{}},
		{"is no struct", 5},
	} {
		_, err := awsjson.CompileType(reflect.TypeOf(tt.v))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%T: got %v, want %q", tt.v, err, tt.want)
		}
	}
}

func TestCompilePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a wrong declaration did not stop the program")
		}
	}()
	awsjson.Compile[struct{ A string }]()
}

// TestInlineTags: constraints without a named type, and overriding one.
func TestInlineTags(t *testing.T) {
	type in struct {
		Name    string                  `wire:"Name" len:"2..3" pattern:"^[\\w]+$" default:"abc"`
		Kept    string                  `wire:"-"`
		Limit   shape.Opt[int32]        `wire:"Limit" is:"LimitType" range:"1..100"`
		Labels  []string                `wire:"Labels" size:"1..2" len:"..3"`
		Numbers []int64                 `wire:"Numbers" range:"5.."`
		Context shape.EncryptionContext `wire:"Context" size:"..1"`
		Count   uint64                  `wire:"Count" range:"..9"`
		Pin     shape.Secret            `wire:"Pin,text" len:"4..8"`
		Key     shape.Blob              `wire:"Key,clear" is:"PlaintextType"`
	}
	s := awsjson.Compile[in]()
	var v in
	invalid, err := s.Decode([]byte(`{"Limit":101,"Labels":[],"Numbers":[5,4],"Context":{"a":"","b":""},"Count":18446744073709551615,"Pin":"ü"}`), &v)
	if err != nil || invalid == nil {
		t.Fatal(invalid, err)
	}
	want := "6 validation errors detected: " + strings.Join([]string{
		"Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100",
		"Value '[]' at 'labels' failed to satisfy constraint: Member must have length greater than or equal to 1",
		"Value '[5, 4]' at 'numbers' failed to satisfy constraint: Member must satisfy constraint: [Member must have value greater than or equal to 5]",
		"Value at 'context' failed to satisfy constraint: Member must have length less than or equal to 1",
		"Value '18446744073709551615' at 'count' failed to satisfy constraint: Member must have value less than or equal to 9",
		"Value at 'pin' failed to satisfy constraint: Member must have length greater than or equal to 4",
	}, "; ")
	if invalid.Message != want || v.Name != "abc" {
		t.Errorf("got  %s\nwant %s", invalid.Message, want)
	}
}

// TestMembers: what a test against the published model gets to see.
func TestMembers(t *testing.T) {
	m := encryptShape.Members()
	if len(m) != 6 || m[0].Name != "KeyId" || m[0].Type != "KeyIdType" || !m[0].Required || m[0].Constraint.Max != 2048 || m[0].Constraint.Pattern != shape.KeyIdPattern {
		t.Errorf("KeyId: %+v", m[0])
	}
	if !m[1].Secret || m[1].Kind != "Blob" || m[1].Constraint.Max != 4096 {
		t.Errorf("Plaintext: %+v", m[1])
	}
	if m[3].Item == nil || m[3].Constraint.Max != 10 || m[3].Item.Constraint.Max != 8192 || !m[3].Hidden {
		t.Errorf("GrantTokens: %+v", m[3])
	}
	if !m[4].HasDefault || m[4].Default != `"SYMMETRIC_DEFAULT"` || len(m[4].Constraint.Enum) != 4 || m[5].Kind != "Boolean" || !m[5].Optional {
		t.Errorf("EncryptionAlgorithm: %+v, DryRun: %+v", m[4], m[5])
	}
	if tags := createKeyShape.Members()[6]; tags.Kind != "List" || tags.Item.Kind != "Structure" || tags.Item.Members[1].Type != "TagValueType" {
		t.Errorf("Tags: %+v", tags)
	}
}

func TestWrongGoType(t *testing.T) {
	for _, v := range []any{encryptInput{}, &encryptOutput{}, (*encryptInput)(nil), nil} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T accepted", v)
				}
			}()
			_, _ = encryptShape.Decode([]byte(`{}`), v)
		}()
	}
}
