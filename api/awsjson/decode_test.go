package awsjson_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region/shape"
)

func decode[T any](t *testing.T, s *awsjson.Shape, body string) T {
	t.Helper()
	var v T
	invalid, err := s.Decode([]byte(body), &v)
	if err != nil || invalid != nil {
		t.Fatalf("%s: %v, %v", body, invalid, err)
	}
	return v
}

func TestDecodeMembers(t *testing.T) {
	body := []byte(` { "Plaintext" : "aGVsbG8=" , "Unknown":{"a":[1,{"b":null}],"a":"x"}, "\u004beyId":"alias\/a\u002Db",
		"DryRun":false, "GrantTokens":["t1","t2"], "EncryptionContext":{"b":"2","a":"\u00fc\ud83d\udd11","":""} } `)
	var in encryptInput
	if invalid, err := encryptShape.Decode(body, &in); err != nil || invalid != nil {
		t.Fatal(invalid, err)
	}
	clear(body) // what was decoded does not live in the body
	ctx, _ := shape.NewEncryptionContext([]shape.Pair{{Key: "a", Value: "ü🔑"}, {Key: "b", Value: "2"}, {Key: "", Value: ""}})
	want := encryptInput{KeyId: "alias/a-b", EncryptionContext: ctx, GrantTokens: []string{"t1", "t2"},
		EncryptionAlgorithm: "SYMMETRIC_DEFAULT", DryRun: shape.Some(false)}
	if !in.Plaintext.Equal(shape.NewSecret([]byte("hello"))) {
		t.Errorf("plaintext %q", in.Plaintext.Bytes())
	}
	in.Plaintext = shape.Secret{}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got %+v\nwant %+v", in, want)
	}
}

// TestPresence: absent and null are one thing, empty is another.
func TestPresence(t *testing.T) {
	absent := decode[createKeyInput](t, createKeyShape, `{"Description":null,"Tags":null,"MultiRegion":null,"Origin":null,"BypassPolicyLockoutSafetyCheck":null}`)
	if want := (createKeyInput{Origin: shape.OriginAWSKMS}); !reflect.DeepEqual(absent, want) {
		t.Errorf("null: got %+v, want %+v", absent, want)
	}
	if empty := decode[createKeyInput](t, createKeyShape, `{}`); !reflect.DeepEqual(empty, absent) {
		t.Errorf("absent: got %+v", empty)
	}
	in := decode[createKeyInput](t, createKeyShape, `{"Description":"","Tags":[],"MultiRegion":false,"Origin":"EXTERNAL"}`)
	if in.Description != shape.Some("") || in.Tags == nil || in.MultiRegion != shape.Some(false) || in.Origin != "EXTERNAL" {
		t.Errorf("empty: got %+v", in)
	}
	grant := decode[createGrantInput](t, createGrantShape, `{"KeyId":"k","GranteePrincipal":"p","Operations":[],"Constraints":{"EncryptionContextEquals":{}}}`)
	if c := grant.Constraints; c == nil || !c.EncryptionContextEquals.IsSet() || c.EncryptionContextSubset.IsSet() {
		t.Errorf("constraints: got %+v", grant.Constraints)
	}
}

// TestContextNumbers: spec 01 CTX-05.
func TestContextNumbers(t *testing.T) {
	in := decode[encryptInput](t, encryptShape, `{"KeyId":"k","Plaintext":"AA==","EncryptionContext":{"a":1,"b":-1.50e+3,"c":0}}`)
	want := map[string]string{"a": "1", "b": "-1.50e+3", "c": "0"}
	if got := in.EncryptionContext.Map(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTimestamps(t *testing.T) {
	for text, want := range map[string]time.Time{
		"1571767572":            time.Unix(1571767572, 0),
		"1571767572.317":        time.UnixMilli(1571767572317),
		"1571767572.3169999":    time.UnixMilli(1571767572317),
		"1.571767572317E9":      time.UnixMilli(1571767572317),
		"-0.5":                  time.UnixMilli(-500),
		"253402300799.999":      time.UnixMilli(253402300799999),
		"4102444800.0000000001": time.Unix(4102444800, 0),
	} {
		in := decode[importKeyMaterialInput](t, importShape, `{"KeyId":"k","ValidTo":`+text+`}`)
		if got := in.ValidTo.Value; !in.ValidTo.Set || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// TestSerialization: bodies that are not even read to the end, and what the caller is told.
func TestSerialization(t *testing.T) {
	deep := strings.Repeat(`{"x":`, 40)
	many := `"` + strings.Repeat(`a","`, 5000) + `"`
	for _, tt := range []struct{ body, want string }{
		{``, "Unexpected end of the request body, expected a value"},
		{`   `, "Unexpected end of the request body, expected a value"},
		{`null`, "Null found where not expected"},
		{`[]`, "Start of list found where not expected"},
		{`"x"`, "Expected structure or null"},
		{`5`, "Expected structure or null"},
		{`{`, "Unexpected end of the request body, expected '\"'"},
		{`{}{}`, "Unexpected character after the end of the request body"},
		{`{} x`, "Unexpected character after the end of the request body"},
		{"{}\x00", "Unexpected character after the end of the request body"},
		{"\xef\xbb\xbf{}", "Expected structure or null"},
		{`{"KeyId":"a",}`, "Unexpected character in the request body, expected '\"'"},
		{`{"KeyId" "a"}`, "Unexpected character in the request body, expected ':'"},
		{`{"KeyId":"a" "x":1}`, "Unexpected character in the request body, expected ',' or '}'"},
		{`{"KeyId":}`, "Unexpected character in the request body, expected a value"},
		{`{KeyId:"a"}`, "Unexpected character in the request body, expected '\"'"},
		{`{"KeyId":'a'}`, "Unexpected character in the request body, expected a value"},
		{`{"KeyId":"a`, "Unexpected end of the request body, expected '\"'"},
		{"{\"KeyId\":\"a\nb\"}", "Control character in a string of the request body, escape it"},
		{"{\"KeyId\":\"aaaaaaaaaaaa\x1faaaaaaaaaaaa\"}", "Control character in a string of the request body, escape it"},
		{"{\"KeyId\":\"a\xffb\"}", "Invalid UTF-8 in a string of the request body"},
		{"{\"\xc0\x80\":\"\"}", "Invalid UTF-8 in a string of the request body"},
		{`{"KeyId":"\x41"}`, "Invalid escape sequence in a string of the request body"},
		{`{"KeyId":"\u00g0"}`, "Invalid escape sequence in a string of the request body"},
		{`{"KeyId":"\ud800"}`, "Unpaired surrogate in a string of the request body"},
		{`{"KeyId":"\ud800\u0041"}`, "Unpaired surrogate in a string of the request body"},
		{`{"KeyId":"\udc00\ud800"}`, "Unpaired surrogate in a string of the request body"},
		{`{"X":"\ud800"}`, "Unpaired surrogate in a string of the request body"},
		{`{"KeyId":1}`, "NUMBER_VALUE can not be converted to a String"},
		{`{"KeyId":true}`, "TRUE_VALUE can not be converted to a String"},
		{`{"KeyId":["a"]}`, "Start of list found where not expected"},
		{`{"KeyId":{"a":1}}`, "Start of structure or map found where not expected"},
		{`{"KeyId":"a","KeyId":"b"}`, "The member KeyId occurs twice in the request body"},
		{`{"KeyId":"a","\u004beyId":null}`, "The member KeyId occurs twice in the request body"},
		{`{"Plaintext":"AA="}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":"AAAA="}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":"A==="}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":"===="}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":"AB=="}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":"AA\n\n\n\n=="}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":"AAAA\n\n\n\n"}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":" AAA"}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":"AA-_"}`, "A blob in the request body is not valid base64"},
		{`{"Plaintext":5}`, "NUMBER_VALUE can not be converted to a Blob"},
		{`{"DryRun":"true"}`, "STRING_VALUE can not be converted to a Boolean"},
		{`{"DryRun":1}`, "NUMBER_VALUE can not be converted to a Boolean"},
		{`{"DryRun":tru}`, "Unexpected character in the request body, expected true"},
		{`{"DryRun":nul}`, "Unexpected character in the request body, expected null"},
		{`{"GrantTokens":"a"}`, "Expected list or null"},
		{`{"GrantTokens":[null]}`, "Null found where not expected"},
		{`{"GrantTokens":["a",]}`, "Unexpected character in the request body, expected a value"},
		{`{"GrantTokens":["a" "b"]}`, "Unexpected character in the request body, expected ',' or ']'"},
		{`{"GrantTokens":[` + many + `]}`, "A list in the request body has too many items"},
		{`{"EncryptionContext":[]}`, "Start of list found where not expected"},
		{`{"EncryptionContext":"a"}`, "Expected map or null"},
		{`{"EncryptionContext":{"a":{}}}`, "Start of structure or map found where not expected"},
		{`{"EncryptionContext":{"a":["b"]}}`, "Start of list found where not expected"},
		{`{"EncryptionContext":{"a":true}}`, "TRUE_VALUE can not be converted to a String"},
		{`{"EncryptionContext":{"a":null}}`, "Null found where not expected"},
		{`{"EncryptionContext":{"a":"1","b":"2","\u0061":"1"}}`, "A map in the request body has the same key twice"},
		{deep, "The request body is nested too deeply"},
		{`{"X":01}`, "Unexpected character in the request body, expected ',' or '}'"},
		{`{"X":1.}`, "Unexpected character in the request body, expected a digit"},
		{`{"X":+1}`, "Unexpected character in the request body, expected a value"},
		{`{"X":1e}`, "Unexpected character in the request body, expected a digit"},
		{`{"X":-}`, "Unexpected character in the request body, expected a digit"},
		{`{"X":NaN}`, "Unexpected character in the request body, expected a value"},
	} {
		var in encryptInput
		invalid, err := encryptShape.Decode([]byte(tt.body), &in)
		var se *awsjson.SerializationError
		if !errors.As(err, &se) || invalid != nil || se.Message != tt.want {
			t.Errorf("%.60q: got %v, %v\nwant %q", tt.body, invalid, err, tt.want)
		}
	}
}

// TestCheckSyntax: the form of a body is judged without a shape, for operations that do not exist.
func TestCheckSyntax(t *testing.T) {
	if err := awsjson.CheckSyntax([]byte(`{"KeyId":5,"x":[{}]}`)); err != nil {
		t.Error(err)
	}
	for _, body := range []string{``, `[]`, `{"a":1}}`, `{"a":"\ud800"}`} {
		if err := awsjson.CheckSyntax([]byte(body)); err == nil {
			t.Errorf("%q accepted", body)
		}
	}
}

func TestSerializationOfNumbers(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{`{"KeyId":"k","NumberOfBytes":"5"}`, "STRING_VALUE can not be converted to an Integer"},
		{`{"KeyId":"k","NumberOfBytes":5.5}`, "NUMBER_VALUE can not be converted to an Integer"},
		{`{"KeyId":"k","NumberOfBytes":1e1}`, "NUMBER_VALUE can not be converted to an Integer"},
		{`{"KeyId":"k","NumberOfBytes":2147483648}`, "NUMBER_VALUE can not be converted to an Integer"},
		{`{"KeyId":"k","NumberOfBytes":false}`, "FALSE_VALUE can not be converted to an Integer"},
	} {
		var in generateDataKeyInput
		if _, err := dataKeyShape.Decode([]byte(tt.body), &in); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.body, err, tt.want)
		}
	}
	for _, v := range []string{`"2030-01-01T00:00:00Z"`, `1e300`, `253402300800`, `-62135596801`, `1e999`} {
		var in importKeyMaterialInput
		if _, err := importShape.Decode([]byte(`{"KeyId":"k","ValidTo":`+v+`}`), &in); err == nil {
			t.Errorf("timestamp %s was accepted", v)
		}
	}
}

// TestErrorsShowNoValues: whatever goes wrong, what the client sent as a secret is not repeated.
func TestErrorsShowNoValues(t *testing.T) {
	const canary = "Q0FOQVJZ" // base64
	for _, tail := range []string{`"Plaintext":"` + canary + `=",`, `"Plaintext":"` + canary + `"`, `"GrantTokens":["` + canary + `",""]`, `"Plaintext":"` + canary + `","KeyId":5`} {
		var in encryptInput
		invalid, err := encryptShape.Decode([]byte(`{"EncryptionContext":{},`+tail+`}`), &in)
		if s := fmt.Sprint(invalid, err, in); strings.Contains(s, canary) && !strings.Contains(tail, "GrantTokens") || strings.Contains(s, "CANARY") {
			t.Errorf("%s: shown in %s", tail, s)
		}
		if invalid != nil && strings.Contains(invalid.Message, canary) {
			t.Errorf("%s: shown in %s", tail, invalid.Message)
		}
	}
}

// TestDecodeWipesOnError: a body refused half-way leaves no plaintext behind.
func TestDecodeWipesOnError(t *testing.T) {
	var in encryptInput
	if _, err := encryptShape.Decode([]byte(`{"Plaintext":"aGVsbG8=","KeyId":5}`), &in); err == nil {
		t.Fatal("accepted")
	}
	if !bytes.Equal(in.Plaintext.Bytes(), make([]byte, 5)) {
		t.Errorf("plaintext left: %q", in.Plaintext.Bytes())
	}
}

func TestSecretText(t *testing.T) {
	in := decode[createStoreInput](t, createStoreShape, `{"CustomKeyStoreName":"s","KeyStorePassword":"p\u00e4ssw\/rd","XksProxyAuthenticationCredential":{"AccessKeyId":"`+
		strings.Repeat("A", 20)+`","RawSecretAccessKey":"`+strings.Repeat("s", 43)+`"}}`)
	if got := string(in.KeyStorePassword.Bytes()); got != "pässw/rd" {
		t.Errorf("got %q", got)
	}
	createStoreShape.Wipe(&in)
	for _, s := range []shape.Secret{in.KeyStorePassword, in.Credential.AccessKeyId, in.Credential.RawSecretAccessKey} {
		if len(bytes.Trim(s.Bytes(), "\x00")) != 0 || s.Len() == 0 {
			t.Errorf("not wiped: %q", s.Bytes())
		}
	}
}

func TestDecodeAllocations(t *testing.T) {
	body := []byte(encryptBody)
	if got := testing.AllocsPerRun(100, func() {
		var in encryptInput
		if invalid, err := encryptShape.Decode(body, &in); invalid != nil || err != nil {
			t.Fatal(invalid, err)
		}
	}); got > 4 {
		t.Errorf("%v allocations per decode", got)
	}
}

const encryptBody = `{"KeyId": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "Plaintext": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "EncryptionContext": {"Department": "10103.0", "Purpose": "unit-of-work"}}`

func BenchmarkDecodeEncrypt(b *testing.B) {
	body := []byte(encryptBody)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var in encryptInput
		if invalid, err := encryptShape.Decode(body, &in); invalid != nil || err != nil {
			b.Fatal(invalid, err)
		}
	}
}
