package awsjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/trentkms/trent/api/awsjson"
)

var allShapes = []*awsjson.Shape{encryptShape, encryptOutShape, createKeyShape, createKeyOut, dataKeyShape, createGrantShape, verifyShape, importShape, createStoreShape}

var seeds = []string{
	encryptBody,
	`{"KeyId":"","Plaintext":"","GrantTokens":["",""],"EncryptionAlgorithm":"x","DryRun":true}`,
	`{"Description":"","Tags":[{"TagKey":"a","TagValue":""},{}],"MultiRegion":false,"Policy":"{\u0001}","KeySpec":"RSA_2048"}`,
	`{"KeyMetadata":{"AWSAccountId":"1","CreationDate":1571767572.317,"PrimaryKey":{"Arn":"a"},"ReplicaKeys":[],"Index":18446744073709551615}}`,
	`{"KeyId":"k","NumberOfBytes":-1,"KeySpec":"AES_256"}`,
	`{"Operations":["Decrypt","x"],"Constraints":{"EncryptionContextEquals":{},"SourceArn":"x"},"RetiringServicePrincipal":1}`,
	`{"Signature":"AA==","Message":"\/\/8=","SigningAlgorithm":"ECDSA_SHA_256","MessageType":null}`,
	`{"KeyId":"k","ValidTo":-1.5e3,"ExpirationModel":"KEY_MATERIAL_EXPIRES"}`,
	`{"CustomKeyStoreName":"\ud83d\udd11","KeyStorePassword":"p\"","XksProxyAuthenticationCredential":{"AccessKeyId":"A"}}`,
	`{"x":[[],{},"\n",0,-1.5E+7,true,false,null]}`,
	`{"\ud800":1}`, `{"a":01}`, "{\"a\":\"\xff\"}", `[]`, ``,
}

// FuzzDecode: no body makes the codec panic, a refused one gives exactly one kind of answer, and what was accepted survives
// the way out and in again.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, s := range allShapes {
			first := reflect.New(s.Type())
			invalid, err := s.Decode(body, first.Interface())
			if err != nil {
				if invalid != nil {
					t.Fatal("two kinds of error")
				}
				continue
			}
			if invalid != nil && (invalid.Count < 1 || !strings.Contains(invalid.Message, " failed to satisfy constraint: Member must ")) {
				t.Fatalf("%q", invalid.Message)
			}
			encoded := s.Append(nil, first.Interface())
			second := reflect.New(s.Type())
			if _, err := s.Decode(encoded, second.Interface()); err != nil {
				t.Fatalf("%s does not decode again: %v", encoded, err)
			}
			if !reflect.DeepEqual(first.Interface(), second.Interface()) {
				t.Fatalf("%s\nfirst  %+v\nsecond %+v", encoded, first, second)
			}
		}
	})
}

// FuzzSyntax: the parser accepts what encoding/json accepts, except what is listed here as stricter, and nothing else.
func FuzzSyntax(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	nothing := awsjson.Compile[struct{}]()
	f.Fuzz(func(t *testing.T, body []byte) {
		var v struct{}
		_, err := nothing.Decode(body, &v)
		valid := json.Valid(body) && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
		if err == nil && !valid {
			t.Fatalf("%q accepted", body)
		}
		deep := bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 30
		surrogates := bytes.Contains(bytes.ToLower(body), []byte(`\ud`))
		if err != nil && valid && utf8.Valid(body) && !deep && !surrogates {
			t.Fatalf("%q refused: %v", body, err)
		}
	})
}

// FuzzStrings: any text goes through the decoder as encoding/json wrote it, and through the encoder as encoding/json reads it.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "a\"\\/\b\f\n\r\t\x00\x1f\x7f", "ü\u2028🔑\ufffd", "\xff\xc0\x80", "aaaaaaa\"aaaaaaaa\\"} {
		f.Add(s)
	}
	meta := awsjson.Compile[keyMetadata]()
	f.Fuzz(func(t *testing.T, text string) {
		want := strings.ToValidUTF8(text, "\ufffd")
		body, err := json.Marshal(map[string]string{"AWSAccountId": text})
		if err != nil {
			t.Fatal(err)
		}
		var v keyMetadata
		if _, err := meta.Decode(body, &v); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		// encoding/json replaces each invalid byte, ToValidUTF8 each run of them.
		if utf8.ValidString(text) && v.AWSAccountId != want {
			t.Fatalf("decoded %q, want %q", v.AWSAccountId, want)
		}
		v.AWSAccountId = text
		var back struct{ AWSAccountId string }
		if out := meta.Append(nil, &v); !utf8.Valid(out) || json.Unmarshal(out, &back) != nil || utf8.ValidString(text) && back.AWSAccountId != text {
			t.Fatalf("encoded %q, read back %q", out, back.AWSAccountId)
		}
	})
}
