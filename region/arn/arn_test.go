package arn_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
)

const (
	account = "111122223333"
	foreign = "444455556666"
	uuid    = "1234abcd-12ab-34cd-56ef-1234567890ab"
	mrk     = "mrk-1234abcd12ab34cd56ef1234567890ab"
	prefix  = "arn:aws:kms:us-east-1:" + account + ":"
)

var here = arn.Scope{Partition: "aws", Region: "us-east-1"}

func TestParse(t *testing.T) {
	for _, s := range []string{
		"arn:aws:iam::111122223333:root", prefix + "key/" + uuid, "arn:aws:s3:::bucket/a:b", "arn:aws-cn:kms:cn-north-1:1:x",
	} {
		a, ok := arn.Parse(s)
		if !ok || a.String() != s {
			t.Errorf("Parse(%q) = %+v, %v", s, a, ok)
		}
	}
	for _, s := range []string{
		"", "arn", "arn:", "arn:aws:kms", "arn:aws:kms:us-east-1:111122223333", "arn:aws:kms:us-east-1:111122223333:",
		"arn::kms:us-east-1:111122223333:key/x", "arn:aws::us-east-1:111122223333:key/x", "ARN:aws:kms:r:a:key/x",
	} {
		if a, ok := arn.Parse(s); ok {
			t.Errorf("Parse(%q) = %+v", s, a)
		}
	}
}

func TestPrint(t *testing.T) {
	if got := here.Key(account, uuid); got != prefix+"key/"+uuid {
		t.Errorf("Key = %q", got)
	}
	if got := here.Alias(account, "alias/a/b"); got != prefix+"alias/a/b" {
		t.Errorf("Alias = %q", got)
	}
	if got := arn.Root("aws", account); got != "arn:aws:iam::111122223333:root" {
		t.Errorf("Root = %q", got)
	}
}

func TestValidAccountAndRegion(t *testing.T) {
	for s, want := range map[string]bool{account: true, "11112222333": false, "1111222233334": false, "11112222333a": false, "": false, "11112222333٣": false} {
		if arn.ValidAccount(s) != want {
			t.Errorf("ValidAccount(%q) = %v", s, !want)
		}
	}
	for s, want := range map[string]bool{
		"us-east-1": true, "us-gov-west-12": true, "eu-sovereign-north-3": true, "us-east": false, "east-1": false,
		"a-b-c-d-1": false, "us-east-": false, "us--1": false, "US-east-1": false, "us-east-1a": false, "": false, "-": false,
		"us-east-1-": false, strings.Repeat("a", 30) + "-b-1": false,
	} {
		if arn.ValidRegion(s) != want {
			t.Errorf("ValidRegion(%q) = %v", s, !want)
		}
	}
}

func TestParseKeyRef(t *testing.T) {
	tests := []struct {
		name       string
		in         string
		id, alias  string
		account    string
		byARN      bool
		code       fault.Code // of the refusal
		message    string
		keyOnly    fault.Code // where no alias is allowed, if different
		keyOnlyMsg string
	}{
		{name: "key ID", in: uuid, id: uuid, account: account},
		{name: "upper-case UUID is well-formed", in: strings.ToUpper(uuid), id: strings.ToUpper(uuid), account: account},
		{name: "multi-Region key ID", in: mrk, id: mrk, account: account},
		{name: "key ARN", in: prefix + "key/" + uuid, id: uuid, account: account, byARN: true},
		{name: "multi-Region key ARN", in: prefix + "key/" + mrk, id: mrk, account: account, byARN: true},
		{name: "foreign key ARN", in: "arn:aws:kms:us-east-1:" + foreign + ":key/" + uuid, id: uuid, account: foreign, byARN: true},
		{name: "alias name", in: "alias/a", alias: "alias/a", account: account, keyOnly: fault.InvalidArnException},
		{name: "predefined alias", in: "alias/aws/s3", alias: "alias/aws/s3", account: account, keyOnly: fault.InvalidArnException},
		{name: "alias ARN", in: prefix + "alias/a/b", alias: "alias/a/b", account: account, byARN: true, keyOnly: fault.InvalidArnException},
		{name: "foreign alias ARN", in: "arn:aws:kms:us-east-1:" + foreign + ":alias/a", alias: "alias/a", account: foreign, byARN: true, keyOnly: fault.InvalidArnException},

		{name: "UUID without dashes", in: strings.ReplaceAll(uuid, "-", ""), code: fault.NotFoundException, message: "Invalid keyId '1234abcd12ab34cd56ef1234567890ab'"},
		{name: "short mrk", in: "mrk-1234", code: fault.NotFoundException, message: "Invalid keyId 'mrk-1234'"},
		{name: "mrk with a letter too far", in: strings.Replace(mrk, "ef", "eg", 1), code: fault.NotFoundException, message: "Invalid keyId 'mrk-1234abcd12ab34cd56eg1234567890ab'"},
		{name: "upper-case mark", in: "MRK-1234abcd12ab34cd56ef1234567890ab", code: fault.NotFoundException, message: "Invalid keyId 'MRK-1234abcd12ab34cd56ef1234567890ab'"},
		{name: "control character in a UUID", in: "\x11" + uuid[1:], code: fault.NotFoundException, message: "Invalid keyId '\x11" + uuid[1:] + "'"},
		{name: "empty", in: "", code: fault.NotFoundException, message: "Invalid keyId ''"},
		{name: "word", in: "mykey", code: fault.NotFoundException, message: "Invalid keyId 'mykey'"},
		{name: "malformed ID in an ARN", in: prefix + "key/mykey", code: fault.NotFoundException, message: "Invalid keyId mykey"},
		{name: "other Region", in: "arn:aws:kms:eu-west-1:" + account + ":key/" + uuid, code: fault.NotFoundException, message: "Invalid arn eu-west-1"},
		{name: "alias of another Region", in: "arn:aws:kms:eu-west-1:" + account + ":alias/a", code: fault.NotFoundException, message: "Invalid arn eu-west-1", keyOnly: fault.InvalidArnException},
		{name: "other partition", in: "arn:aws-cn:kms:us-east-1:" + account + ":key/" + uuid, code: fault.InvalidArnException, message: "Invalid arn arn:aws-cn:kms:us-east-1:" + account + ":key/" + uuid},
		{name: "other service", in: "arn:aws:iam::" + account + ":root", code: fault.InvalidArnException, message: "Invalid arn arn:aws:iam::" + account + ":root"},
		{name: "no resource", in: "arn:aws:kms:us-east-1:" + account, code: fault.InvalidArnException, message: "Invalid arn arn:aws:kms:us-east-1:" + account},
		{name: "bad account", in: "arn:aws:kms:us-east-1:1234:key/" + uuid, code: fault.InvalidArnException, message: "Invalid arn arn:aws:kms:us-east-1:1234:key/" + uuid},
		{name: "other resource", in: prefix + "grant/x", code: fault.InvalidArnException, message: "Invalid arn " + prefix + "grant/x"},
		{name: "no Region", in: "arn:aws:kms::" + account + ":key/" + uuid, code: fault.InvalidArnException, message: "Invalid arn arn:aws:kms::" + account + ":key/" + uuid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := arn.ParseKeyRef(tt.in, true, here, account)
			checkRef(t, got, err, tt.code, tt.message)
			if err == nil && (got.KeyID != tt.id || got.Alias != tt.alias || got.Account != tt.account || got.ByARN != tt.byARN) {
				t.Errorf("got %+v", got)
			}
			if err == nil && tt.byARN && got.ARN() != tt.in {
				t.Errorf("ARN() = %q", got.ARN())
			}

			keyOnly, err := arn.ParseKeyRef(tt.in, false, here, account)
			if tt.keyOnly != 0 {
				checkRef(t, keyOnly, err, tt.keyOnly, "Key Aliases are not supported for this operation.")
				return
			}
			checkRef(t, keyOnly, err, tt.code, tt.message)
		})
	}
}

func checkRef(t *testing.T, got arn.KeyRef, err error, code fault.Code, message string) {
	t.Helper()
	if code == 0 {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code || f.Message != message {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
	if got != (arn.KeyRef{}) {
		t.Errorf("a refusal returns %+v", got)
	}
}

func TestParseTargetKeyRef(t *testing.T) {
	for _, in := range []string{"alias/a", prefix + "alias/a"} {
		if _, err := arn.ParseTargetKeyRef(in, here, account); err == nil || err.Error() != "ValidationException: Aliases must refer to keys. Not aliases" {
			t.Errorf("%q: %v", in, err)
		}
	}
	if got, err := arn.ParseTargetKeyRef(uuid, here, account); err != nil || got.KeyID != uuid {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNotFoundNamesWhatWasSent(t *testing.T) {
	for in, want := range map[string]string{
		uuid:                  "NotFoundException: Key '" + prefix + "key/" + uuid + "' does not exist",
		strings.ToUpper(uuid): "NotFoundException: Key '" + prefix + "key/" + strings.ToUpper(uuid) + "' does not exist",
		"alias/nope":          "NotFoundException: Alias " + prefix + "alias/nope is not found.",
	} {
		ref, err := arn.ParseKeyRef(in, true, here, account)
		if err != nil || ref.NotFound().Error() != want {
			t.Errorf("%q: %v, %v", in, ref.NotFound(), err)
		}
	}
}

func TestCheckAliasName(t *testing.T) {
	const pattern = "' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"
	long := "alias/" + strings.Repeat("a", 251)
	tests := []struct{ in, want string }{
		{"alias/a", ""},
		{"alias/alias/X", ""},
		{"alias/a/_-", ""},
		{"alias/awsome", ""},
		{"alias/aws", ""},
		{long[:256], ""},
		{"a", `ValidationException: Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{"", `ValidationException: Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{"a b:c", `ValidationException: Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{"Alias/a", `ValidationException: Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{"alias/aws/", "NotAuthorizedException"},
		{"alias/aws/s3", "NotAuthorizedException"},
		{"alias/aws/a:b c", "NotAuthorizedException"},
		{"alias/a:b", "ValidationException: alias/a:b contains invalid characters for an alias"},
		{"alias/a:b c", "ValidationException: alias/a:b c contains invalid characters for an alias"},
		{"alias/a b", "ValidationException: 1 validation error detected: Value 'alias/a b" + pattern},
		{"alias/ä", "ValidationException: 1 validation error detected: Value 'alias/ä" + pattern},
		{long, "ValidationException: 1 validation error detected: Value '" + long + "' at 'aliasName' failed to satisfy constraint: Member must have length less than or equal to 256"},
		{long + " ", "ValidationException: 2 validation errors detected: Value '" + long + " ' at 'aliasName' failed to satisfy constraint: Member must have length less than or equal to 256; Value '" + long + " " + pattern},
		{"alias/", "InvalidAliasNameException: alias/ is not a valid alias name: at least one character must follow the prefix."},
	}
	for _, tt := range tests {
		err := arn.CheckAliasName(tt.in)
		if got := errText(err); got != tt.want {
			t.Errorf("%q:\ngot  %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNewKeyID(t *testing.T) {
	random := [16]byte(bytes.Repeat([]byte{0xff}, 16))
	if got := arn.NewKeyID(random, false); got != "ffffffff-ffff-4fff-bfff-ffffffffffff" {
		t.Errorf("UUID %q", got)
	}
	if got := arn.NewKeyID(random, true); got != "mrk-ffffffffffff4fffbfffffffffffffff" {
		t.Errorf("mrk %q", got)
	}
	if arn.IsMultiRegionKeyID(uuid) || !arn.IsMultiRegionKeyID(mrk) {
		t.Error("IsMultiRegionKeyID")
	}
}

func TestKeyIDBytes(t *testing.T) {
	for _, s := range []string{uuid, mrk} {
		id, multi, ok := arn.KeyIDBytes(s)
		if !ok || arn.FormatKeyID(id, multi) != s || id[0] != 0x12 || id[15] != 0xab {
			t.Errorf("%q: %x %v %v", s, id, multi, ok)
		}
	}
	for _, s := range []string{"", strings.ToUpper(uuid), strings.Replace(mrk, "ab", "AB", 1), uuid + "0", uuid[1:], mrk[1:], "1234abcd-12ab-34cd-56ef-1234567890-b", "mrk-1234abcd12ab34cd56ef12345678-0ab"} {
		if id, _, ok := arn.KeyIDBytes(s); ok || id != [16]byte{} {
			t.Errorf("%q is taken: %x", s, id)
		}
	}
}

func TestParsePrincipal(t *testing.T) {
	tests := []struct {
		in   string
		want arn.Principal
	}{
		{"arn:aws:iam::111122223333:root", arn.Principal{Kind: arn.AccountRoot, Partition: "aws", Account: account}},
		{"arn:aws:iam::111122223333:user/Bob", arn.Principal{Kind: arn.User, Partition: "aws", Account: account, Path: "/", Name: "Bob"}},
		{"arn:aws:iam::111122223333:user/a/b/Bob", arn.Principal{Kind: arn.User, Partition: "aws", Account: account, Path: "/a/b/", Name: "Bob"}},
		{"arn:aws:iam::111122223333:role/svc/R+=,.@-_1", arn.Principal{Kind: arn.Role, Partition: "aws", Account: account, Path: "/svc/", Name: "R+=,.@-_1"}},
		{"arn:aws:iam::111122223333:group/g", arn.Principal{Kind: arn.Group, Partition: "aws", Account: account, Path: "/", Name: "g"}},
		{"arn:aws:sts::111122223333:assumed-role/R/s@x", arn.Principal{Kind: arn.AssumedRole, Partition: "aws", Account: account, Name: "R", Session: "s@x"}},
		{"arn:aws:sts::111122223333:federated-user/F", arn.Principal{Kind: arn.FederatedUser, Partition: "aws", Account: account, Name: "F"}},
	}
	for _, tt := range tests {
		got, ok := arn.ParsePrincipal(tt.in)
		if !ok || got != tt.want || got.String() != tt.in {
			t.Errorf("%q: %+v %v, prints %q", tt.in, got, ok, got.String())
		}
	}
	for _, s := range []string{
		"", "111122223333", "arn:aws:iam::111122223333:user/", "arn:aws:iam::111122223333:user", "arn:aws:iam::111122223333:users/x",
		"arn:aws:iam::1:root", "arn:aws:iam:us-east-1:111122223333:root", "arn:aws:kms::111122223333:root",
		"arn:aws:sts::111122223333:assumed-role/R", "arn:aws:sts::111122223333:assumed-role/R/", "arn:aws:sts::111122223333:assumed-role/a/R/s",
		"arn:aws:sts::111122223333:federated-user/a/b", "arn:aws:iam::111122223333:user/*", "arn:aws:iam::111122223333:user/a b",
		"arn:aws:iam::111122223333:user/" + strings.Repeat("a", 129), "arn:aws:iam::111122223333:rootx",
		"arn:aws:iam::111122223333:user/" + strings.Repeat("a/", 300) + "b",
	} {
		if got, ok := arn.ParsePrincipal(s); ok {
			t.Errorf("%q is taken: %+v", s, got)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	ins := []string{uuid, mrk, prefix + "key/" + uuid, prefix + "alias/a", "alias/a"}
	if n := testing.AllocsPerRun(100, func() {
		for _, in := range ins {
			if _, err := arn.ParseKeyRef(in, true, here, account); err != nil {
				t.Fatal(err)
			}
		}
		arn.ParsePrincipal("arn:aws:sts::111122223333:assumed-role/R/s")
		arn.KeyIDBytes(uuid)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzKeyRef(f *testing.F) {
	for _, s := range []string{uuid, mrk, prefix + "key/" + uuid, prefix + "alias/a", "alias/a", "", "arn:", "arn:aws:kms:us-east-1:444455556666:key/" + mrk, "mrk-", "arn:aws:kms:eu-west-1:111122223333:alias/x"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, allowAlias bool) {
		ref, err := arn.ParseKeyRef(s, allowAlias, here, account)
		if err != nil {
			var e *fault.Error
			if !errors.As(err, &e) || ref != (arn.KeyRef{}) {
				t.Fatalf("refusal %v with %+v", err, ref)
			}
			return
		}
		if (ref.KeyID == "") == (ref.Alias == "") || !arn.ValidAccount(ref.Account) {
			t.Fatalf("%+v", ref)
		}
		if ref.Alias != "" && !allowAlias {
			t.Fatalf("an alias got through: %+v", ref)
		}
		if ref.ByARN && ref.ARN() != s || !ref.ByARN && ref.KeyID+ref.Alias != s {
			t.Fatalf("%q became %q", s, ref.ARN())
		}
		again, err := arn.ParseKeyRef(ref.ARN(), allowAlias, here, account)
		if err != nil || again.KeyID != ref.KeyID || again.Alias != ref.Alias || again.Account != ref.Account {
			t.Fatalf("%q parses as %+v, its ARN as %+v, %v", s, ref, again, err)
		}
	})
}

func FuzzPrincipal(f *testing.F) {
	for _, s := range []string{"arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/a//b", "arn:aws:sts::111122223333:assumed-role/R/s", "arn:aws:sts::111122223333:federated-user/F", "arn:aws:iam::111122223333:role/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := arn.ParsePrincipal(s); ok && p.String() != s {
			t.Fatalf("%q became %q", s, p.String())
		}
		if id, multi, ok := arn.KeyIDBytes(s); ok && arn.FormatKeyID(id, multi) != s {
			t.Fatalf("key ID %q became %q", s, arn.FormatKeyID(id, multi))
		}
		if _, _, ok := arn.KeyIDBytes(s); ok && !arn.WellFormedKeyID(s) {
			t.Fatalf("%q is canonical but not well-formed", s)
		}
	})
}

func BenchmarkParseKeyRef(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := arn.ParseKeyRef(prefix+"key/"+uuid, true, here, account); err != nil {
			b.Fatal(err)
		}
	}
}
