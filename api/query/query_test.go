package query_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/query"
	"github.com/trentkms/trent/region/shape"
)

type item struct {
	Key   string `wire:"Key"`
	Value string `wire:"Value"`
}

type sample struct {
	_     struct{}          `refuse:"Widens"`
	Name  string            `wire:"Name"`
	Opt   shape.Opt[string] `wire:"Opt"`
	Count shape.Opt[int32]  `wire:"Count"`
	Flag  bool              `wire:"Flag"`
	List  []string          `wire:"List"`
	Tags  []item            `wire:"Tags"`
	One   *item             `wire:"One"`
	Also  inner             `wire:",inline"`
}

type inner struct {
	Inline string `wire:"Inline"`
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"", `{}`},
		{"Action=X&Name=a%20b%2Bc", `{"Name":"a b+c"}`},
		{"Opt=&Count=-7&Flag=TRUE", `{"Count":-7,"Flag":true,"Opt":""}`},
		{"List=", `{"List":[]}`},
		{"List.member.2=b&List.member.1=a&List.member.4=d", `{"List":["a","b"]}`},
		{"Tags.member.1.Key=k&Tags.member.1.Value=v&Tags.member.2.key=l", `{"Tags":[{"Key":"k","Value":"v"},{"Key":"l"}]}`},
		{"One.Key=k", `{"One":{"Key":"k"}}`},
		{"Inline=x&Also.Inline=y", `{"Inline":"x"}`},
		{"Unknown=1&Lists.member.1=x&name=small", `{"Name":"small"}`},
		{"Widens=yes", `{"Widens":"yes"}`},
		{"Widens.member.1=yes", `{"Widens":""}`},
		{"Count=x", `The parameter Count has the value "x", which is no int32.`},
		{"Flag=maybe", `The parameter Flag has the value "maybe", which is no bool.`},
		{"Name=a&Name=b", `The parameter "Name" occurs more than once.`},
		{"Name=%zz", `The request body is not a form: invalid URL escape "%zz"`},
		{strings.Repeat("a&", 1000), `The request has 1001 parameters, at most 1000 are allowed.`},
	} {
		if got := decoded([]byte(c.body)); got != c.want {
			t.Errorf("%.60s\ngot  %s\nwant %s", c.body, got, c.want)
		}
	}
}

func decoded(body []byte) string {
	f, err := query.ParseForm(body)
	if err != nil {
		return err.Error()
	}
	b, err := f.JSON(reflect.TypeFor[sample]())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// FuzzForm: whatever comes gives an error or a JSON object.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"Name=a", "Tags.member.1.Key=k", "List=", "One.Key=%41", "Count=1&Flag=true", "List.member.1.member.1=x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := query.ParseForm(body)
		if err != nil {
			return
		}
		b, err := form.JSON(reflect.TypeFor[sample]())
		if err == nil && !json.Valid(b) {
			t.Errorf("%q gives %q", body, b)
		}
	})
}

type encoded string

func (e encoded) XMLText() string { return "%" + string(e) }

type answer struct {
	Text   string           `wire:"Text"`
	Absent shape.Opt[int32] `wire:"Absent"`
	Some   shape.Opt[int32] `wire:"Some"`
	Doc    encoded          `wire:"Doc"`
	Secret shape.Secret     `wire:"Secret,text"`
	At     time.Time        `wire:"At"`
	Never  time.Time        `wire:"Never"`
	List   []item           `wire:"List"`
	Empty  []string         `wire:"Empty"`
	Nil    []string         `wire:"Nil"`
	None   *item            `wire:"None"`
	Map    map[string]int32 `wire:"Map"`
	Hidden string           `wire:"-"`
	Also   inner            `wire:",inline"`
}

func TestAnswers(t *testing.T) {
	out := &answer{
		Text: "a<&>\n", Some: shape.Some[int32](3), Doc: "d", Secret: shape.NewSecret([]byte("s/+")), At: time.Unix(1_700_000_000, 0),
		List: []item{{"k", "v"}}, Empty: []string{}, Map: map[string]int32{"b": 2, "a": 1}, Hidden: "h", Also: inner{"i"},
	}
	got := string(query.AppendAnswer(nil, "urn:x", "Op", "id-1", out))
	want := `<OpResponse xmlns="urn:x"><OpResult><Text>a&lt;&amp;&gt;&#xA;</Text><Some>3</Some><Doc>%d</Doc><Secret>s/+</Secret>` +
		`<At>2023-11-14T22:13:20Z</At><List><member><Key>k</Key><Value>v</Value></member></List><Empty></Empty>` +
		`<Map><entry><key>a</key><value>1</value></entry><entry><key>b</key><value>2</value></entry></Map><Inline>i</Inline></OpResult>` +
		`<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></OpResponse>` + "\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	void := string(query.AppendAnswer(nil, "urn:x", "Op", "id-1", nil))
	if want := `<OpResponse xmlns="urn:x"><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></OpResponse>` + "\n"; void != want {
		t.Errorf("got  %s\nwant %s", void, want)
	}
	bad := string(query.AppendError(nil, "urn:x", "id-1", "NoSuchEntity", "a < \x00b", true))
	if want := `<ErrorResponse xmlns="urn:x"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>a &lt; ` + "\uFFFD" + `b</Message></Error><RequestId>id-1</RequestId></ErrorResponse>` + "\n"; bad != want {
		t.Errorf("got  %s\nwant %s", bad, want)
	}
	for _, s := range []string{got, void, bad} {
		for d := xml.NewDecoder(strings.NewReader(s)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, s)
			}
		}
	}
}
