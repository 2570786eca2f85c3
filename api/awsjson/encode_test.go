package awsjson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region/shape"
)

var created = time.Date(2022, 8, 10, 22, 38, 27, 317_999_999, time.UTC)

func sampleKey() createKeyOutput {
	return createKeyOutput{KeyMetadata: keyMetadata{
		AWSAccountId: "111122223333", KeyId: "k", CreationDate: created, DeletionDate: shape.Some(created.Truncate(time.Second)),
		Algorithms: []shape.EncryptionAlgorithmSpec{"SYMMETRIC_DEFAULT"}, PrimaryKey: &multiRegionKey{Arn: "a", Region: "r"},
		ReplicaKeys: []multiRegionKey{}, Window: shape.Some(int32(7)), Index: 1<<64 - 1,
	}}
}

func TestAppend(t *testing.T) {
	full, empty := sampleKey(), createKeyOutput{}
	out := encryptOutput{CiphertextBlob: shape.Blob{0xfb, 0xff}, KeyId: "a\"\\\n\r\t\x01ü\u2028🔑\xff", EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}
	secret := encryptInput{Plaintext: shape.NewSecret([]byte("hello")), EncryptionContext: shape.EncryptionContextOf(map[string]string{"b": "2", "a": `"`})}
	store := createStoreInput{KeyStorePassword: shape.NewSecret([]byte("p\"w\xff")), Credential: &credential{}}
	for _, tt := range []struct {
		name, want string
		shape      *awsjson.Shape
		v          any
	}{
		{"everything", `{"KeyMetadata":{"AWSAccountId":"111122223333","KeyId":"k","CreationDate":1660171107.317,"Enabled":false,"DeletionDate":1660171107,"EncryptionAlgorithms":["SYMMETRIC_DEFAULT"],"PrimaryKey":{"Arn":"a","Region":"r"},"ReplicaKeys":[],"PendingDeletionWindowInDays":7,"Index":18446744073709551615}}`, createKeyOut, &full},
		{"absent members", `{"KeyMetadata":{"AWSAccountId":"","KeyId":"","Enabled":false,"Index":0}}`, createKeyOut, &empty},
		{"escapes", `{"CiphertextBlob":"+/8=","KeyId":"a\"\\\n\r\t\u0001ü` + "\u2028" + `🔑�","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, encryptOutShape, &out},
		{"a secret goes to its owner", `{"KeyId":"","Plaintext":"aGVsbG8=","EncryptionContext":{"a":"\"","b":"2"},"EncryptionAlgorithm":""}`, encryptShape, &secret},
		{"text secret", `{"CustomKeyStoreName":"","KeyStorePassword":"p\"w�","XksProxyAuthenticationCredential":{}}`, createStoreShape, &store},
	} {
		got := string(tt.shape.Append([]byte("x"), tt.v))
		if got != "x"+tt.want {
			t.Errorf("%s:\ngot  %s\nwant x%s", tt.name, got, tt.want)
		}
		if !json.Valid([]byte(got[1:])) {
			t.Errorf("%s: not JSON", tt.name)
		}
	}
}

// TestSelection: spec 03 AUD-13, AUD-14, AUD-28.
func TestSelection(t *testing.T) {
	key := sampleKey()
	grant := createGrantInput{KeyId: "alias/a", Operations: []shape.GrantOperation{"Decrypt"},
		Constraints: &grantConstraints{EncryptionContextEquals: shape.EncryptionContextOf(map[string]string{"Dept": "IT"})}}
	tags := createKeyInput{Description: shape.Some(""), Tags: []tag{{"k", "v"}}}
	store := createStoreInput{CloudHsmClusterId: shape.Some("cluster-1")}
	for _, tt := range []struct {
		name, want string
		shape      *awsjson.Shape
		members    string
		v          any
	}{
		{"nested, times as text", `{"keyMetadata":{"aWSAccountId":"111122223333","keyId":"k","creationDate":"Aug 10, 2022, 10:38:27 PM","enabled":false,"deletionDate":"Aug 10, 2022, 10:38:27 PM","encryptionAlgorithms":["SYMMETRIC_DEFAULT"],"primaryKey":{"arn":"a","region":"r"},"replicaKeys":[],"pendingDeletionWindowInDays":7,"index":18446744073709551615}}`, createKeyOut, "KeyMetadata", &key},
		{"context keys as they are", `{"keyId":"alias/a","constraints":{"encryptionContextEquals":{"Dept":"IT"}},"operations":["Decrypt"]}`, createGrantShape, "KeyId Constraints Operations Name", &grant},
		{"lists of structures", `{"description":"","tags":[{"tagKey":"k","tagValue":"v"}]}`, createKeyShape, "Policy Description Tags", &tags},
		{"renamed", `{"clusterId":"cluster-1"}`, createStoreShape, "CloudHsmClusterId=clusterId", &store},
		{"nothing there", `null`, createKeyShape, "Policy", &tags},
		{"nothing selected", `null`, createKeyShape, "", &tags},
	} {
		sel, err := tt.shape.Select(strings.Fields(tt.members)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(sel.Append([]byte("x"), tt.v)); got != "x"+tt.want {
			t.Errorf("%s:\ngot  %s\nwant x%s", tt.name, got, tt.want)
		}
	}
	if got := string((*awsjson.Selection)(nil).Append(nil, &key)); got != "null" {
		t.Errorf("no selection: got %s", got)
	}
}

// TestSelectRefuses: a secret cannot get into a record, because the selection does not compile (spec 03 AUD-30).
func TestSelectRefuses(t *testing.T) {
	for _, tt := range []struct {
		shape        *awsjson.Shape
		member, want string
	}{
		{encryptShape, "Plaintext", "it is a secret"},
		{encryptShape, "GrantTokens", "it is hidden"},
		{createStoreShape, "KeyStorePassword", "it is a secret"},
		{createStoreShape, "XksProxyAuthenticationCredential", "AccessKeyId in it: it is a secret"},
		{encryptShape, "keyId", "no member"},
	} {
		if _, err := tt.shape.Select("KeyId", tt.member); err == nil || !strings.Contains(err.Error(), tt.want) {
			if _, err = tt.shape.Select(tt.member); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want %q", tt.member, err, tt.want)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustSelect did not panic")
		}
	}()
	encryptShape.MustSelect("Plaintext")
}

func TestAppendError(t *testing.T) {
	for _, tt := range [][3]string{
		{"ValidationException", "a \"b\"", `{"__type":"ValidationException","message":"a \"b\""}`},
		{"InvalidCiphertextException", "", `{"__type":"InvalidCiphertextException"}`},
		{"AccessDeniedException", "User: x", `{"__type":"AccessDeniedException","Message":"User: x"}`},
	} {
		if got := string(awsjson.AppendError(nil, tt[0], tt[1])); got != tt[2] {
			t.Errorf("got %s, want %s", got, tt[2])
		}
	}
}

// TestWipeLists: secrets in lists and structures are reached.
func TestWipeLists(t *testing.T) {
	type out struct {
		Keys []shape.Secret `wire:"Keys"`
		Deep []credential   `wire:"Deep"`
	}
	v := out{Keys: []shape.Secret{shape.NewSecret([]byte("a"))}, Deep: []credential{{AccessKeyId: shape.NewSecret([]byte("b"))}}}
	awsjson.Compile[out]().Wipe(&v)
	if v.Keys[0].Bytes()[0] != 0 || v.Deep[0].AccessKeyId.Bytes()[0] != 0 {
		t.Error("not wiped")
	}
}

func BenchmarkAppendEncrypt(b *testing.B) {
	out := encryptOutput{CiphertextBlob: make(shape.Blob, 152), KeyId: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = encryptOutShape.Append(buf[:0], &out)
	}
}

func BenchmarkAuditEncrypt(b *testing.B) {
	sel := encryptShape.MustSelect("KeyId", "EncryptionAlgorithm", "EncryptionContext")
	var in encryptInput
	if _, err := encryptShape.Decode([]byte(encryptBody), &in); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = sel.Append(buf[:0], &in)
	}
}

// TestInline: what is inline is read, checked, selected, written and wiped where the field stands, like the structure's own members.
func TestInline(t *testing.T) {
	type named struct {
		Name   string       `wire:"Name,required" len:"1..3"`
		Secret shape.Secret `wire:"Secret" is:"PlaintextType"`
	}
	type both struct {
		First string `wire:"First" default:"1"`
		Of    named  `wire:",inline"`
		Last  string `wire:"Last" default:"2"`
	}
	s := awsjson.Compile[both]()
	var v both
	if invalid, err := s.Decode([]byte(`{"Last":"z","Name":"abcd","Secret":"aGVsbG8="}`), &v); err != nil || invalid == nil || invalid.Count != 1 {
		t.Fatalf("%v, %v", invalid, err)
	}
	if got, want := string(s.Append(nil, &v)), `{"First":"1","Name":"abcd","Secret":"aGVsbG8=","Last":"z"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(s.MustSelect("Name", "Last").Append(nil, &v)), `{"name":"abcd","last":"z"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s.Wipe(&v); v.Of.Secret.IsSet() && string(v.Of.Secret.Bytes()) == "hello" {
		t.Error("the secret is still there")
	}
	if invalid, err := s.Decode([]byte(`{}`), new(both)); err != nil || invalid == nil || invalid.Count != 1 {
		t.Errorf("without the required member: %v, %v", invalid, err)
	}
}
