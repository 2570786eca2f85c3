package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/region"
)

// stmt is a valid key policy statement with one more member, or a replaced one.
const okStatement = `"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"`

func TestParseKeyPolicy(t *testing.T) {
	one := func(members string) string { return `{"Statement": {` + members + `}}` }
	condition := func(c string) string { return one(okStatement + `, "Condition": ` + c) }
	principal := func(p string) string {
		return one(`"Effect": "Allow", "Principal": ` + p + `, "Action": "kms:*", "Resource": "*"`)
	}
	tests := []struct {
		rule, document string
		want           string // part of the error, "" for none
	}{
		{"KP-01 default policy", region.DefaultKeyPolicy("aws", accountK), ""},
		{"KP-04 empty", ``, "a value is expected"},
		{"KP-04 array", `[]`, "must be an object"},
		{"KP-04 string", `"x"`, "must be an object"},
		{"KP-04 syntax", `{"Statement": [}`, "line 1, column 16"},
		{"KP-04 text after the end", one(okStatement) + ` x`, "after the end"},
		{"KP-04 repeated key", one(okStatement + `, "Effect": "Deny"`), "is there twice"},
		{"KP-04 repeated escaped key", one(okStatement + `, "\u0045ffect": "Deny"`), "is there twice"},
		{"KP-04 repeated condition key", condition(`{"Bool": {"a:b": true, "a:b": false}}`), "is there twice"},
		{"KP-04 unknown element", `{"Statement": {` + okStatement + `}, "Comment": "x"}`, `unknown element "Comment"`},
		{"KP-04 unknown statement element", one(okStatement + `, "Actions": "x"`), `unknown element "Actions"`},
		{"KP-04 element names have a case", one(okStatement + `, "sid": "x"`), `unknown element "sid"`},
		{"KP-04 comment", `{"Statement": {` + okStatement + `}} // done`, "after the end"},
		{"KP-04 trailing comma", `{"Statement": {` + okStatement + `},}`, "member name"},
		{"KP-04 single quotes", `{'Statement': {}}`, "member name"},
		{"KP-04 lone surrogate", one(okStatement + `, "Sid": "\ud800"`), "surrogate"},
		{"KP-04 raw line feed in a string", one(okStatement + ", \"Sid\": \"a\nb\""), "must be escaped"},
		{"KP-05 no statement", `{"Version": "2012-10-17"}`, "no Statement"},
		{"KP-05 empty statements", `{"Statement": []}`, "no Statement"},
		{"KP-05 statement is a string", `{"Statement": "x"}`, "an object or an array"},
		{"KP-05 statement in the list is a string", `{"Statement": ["x"]}`, "must be an object"},
		{"KP-05 version 2008", `{"Version": "2008-10-17", "Statement": {` + okStatement + `}}`, ""},
		{"KP-05 version absent", one(okStatement), ""},
		{"KP-05 other version", `{"Version": "2012-10-18", "Statement": {` + okStatement + `}}`, "Version must be"},
		{"KP-05 version is a number", `{"Version": 2012, "Statement": {` + okStatement + `}}`, "Version must be"},
		{"KP-05 id", `{"Id": "any text", "Statement": {` + okStatement + `}}`, ""},
		{"KP-05 id is a number", `{"Id": 1, "Statement": {` + okStatement + `}}`, "Id is a number"},
		{"KP-06 sid with spaces", one(okStatement + `, "Sid": "Allow use of the key"`), ""},
		{"KP-06 sid twice", `{"Statement": [{"Sid": "a", ` + okStatement + `}, {"Sid": "a", ` + okStatement + `}]}`, ""},
		{"KP-06 sid is null", one(okStatement + `, "Sid": null`), "Sid of statement 1 is null"},
		{"KP-06 effect missing", one(`"Principal": "*", "Action": "kms:*", "Resource": "*"`), "Effect of statement 1"},
		{"KP-06 effect in lower case", one(`"Effect": "allow", "Principal": "*", "Action": "kms:*", "Resource": "*"`), "Effect of statement 1"},
		{"KP-06 principal missing", one(`"Effect": "Allow", "Action": "kms:*", "Resource": "*"`), "no Principal"},
		{"KP-06 both principals", one(`"Effect": "Deny", "Principal": "*", "NotPrincipal": "*", "Action": "kms:*", "Resource": "*"`), "both Principal"},
		{"KP-06 principal empty", principal(`{}`), "must be"},
		{"KP-06 principal list empty", principal(`{"AWS": []}`), "is empty"},
		{"KP-06 action missing", one(`"Effect": "Allow", "Principal": "*", "Resource": "*"`), ""},
		{"KP-06 action list empty", one(`"Effect": "Allow", "Principal": "*", "Action": [], "Resource": "*"`), ""},
		{"KP-06 resource missing", one(`"Effect": "Allow", "Principal": "*", "Action": "kms:*"`), ""},
		{"KP-06 both actions", one(okStatement + `, "NotAction": "kms:Encrypt"`), "both Action and NotAction"},
		{"KP-06 both resources", one(okStatement + `, "NotResource": "*"`), "both Resource and NotResource"},
		{"KP-06 action of unknown name", one(`"Effect": "Allow", "Principal": "*", "Action": "kms:NoSuch", "Resource": "*"`), ""},
		{"KP-06 action without vendor", one(`"Effect": "Allow", "Principal": "*", "Action": "Encrypt", "Resource": "*"`), "vendor:name"},
		{"KP-06 action with wildcard vendor", one(`"Effect": "Allow", "Principal": "*", "Action": "k*:Encrypt", "Resource": "*"`), "vendor:name"},
		{"KP-06 action is an object", one(`"Effect": "Allow", "Principal": "*", "Action": {}, "Resource": "*"`), "a string or an array"},
		{"KP-06 action list has a number", one(`"Effect": "Allow", "Principal": "*", "Action": [1], "Resource": "*"`), "has a number"},
		{"KP-06 resource is a key id", one(`"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "1234abcd-12ab"`), ""},
		{"KP-06 condition with bare boolean", condition(`{"Bool": {"kms:GrantIsForAWSResource": true}}`), ""},
		{"KP-06 condition with number", condition(`{"NumericEquals": {"kms:RotationPeriodInDays": 180}}`), ""},
		{"KP-06 unknown operator", condition(`{"StringMatches": {"aws:userid": "x"}}`), "unknown condition operator"},
		{"KP-06 unknown key", condition(`{"StringEquals": {"kms:NoSuchKey": "x"}}`), ""},
		{"KP-06 condition is a list", condition(`[]`), "must be an object"},
		{"KP-06 operator has a string", condition(`{"Bool": "true"}`), "object of condition keys"},
		{"KP-06 condition value is an object", condition(`{"Bool": {"a:b": {}}}`), "has an object as a value"},
		{"KP-06 condition value is null", condition(`{"Bool": {"a:b": null}}`), "has null as a value"},
		{"KP-06 condition without value", condition(`{"Bool": {"a:b": []}}`), "has no value"},
		{"KP-06 condition key empty", condition(`{"Bool": {"": true}}`), "empty condition key"},
		{"KP-07 everybody", principal(`"*"`), ""},
		{"KP-07 everybody by AWS", principal(`{"AWS": "*"}`), ""},
		{"KP-07 another string", principal(`"111122223333"`), "must be"},
		{"KP-07 account id", principal(`{"AWS": "111122223333"}`), ""},
		{"KP-07 user with path", principal(`{"AWS": "arn:aws:iam::111122223333:user/division/alice"}`), ""},
		{"KP-07 role", principal(`{"AWS": ["arn:aws:iam::111122223333:role/a", "arn:aws-cn:iam::444455556666:role/b"]}`), ""},
		{"KP-07 session", principal(`{"AWS": "arn:aws:sts::111122223333:assumed-role/a/session@example.com"}`), ""},
		{"KP-07 federated user", principal(`{"AWS": "arn:aws:sts::111122223333:federated-user/bob"}`), ""},
		{"KP-07 unique id", principal(`{"AWS": "AROA4KJY2TU23Y7NK62MV"}`), ""},
		{"KP-07 service", principal(`{"Service": ["ses.amazonaws.com", "logs.us-east-1.amazonaws.com"]}`), ""},
		{"KP-08 wildcard in a name", principal(`{"AWS": "arn:aws:iam::111122223333:user/*"}`), invalidPrincipalMessage},
		{"KP-08 wildcard service", principal(`{"Service": "*"}`), invalidPrincipalMessage},
		{"KP-09 federated", principal(`{"Federated": "accounts.google.com"}`), "does not know"},
		{"KP-09 canonical user", principal(`{"CanonicalUser": "79a59df9"}`), "does not know"},
		{"KP-10 nonsense", principal(`{"AWS": "alice"}`), invalidPrincipalMessage},
		{"KP-10 eleven digits", principal(`{"AWS": "11112222333"}`), invalidPrincipalMessage},
		{"KP-10 empty name", principal(`{"AWS": ""}`), invalidPrincipalMessage},
		{"KP-10 bad ARN", principal(`{"AWS": "arn:aws:iam::111122223333:person/alice"}`), invalidARNMessage},
		{"KP-10 ARN without service", principal(`{"AWS": "arn:aws::111122223333:root"}`), invalidARNMessage},
		{"KP-10 ARN with bad account", principal(`{"AWS": "arn:aws:iam::1111:root"}`), invalidARNMessage},
		{"KP-10 ARN with region", principal(`{"AWS": "arn:aws:iam:us-east-1:111122223333:root"}`), invalidARNMessage},
		{"KP-10 group", principal(`{"AWS": "arn:aws:iam::111122223333:group/admins"}`), invalidARNMessage},
		{"KP-10 role without name", principal(`{"AWS": "arn:aws:iam::111122223333:role/"}`), invalidARNMessage},
		{"KP-10 session without name", principal(`{"AWS": "arn:aws:sts::111122223333:assumed-role/a"}`), invalidARNMessage},
		{"KP-10 session with path", principal(`{"AWS": "arn:aws:sts::111122223333:assumed-role/p/a/s"}`), invalidARNMessage},
		{"KP-10 root with path", principal(`{"AWS": "arn:aws:iam::111122223333:root/x"}`), invalidARNMessage},
		{"KP-12 allow with NotPrincipal", one(`"Effect": "Allow", "NotPrincipal": {"AWS": "111122223333"}, "Action": "kms:*", "Resource": "*"`), "allows with NotPrincipal"},
		{"KP-12 deny with NotPrincipal", one(`"Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"}, "Action": "kms:*", "Resource": "*"`), ""},
		{"KP-13 context", condition(`{"ForAllValues:StringEquals": {"kms:EncryptionContext:a": "x"}}`), looseContextMessage},
		{"KP-13 context in other case", condition(`{"ForAllValues:StringLikeIfExists": {"KMS:encryptioncontext:a": "x"}}`), looseContextMessage},
		{"KP-13 tag", condition(`{"ForAllValues:StringEquals": {"aws:RequestTag/a": "x"}}`), looseTagMessage},
		{"KP-13 keys", condition(`{"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": "x"}}`), ""},
		{"SET-06 any value", condition(`{"ForAnyValue:StringEquals": {"kms:EncryptionContext:a": "x"}}`), ""},
		{"SET-06 other key", condition(`{"ForAllValues:StringEquals": {"kms:CallerAccount": "x"}}`), ""},
		{"SET-02 prefix on Null", condition(`{"ForAnyValue:Null": {"aws:TagKeys": true}}`), "unknown condition operator"},
		{"OPR-03 IfExists on Null", condition(`{"NullIfExists": {"aws:TagKeys": true}}`), "unknown condition operator"},
		{"SET-02 both", condition(`{"ForAnyValue:StringLikeIfExists": {"aws:TagKeys": "x"}}`), ""},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) { wantError(t, KeyPolicy, test.document, test.want) })
	}
}

func wantError(t *testing.T, kind Kind, document, want string) {
	t.Helper()
	p, err := Parse(document, kind)
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v\n%s", err, document)
	case want != "" && err == nil:
		t.Errorf("accepted, want %q\n%s", want, document)
	case want != "" && (!strings.Contains(err.Error(), want) || p != nil):
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestParseOtherKinds(t *testing.T) {
	identity := func(members string) string {
		return `{"Statement": {"Effect": "Allow", ` + members + `}}`
	}
	const plain = `"Action": "kms:*", "Resource": "*"`
	tests := []struct {
		rule     string
		kind     Kind
		document string
		want     string
	}{
		{"IDP-01 plain", IdentityPolicy, identity(plain), ""},
		{"IDP-01 principal", IdentityPolicy, identity(plain + `, "Principal": "*"`), "has a principal"},
		{"IDP-01 not principal", IdentityPolicy, identity(plain + `, "NotPrincipal": "*"`), "has a principal"},
		{"IDP-01 id", IdentityPolicy, `{"Id": "x", "Statement": {"Effect": "Allow", ` + plain + `}}`, "has no Id"},
		{"IDP-01 sid", IdentityPolicy, identity(plain + `, "Sid": "Ab1"`), ""},
		{"IDP-01 sid with space", IdentityPolicy, identity(plain + `, "Sid": "a b"`), "letters and digits"},
		{"IDP-01 sid twice", IdentityPolicy, statementsDoc(`{"Sid": "a", "Effect": "Allow", ` + plain + `}, {"Sid": "a", "Effect": "Allow", ` + plain + `}`), "used twice"},
		{"IDP-01 no action", IdentityPolicy, identity(`"Resource": "*"`), "no Action"},
		{"IDP-01 no resource", IdentityPolicy, identity(`"Action": "kms:*"`), "no Resource"},
		{"IDP-01 empty resource", IdentityPolicy, identity(`"Action": "kms:*", "Resource": []`), "no Resource"},
		{"IDP-01 resource no ARN", IdentityPolicy, identity(`"Action": "kms:*", "Resource": "1234abcd"`), "must be an ARN"},
		{"IDP-01 other service", IdentityPolicy, identity(`"Action": "iam:ListUsers", "Resource": "*"`), ""},
		{"SET-05 identity", IdentityPolicy, identity(plain + `, "Condition": {"ForAllValues:StringEquals": {"aws:RequestTag/a": "x"}}`), looseTagMessage},
		{"boundary", Boundary, identity(plain), ""},
		{"session", SessionPolicy, identity(plain), ""},
		{"session principal", SessionPolicy, identity(plain + `, "Principal": "*"`), "has a principal"},
		{"guardrail", Guardrail, identity(plain), ""},
		{"VE-02 default", EndpointPolicy, DefaultEndpointPolicy, ""},
		{"VE-03 no principal", EndpointPolicy, identity(plain), "no Principal"},
		{"VE-03 no action", EndpointPolicy, identity(`"Principal": "*", "Resource": "*"`), "no Action"},
		{"VE-03 no resource", EndpointPolicy, identity(`"Principal": "*", "Action": "*"`), "no Resource"},
		{"trust", TrustPolicy, identity(`"Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"`), ""},
		{"trust provider", TrustPolicy, identity(`"Principal": {"Federated": "accounts.google.com"}, "Action": "sts:AssumeRoleWithWebIdentity"`), ""},
		{"trust provider ARN", TrustPolicy, identity(`"Principal": {"Federated": "arn:aws:iam::111122223333:saml-provider/corp"}, "Action": "sts:AssumeRoleWithSAML"`), ""},
		{"trust bad provider", TrustPolicy, identity(`"Principal": {"Federated": "*"}, "Action": "sts:AssumeRoleWithSAML"`), invalidPrincipalMessage},
		{"trust resource", TrustPolicy, identity(`"Principal": "*", "Action": "sts:AssumeRole", "Resource": "*"`), "has a Resource"},
		{"unknown kind", Kind(99), identity(plain), "kind 99"},
	}
	for _, test := range tests {
		t.Run(test.rule, func(t *testing.T) { wantError(t, test.kind, test.document, test.want) })
	}
}

// TestParseErrorTypes: the caller tells the API errors apart by type.
func TestParseErrorTypes(t *testing.T) {
	document := func(principal string) string {
		return `{"Statement": {"Effect": "Allow", "Principal": {"AWS": "` + principal + `"}, "Action": "kms:*", "Resource": "*"}}`
	}
	var malformed *MalformedError
	if _, err := Parse(document("nobody"), KeyPolicy); !errors.As(err, &malformed) || !errors.Is(err, ErrInvalidPrincipal) {
		t.Errorf("invalid principal: %#v", err)
	}
	var arn *InvalidARNError
	if _, err := Parse(document("arn:aws:iam::1:root"), KeyPolicy); !errors.As(err, &arn) || arn.ARN != "arn:aws:iam::1:root" {
		t.Errorf("invalid ARN: %#v", err)
	}
	if _, err := Parse(`{`, KeyPolicy); !errors.As(err, &malformed) {
		t.Errorf("syntax: %#v", err)
	}
	var characters *CharactersError
	if _, err := Parse("{\n  \u20ac", KeyPolicy); !errors.As(err, &characters) || *characters != (CharactersError{2, 3, '€'}) {
		t.Errorf("characters: %#v", err)
	}
	var large *TooLargeError
	if _, err := Parse(strings.Repeat(" ", KeyPolicyLimit+1), KeyPolicy); !errors.As(err, &large) || large.Limit != KeyPolicyLimit || large.Size != KeyPolicyLimit+1 {
		t.Errorf("size: %#v", err)
	}
}

func TestSizeKP02(t *testing.T) {
	pad := func(document string, size int) string { return document + strings.Repeat(" ", size-len(document)) }
	key := region.DefaultKeyPolicy("aws", accountK)
	tests := []struct {
		name     string
		kind     Kind
		document string
		ok       bool
	}{
		{"key policy at its limit", KeyPolicy, pad(key, KeyPolicyLimit), true},
		{"key policy over it by a space", KeyPolicy, pad(key, KeyPolicyLimit+1), false},
		{"key policy over it in bytes, not in characters", KeyPolicy, strings.Replace(key, "key-default-1", strings.Repeat("é", 16300), 1), false},
		{"identity policy, white space is free", IdentityPolicy, pad(statementsDoc(allowAll), 100000), true},
		{"identity policy of text", IdentityPolicy, `{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:` + strings.Repeat("x", RoleInlineLimit) + `"}}`, false},
		{"session policy of text", SessionPolicy, `{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:` + strings.Repeat("x", SessionPolicyLimit) + `"}}`, false},
		{"endpoint policy over its limit", EndpointPolicy, pad(DefaultEndpointPolicy, EndpointPolicyLimit+1), false},
		{"more white space than any request has", IdentityPolicy, pad(statementsDoc(allowAll), outerLimit+1), false},
	}
	for _, test := range tests {
		_, err := Parse(test.document, test.kind)
		var large *TooLargeError
		if test.ok && err != nil || !test.ok && !errors.As(err, &large) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if n := Size(" {\t\"a b\": \"é\"}\r\n"); n != 10 {
		t.Errorf("Size: %d", n)
	}
}

func TestCharactersKP03(t *testing.T) {
	document := func(sid string) string {
		return `{"Statement": {"Sid": "` + sid + `", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}}`
	}
	for sid, ok := range map[string]bool{
		"plain": true, "Grüße": true, "\u00ff": true, `\u00fc`: true, `tab\tand\nnewline`: true, `a\/b`: true,
		"\u0100": false, "日本": false, `\u65e5`: false, `\ud83d\ude00`: false, `\u0007`: false, `\b`: false, "\xff\xfe": false, "\x00": false,
	} {
		_, err := Parse(document(sid), KeyPolicy)
		var bad *CharactersError
		if ok && err != nil || !ok && !errors.As(err, &bad) {
			t.Errorf("%q: %v", sid, err)
		}
	}
}

// TestParseStored: what new documents may not have, stored ones may; what no document may have, they may not either.
func TestParseStored(t *testing.T) {
	loose := statementsDoc(`{` + okStatement + `, "Condition": {"ForAllValues:StringEquals": {"kms:EncryptionContext:a": "x"}}}`)
	if _, err := ParseStored(loose, KeyPolicy); err != nil {
		t.Errorf("SET-05: %v", err)
	}
	if _, err := ParseStored(region.DefaultKeyPolicy("aws", accountK)+strings.Repeat(" ", KeyPolicyLimit), KeyPolicy); err != nil {
		t.Errorf("size: %v", err)
	}
	for _, bad := range []string{`{}`, strings.Repeat(" ", outerLimit+1), "\x00"} {
		if _, err := ParseStored(bad, KeyPolicy); err == nil {
			t.Errorf("accepted %.20q", bad)
		}
	}
}

// TestHostileDocuments: depth and width are bounded in time and memory, whatever the document.
func TestHostileDocuments(t *testing.T) {
	var wide, widest strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&wide, `"k%d":1,`, i)
	}
	for i := range 20000 {
		fmt.Fprintf(&widest, `"k%d":1,`, i)
	}
	for name, document := range map[string]string{
		"deep arrays":  strings.Repeat("[", 30000),
		"deep objects": strings.Repeat(`{"a":`, 5000),
		"wide":         "{" + strings.TrimSuffix(wide.String(), ",") + "}",
		"wide, twice":  "{" + wide.String() + `"k7":2}`,
		"long number":  `{"Version": ` + strings.Repeat("9", 30000) + `}`,
	} {
		if _, err := Parse(document, KeyPolicy); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ParseStored("{"+widest.String()+`"k19999":1}`, KeyPolicy); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("widest: %v", err)
	}
}

func TestJSONNumbers(t *testing.T) {
	for text, ok := range map[string]bool{
		"0": true, "-0": true, "10": true, "1.50": true, "1e3": true, "1E+3": true, "-1.5e-3": true,
		"01": false, "1.": false, ".5": false, "+1": false, "-": false, "1e": false, "0x1": false, "NaN": false,
	} {
		n, err := parseJSON("[" + text + "]")
		if (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
		if ok && n.elements[0].text != text {
			t.Errorf("%s was read as %s", text, n.elements[0].text)
		}
	}
}

func TestPrincipalsKP10(t *testing.T) {
	p := keyPolicyOf(t, `
		{"Effect": "Allow", "Principal": {"AWS": ["111122223333", "arn:aws:iam::111122223333:user/alice"], "Service": "ses.amazonaws.com"}, "Action": "kms:*", "Resource": "*"},
		{"Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:user/alice", "AROA4KJY2TU23Y7NK62MV", "arn:aws:sts::444455556666:assumed-role/r/s"]}, "Action": "kms:*", "Resource": "*"},
		{"Effect": "Allow", "Principal": "*", "Action": "kms:*"}`)
	want := []PrincipalRef{
		{AccountPrincipal, "111122223333", "arn:aws:iam::111122223333:root", "111122223333"},
		{UserPrincipal, "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:user/alice", "111122223333"},
		{ServicePrincipal, "ses.amazonaws.com", "", ""},
		{UniqueIDPrincipal, "AROA4KJY2TU23Y7NK62MV", "", ""},
		{SessionPrincipal, "arn:aws:sts::444455556666:assumed-role/r/s", "arn:aws:sts::444455556666:assumed-role/r/s", "444455556666"},
	}
	if got := p.Principals(); !slices.Equal(slices.Sorted(refNames(got)), slices.Sorted(refNames(want))) {
		t.Errorf("got %v", got)
	}
	if p.Kind() != KeyPolicy || p.Version() != "2012-10-17" || p.Len() != 3 || p.ID() != "" || p.Sid(0) != "" {
		t.Errorf("accessors: %v %v %v", p.Kind(), p.Version(), p.Len())
	}
}

func refNames(refs []PrincipalRef) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, r := range refs {
			if !yield(fmt.Sprintf("%+v", r)) {
				return
			}
		}
	}
}

func TestContextKeys(t *testing.T) {
	p := identityOf(t, `{"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:iam::111122223333:user/${aws:username}", "*"],
		"Condition": {"StringLike": {"kms:EncryptionContext:App": ["x-${aws:PrincipalTag/team}", "${AWS:UserName}"]}, "ArnLike": {"aws:SourceArn": ["arn:aws:s3:::${x:a}", "${x:b}"]}}}`)
	want := []string{"aws:username", "kms:EncryptionContext:App", "aws:PrincipalTag/team", "aws:SourceArn", "x:a", "x:b"}
	if got := p.ContextKeys(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestErrorTexts: every error says what is wrong in words.
func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		"The key policy has a size of 40000 and may have 32768. Shorten it.":                                                        &TooLargeError{KeyPolicy, 40000, 32768},
		`The policy has the character '\u20ac' at line 2, column 3. Use only tab, line feed, carriage return and U+0020 to U+00FF.`: &CharactersError{2, 3, '€'},
		invalidARNMessage: &InvalidARNError{"arn:x"},
	} {
		if err.Error() != want {
			t.Errorf("%s\nwant %s", err, want)
		}
	}
	if _, err := Parse(`{"`+strings.Repeat("x", 200)+`": 1}`, KeyPolicy); err == nil || len(err.Error()) > 200 {
		t.Errorf("%v", err)
	}
	if got := Kind(99).String() + PrincipalType(99).String() + EncryptionContextEquals.String() + NoConstraint.String(); got != "unknown policyunknown principalEncryptionContextEquals" {
		t.Error(got)
	}
}
