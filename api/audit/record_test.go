package audit

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestRecordSkeletons(t *testing.T) {
	decrypt := decryptRecord()
	decrypt.ErrorCode, decrypt.ErrorMessage = "KMSInvalidStateException", "no"
	decrypt.AdditionalEventData = []byte(`{"customKeyStoreId":"cks-1"}`)
	decrypt.SharedEventID, decrypt.VPCEndpointID = "shared-1", "vpce-1"
	decrypt.TLSDetails.KeyExchange = "X25519MLKEM768"
	rotate := &Record{
		UserIdentity: InternalIdentity("111122223333"), EventTime: testTime, EventName: "RotateKey", AWSRegion: "us-west-2",
		SourceIPAddress: InternalCaller, UserAgent: InternalCaller, ResponseElements: []byte(`{"keyId":"` + testKeyARN + `"}`),
		EventID: "e-1", Resources: []Resource{{AccountID: "111122223333", ARN: testKeyARN}}, EventType: TypeServiceEvent,
		RecipientAccountID: "111122223333", ServiceEventDetails: []byte(`{"rotationType":"AUTOMATIC","keyId":"` + testKeyID + `"}`),
	}
	list := &Record{EventTime: testTime, EventName: "ListKeys", EventID: "e-2", ReadOnly: true, Resources: []Resource{}, EventSource: "trent"}
	const resources = `"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"` + testKeyARN + `"}],`
	for _, c := range []struct {
		name string
		rec  *Record
		want string
	}{
		{"failed decrypt", decrypt, `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"EX_PRINCIPAL_ID","arn":"arn:aws:iam::111122223333:user/Alice","accountId":"111122223333","accessKeyId":"EXAMPLE_KEY_ID","userName":"Alice"},"eventTime":"2022-11-24T00:26:58Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"us-west-2","sourceIPAddress":"192.0.2.0","userAgent":"aws-cli/2.15","errorCode":"KMSInvalidStateException","errorMessage":"no","requestParameters":{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","keyId":"alias/a","encryptionContext":{"k":"v"}},"responseElements":null,"additionalEventData":{"customKeyStoreId":"cks-1"},"requestID":"b4a65126-30d5-4b28-98b9-9153da559963","eventID":"0e5f6d2c-2c36-4b7b-8c5e-4b0a3f4f9f11","readOnly":true,` + resources + `"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","sharedEventID":"shared-1","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"kms.example.test","keyExchange":"X25519MLKEM768"},"vpcEndpointId":"vpce-1"}`},
		{"internal event", rotate, `{"eventVersion":"1.11","userIdentity":{"accountId":"111122223333","invokedBy":"AWS Internal"},"eventTime":"2022-11-24T00:26:58Z","eventSource":"kms.amazonaws.com","eventName":"RotateKey","awsRegion":"us-west-2","sourceIPAddress":"AWS Internal","userAgent":"AWS Internal","requestParameters":null,"responseElements":{"keyId":"` + testKeyARN + `"},"eventID":"e-1","readOnly":false,` + resources + `"eventType":"AwsServiceEvent","managementEvent":true,"recipientAccountId":"111122223333","serviceEventDetails":{"rotationType":"AUTOMATIC","keyId":"` + testKeyID + `"},"eventCategory":"Management"}`},
		{"empty resources", list, `{"eventVersion":"1.11","userIdentity":{},"eventTime":"2022-11-24T00:26:58Z","eventSource":"trent","eventName":"ListKeys","awsRegion":"","sourceIPAddress":"","userAgent":"","requestParameters":null,"responseElements":null,"eventID":"e-2","readOnly":true,"resources":[],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"","eventCategory":"Management"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.rec.AppendJSON([]byte("before"))
			if string(got) != "before"+c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if err := CheckRecord(got[len("before"):]); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUserIdentities(t *testing.T) {
	session := &SessionContext{MFAAuthenticated: true, CreationDate: testTime, Issuer: &SessionIssuer{Type: "Role", PrincipalID: "AROA", ARN: "arn:aws:iam::1:role/R", AccountID: "1", UserName: "R"}}
	assumed := UserIdentity{Type: TypeAssumedRole, PrincipalID: "AROA:s", ARN: "arn:aws:sts::1:assumed-role/R/s", AccountID: "1", Session: session, InvokedBy: "ebs.amazonaws.com"}
	for _, c := range []struct {
		name string
		id   UserIdentity
		want string
	}{
		{"root", UserIdentity{Type: TypeRoot, PrincipalID: "1", ARN: "arn:aws:iam::1:root", AccountID: "1", AccessKeyID: "AK"}, `{"type":"Root","principalId":"1","arn":"arn:aws:iam::1:root","accountId":"1","accessKeyId":"AK"}`},
		{"assumed role with empty access key", assumed, `{"type":"AssumedRole","principalId":"AROA:s","arn":"arn:aws:sts::1:assumed-role/R/s","accountId":"1","accessKeyId":"","sessionContext":{"attributes":{"mfaAuthenticated":"true","creationDate":"2022-11-24T00:26:58Z"},"sessionIssuer":{"type":"Role","principalId":"AROA","arn":"arn:aws:iam::1:role/R","accountId":"1","userName":"R"}},"invokedBy":"ebs.amazonaws.com"}`},
		{"foreign account", assumed.ForeignIdentity(), `{"type":"AWSAccount","principalId":"AROA:s","accountId":"1","invokedBy":"ebs.amazonaws.com"}`},
		{"service", ServiceIdentity("s3.us-west-2.amazonaws.com"), `{"type":"AWSService","invokedBy":"s3.us-west-2.amazonaws.com"}`},
		{"internal", InternalIdentity("1"), `{"accountId":"1","invokedBy":"AWS Internal"}`},
		{"user with session", UserIdentity{Type: TypeIAMUser, UserName: "A", AccessKeyID: "AK", Session: &SessionContext{CreationDate: testTime}}, `{"type":"IAMUser","accessKeyId":"AK","userName":"A","sessionContext":{"attributes":{"mfaAuthenticated":"false","creationDate":"2022-11-24T00:26:58Z"}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rec struct{ UserIdentity json.RawMessage }
			if err := json.Unmarshal((&Record{UserIdentity: c.id}).AppendJSON(nil), &rec); err != nil {
				t.Fatal(err)
			}
			if string(rec.UserIdentity) != c.want {
				t.Errorf("got\n%s\nwant\n%s", rec.UserIdentity, c.want)
			}
		})
	}
}

func TestRecordIsCut(t *testing.T) {
	big := func(n int) []byte { return []byte(`{"v":"` + strings.Repeat("p", n) + `"}`) }
	many := make([]Resource, 3000)
	for i := range many {
		many[i] = Resource{AccountID: "1", ARN: strings.Repeat("\x01", 100)}
	}
	hostile := strings.Repeat("\x00\"\xff", 60<<10)
	for _, c := range []struct {
		name  string
		rec   Record
		check func(t *testing.T, m map[string]any, rec []byte)
	}{
		{"largest part goes, smaller stays", Record{RequestParameters: big(300 << 10), ResponseElements: big(10)}, func(t *testing.T, m map[string]any, rec []byte) {
			part := m["requestParameters"].(map[string]any)
			if part["omitted"] != true || part["originalSize"] != float64(300<<10+8) {
				t.Errorf("requestParameters = %v", part)
			}
			if m["responseElements"].(map[string]any)["v"] != "pppppppppp" {
				t.Errorf("responseElements = %v", m["responseElements"])
			}
		}},
		{"long text", Record{UserAgent: strings.Repeat("ü", 200<<10)}, func(t *testing.T, m map[string]any, rec []byte) {
			ua := m["userAgent"].(string)
			if !strings.HasSuffix(ua, "[cut from 409600 bytes]") || !strings.HasPrefix(ua, "üü") || len(ua) > cutText+64 {
				t.Errorf("userAgent = %.40q, %d bytes", ua, len(ua))
			}
		}},
		{"everything hostile", Record{
			UserIdentity: UserIdentity{Type: hostile, PrincipalID: hostile, ARN: hostile, AccountID: hostile, AccessKeyID: hostile, UserName: hostile, InvokedBy: hostile,
				Session: &SessionContext{Issuer: &SessionIssuer{hostile, hostile, hostile, hostile, hostile}}},
			EventSource: hostile, EventName: hostile, AWSRegion: hostile, SourceIPAddress: hostile, UserAgent: hostile, ErrorCode: hostile, ErrorMessage: hostile,
			RequestParameters: big(90 << 10), ResponseElements: big(90 << 10), AdditionalEventData: big(90 << 10), ServiceEventDetails: big(90 << 10),
			RequestID: hostile, EventID: hostile, Resources: many, EventType: hostile, RecipientAccountID: hostile, SharedEventID: hostile, VPCEndpointID: hostile,
			TLSDetails: &TLSDetails{hostile, hostile, hostile, hostile},
		}, func(t *testing.T, m map[string]any, rec []byte) {
			if n := len(m["resources"].([]any)); n != cutResources {
				t.Errorf("%d resources", n)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := c.rec.AppendJSON(nil)
			if err := CheckRecord(rec); err != nil {
				t.Fatal(err)
			}
			var m map[string]any
			if err := json.Unmarshal(rec, &m); err != nil {
				t.Fatal(err)
			}
			c.check(t, m, rec)
		})
	}
	t.Run("just small enough stays whole", func(t *testing.T) {
		r := decryptRecord()
		r.RequestParameters = big(1)
		r.RequestParameters = big(1 + MaxRecord - len(r.AppendJSON(nil)))
		rec := r.AppendJSON(nil)
		if len(rec) != MaxRecord || bytes.Contains(rec, []byte("omitted")) {
			t.Errorf("%d bytes", len(rec))
		}
	})
}

func TestAppendJSONDoesNotAllocate(t *testing.T) {
	r := decryptRecord()
	buf := r.AppendJSON(nil)
	if n := testing.AllocsPerRun(100, func() { buf = r.AppendJSON(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\n\r\t\x00\x1f\x7f", "ü\u2028\u2029\ufffd", "\xff\xc3", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if bytes.ContainsAny(b, "\n\r\x00") || !utf8.Valid(b) {
			t.Fatalf("raw control characters or bad UTF-8 in %q", b)
		}
		if cut := appendString(nil, s, 8); json.Unmarshal(cut, &got) != nil || len(cut) > 64 {
			t.Fatalf("cut: %q", cut)
		}
	})
}

func TestEnglishTime(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2022, 8, 10, 22, 38, 27, 999, time.UTC), "Aug 10, 2022, 10:38:27 PM"},
		{time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), "Jan 1, 2021, 12:00:00 AM"},
		{time.Date(2021, 1, 1, 1, 5, 9, 0, time.FixedZone("", 2*3600)), "Dec 31, 2020, 11:05:09 PM"},
	} {
		if got := EnglishTime(c.at); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestEventID(t *testing.T) {
	id := EventID("cluster", "RotateKey", testKeyID)
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("%q is not a UUID of version 8", id)
	}
	if id != EventID("cluster", "RotateKey", testKeyID) {
		t.Error("the same seeds gave another identifier")
	}
	if EventID("ab", "c") == EventID("a", "bc") || EventID("a") == EventID("a", "") {
		t.Error("different seeds gave one identifier")
	}
}

func TestCheckRecord(t *testing.T) {
	for _, c := range []struct {
		rec string
		ok  bool
	}{
		{`{"a":1}`, true}, {`{"a":"` + strings.Repeat("x", MaxRecord-8) + `"}`, true},
		{``, false}, {`{}`, false}, {`[1]`, false}, {`{"a":1} `, false}, {"{\"a\":\n1}", false}, {"{\"a\":\"\x00\"}", false},
		{`{"a":"` + strings.Repeat("x", MaxRecord-7) + `"}`, false},
	} {
		if err := CheckRecord([]byte(c.rec)); (err == nil) != c.ok {
			t.Errorf("CheckRecord(%.20q, %d bytes) = %v", c.rec, len(c.rec), err)
		}
	}
}
