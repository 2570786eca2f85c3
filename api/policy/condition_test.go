package policy

import (
	"strings"
	"testing"
)

// conditionCase asks whether a condition holds in an Allow and in a Deny.
type conditionCase struct {
	rule, condition string
	context         []string // "key=value", several for a multi-valued key
	allow, deny     bool
}

// run evaluates the condition in a statement of an identity policy for an action that has no table row, so that every
// condition key may be in the context.
func (c conditionCase) run(t *testing.T) {
	t.Helper()
	resource := Resource{Type: ResourceOther, ARN: "arn:aws:x:::y", Account: accountK}
	allow := identityOf(t, `{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": `+c.condition+`}`)
	req := (&Request{Principal: user(accountK, "alice"), Action: "x:Do", Resource: resource}).identity(allow).with(c.context...)
	if d := decide(t, req); d.Allowed() != c.allow {
		t.Errorf("%s: in an Allow %v, want %v\n%s %v", c.rule, d.Allowed(), c.allow, c.condition, c.context)
	}
	deny := identityOf(t, allowAll+`, {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": `+c.condition+`}`)
	if d := decide(t, req.identity(deny)); (d.Outcome == ExplicitDeny) != c.deny {
		t.Errorf("%s: in a Deny %v, want %v\n%s %v", c.rule, d.Outcome == ExplicitDeny, c.deny, c.condition, c.context)
	}
}

// both is a case with the same answer in an Allow and in a Deny.
func both(rule, condition string, holds bool, context ...string) conditionCase {
	return conditionCase{rule, condition, context, holds, holds}
}

func TestOperatorsOPR01(t *testing.T) {
	tests := []conditionCase{
		both("StringEquals", `{"StringEquals": {"aws:userid": "a"}}`, true, "aws:userid=a"),
		both("StringEquals case", `{"StringEquals": {"aws:userid": "a"}}`, false, "aws:userid=A"),
		both("OPR-05 StringEquals literal star", `{"StringEquals": {"aws:userid": "a*"}}`, false, "aws:userid=ab"),
		both("OPR-05 StringEquals literal star", `{"StringEquals": {"aws:userid": "a*"}}`, true, "aws:userid=a*"),
		both("StringNotEquals", `{"StringNotEquals": {"aws:userid": "a"}}`, false, "aws:userid=a"),
		both("StringNotEquals", `{"StringNotEquals": {"aws:userid": "a"}}`, true, "aws:userid=b"),
		both("StringEqualsIgnoreCase", `{"StringEqualsIgnoreCase": {"aws:userid": "Ab"}}`, true, "aws:userid=aB"),
		both("StringEqualsIgnoreCase", `{"StringEqualsIgnoreCase": {"aws:userid": "Ab"}}`, false, "aws:userid=ac"),
		both("StringNotEqualsIgnoreCase", `{"StringNotEqualsIgnoreCase": {"aws:userid": "Ab"}}`, false, "aws:userid=aB"),
		both("StringNotEqualsIgnoreCase", `{"StringNotEqualsIgnoreCase": {"aws:userid": "Ab"}}`, true, "aws:userid=ac"),
		both("StringLike", `{"StringLike": {"aws:userid": "a*?"}}`, true, "aws:userid=abc"),
		both("StringLike", `{"StringLike": {"aws:userid": "a*?"}}`, false, "aws:userid=a"),
		both("StringLike case", `{"StringLike": {"aws:userid": "A*"}}`, false, "aws:userid=a"),
		both("StringNotLike", `{"StringNotLike": {"aws:userid": "a*"}}`, false, "aws:userid=ab"),
		both("StringNotLike", `{"StringNotLike": {"aws:userid": "a*"}}`, true, "aws:userid=ba"),
		both("NumericEquals", `{"NumericEquals": {"x:n": "10"}}`, true, "x:n=10.0"),
		both("NumericEquals", `{"NumericEquals": {"x:n": 10.5}}`, true, "x:n=+10.50"),
		both("NumericEquals beyond float64", `{"NumericEquals": {"x:n": 9007199254740993}}`, false, "x:n=9007199254740992"),
		both("NumericNotEquals", `{"NumericNotEquals": {"x:n": 10}}`, false, "x:n=010"),
		both("NumericNotEquals", `{"NumericNotEquals": {"x:n": 10}}`, true, "x:n=11"),
		both("NumericLessThan", `{"NumericLessThan": {"x:n": 10}}`, true, "x:n=9"),
		both("NumericLessThan equal", `{"NumericLessThan": {"x:n": 10}}`, false, "x:n=10"),
		both("NumericLessThan negative", `{"NumericLessThan": {"x:n": -1}}`, true, "x:n=-1.5"),
		both("NumericLessThanEquals", `{"NumericLessThanEquals": {"x:n": 10}}`, true, "x:n=10"),
		both("NumericLessThanEquals", `{"NumericLessThanEquals": {"x:n": 10}}`, false, "x:n=10.01"),
		both("NumericGreaterThan", `{"NumericGreaterThan": {"x:n": 10}}`, true, "x:n=100"),
		both("NumericGreaterThan equal", `{"NumericGreaterThan": {"x:n": 10}}`, false, "x:n=10"),
		both("NumericGreaterThanEquals", `{"NumericGreaterThanEquals": {"x:n": 10}}`, true, "x:n=10"),
		both("NumericGreaterThanEquals", `{"NumericGreaterThanEquals": {"x:n": 0}}`, true, "x:n=-0"),
		both("DateEquals", `{"DateEquals": {"aws:CurrentTime": "2024-02-29T12:00:00Z"}}`, true, "aws:CurrentTime=2024-02-29T14:00:00+02:00"),
		both("DateEquals epoch", `{"DateEquals": {"aws:CurrentTime": "1709208000"}}`, true, "aws:CurrentTime=2024-02-29T12:00:00Z"),
		both("DateNotEquals", `{"DateNotEquals": {"aws:CurrentTime": "2024-02-29"}}`, false, "aws:CurrentTime=2024-02-29T00:00Z"),
		both("DateNotEquals", `{"DateNotEquals": {"aws:CurrentTime": "2024-02-29"}}`, true, "aws:CurrentTime=2024-02-29T00:01Z"),
		both("DateLessThan", `{"DateLessThan": {"aws:CurrentTime": "2024-03"}}`, true, "aws:CurrentTime=2024-02-29T23:59:59.999Z"),
		both("DateLessThan", `{"DateLessThan": {"aws:CurrentTime": "2024"}}`, false, "aws:CurrentTime=2024-01-01T00:00:00Z"),
		both("DateLessThanEquals", `{"DateLessThanEquals": {"aws:CurrentTime": "2024"}}`, true, "aws:CurrentTime=2024-01-01T00:00:00Z"),
		both("DateGreaterThan", `{"DateGreaterThan": {"aws:CurrentTime": "2024-01-01T00:00:00.1Z"}}`, true, "aws:CurrentTime=2024-01-01T00:00:00.11Z"),
		both("DateGreaterThanEquals", `{"DateGreaterThanEquals": {"aws:EpochTime": "1704067200"}}`, true, "aws:EpochTime=1704067200"),
		both("OPR-06 ValidTo with Numeric", `{"NumericLessThanEquals": {"kms:ValidTo": "1546257599.0"}}`, true, "kms:ValidTo=1546257599"),
		both("OPR-06 ValidTo with Numeric", `{"NumericLessThanEquals": {"kms:ValidTo": "1546257599.0"}}`, false, "kms:ValidTo=1546257600"),
		both("OPR-06 ValidTo with Date", `{"DateLessThan": {"kms:ValidTo": "2018-12-31T12:00:00Z"}}`, true, "kms:ValidTo=1546257599"),
		both("Bool", `{"Bool": {"aws:SecureTransport": true}}`, true, "aws:SecureTransport=true"),
		both("Bool text in any case", `{"Bool": {"aws:SecureTransport": "TRUE"}}`, true, "aws:SecureTransport=true"),
		both("Bool", `{"Bool": {"aws:SecureTransport": "false"}}`, false, "aws:SecureTransport=true"),
		both("BinaryEquals", `{"BinaryEquals": {"x:b": "AP8="}}`, true, "x:b=\x00\xff"),
		both("BinaryEquals", `{"BinaryEquals": {"x:b": "AP8="}}`, false, "x:b=AP8="),
		both("IpAddress", `{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, true, "aws:SourceIp=203.0.113.77"),
		both("IpAddress", `{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, false, "aws:SourceIp=203.0.114.1"),
		both("IpAddress host", `{"IpAddress": {"aws:SourceIp": "203.0.113.7"}}`, true, "aws:SourceIp=203.0.113.7"),
		both("IpAddress host", `{"IpAddress": {"aws:SourceIp": "203.0.113.7"}}`, false, "aws:SourceIp=203.0.113.8"),
		both("IpAddress of a block with host bits", `{"IpAddress": {"aws:SourceIp": "203.0.113.9/24"}}`, true, "aws:SourceIp=203.0.113.1"),
		both("IpAddress v6", `{"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}`, true, "aws:SourceIp=2001:DB8:1::1"),
		both("IpAddress v6 host", `{"IpAddress": {"aws:SourceIp": "2001:db8::1"}}`, false, "aws:SourceIp=2001:db8::2"),
		both("IpAddress v4 in v6", `{"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, true, "aws:SourceIp=::ffff:203.0.113.77"),
		both("NotIpAddress", `{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, false, "aws:SourceIp=203.0.113.77"),
		both("NotIpAddress", `{"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "10.0.0.0/8"]}}`, true, "aws:SourceIp=192.0.2.1"),
		both("ArnEquals", `{"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::bucket"}}`, true, "aws:SourceArn=arn:aws:s3:::bucket"),
		both("ArnEquals has wildcards", `{"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::b*"}}`, true, "aws:SourceArn=arn:aws:s3:::bucket"),
		both("ArnLike parts", `{"ArnLike": {"aws:SourceArn": "arn:aws:*:*:111122223333:trail/*"}}`, true, "aws:SourceArn=arn:aws:cloudtrail:us-west-2:111122223333:trail/finance"),
		both("ArnLike star stays in its part", `{"ArnLike": {"aws:SourceArn": "arn:aws:*:trail/*:x:y"}}`, false, "aws:SourceArn=arn:aws:cloudtrail:us-west-2:111122223333:trail/finance"),
		both("ArnLike lone star", `{"ArnLike": {"aws:SourceArn": "*"}}`, true, "aws:SourceArn=arn:aws:s3:::bucket"),
		both("ArnNotEquals", `{"ArnNotEquals": {"aws:SourceArn": "arn:aws:s3:::b*"}}`, false, "aws:SourceArn=arn:aws:s3:::bucket"),
		both("ArnNotLike", `{"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::c*"}}`, true, "aws:SourceArn=arn:aws:s3:::bucket"),
		both("Null true", `{"Null": {"aws:TokenIssueTime": true}}`, true),
		both("Null true", `{"Null": {"aws:TokenIssueTime": "true"}}`, false, "aws:TokenIssueTime=2024-01-01T00:00:00Z"),
		both("Null false", `{"Null": {"aws:TokenIssueTime": false}}`, true, "aws:TokenIssueTime=2024-01-01T00:00:00Z"),
		both("Null false", `{"Null": {"aws:TokenIssueTime": false}}`, false),
		both("Null with both", `{"Null": {"aws:TokenIssueTime": [true, false]}}`, true),
	}
	for _, test := range tests {
		test.run(t)
	}
}

func TestConditionLogicCND02(t *testing.T) {
	tests := []conditionCase{
		both("CND-01 none", `{}`, true),
		both("CND-02 operators are ANDed", `{"StringEquals": {"x:a": "1"}, "StringLike": {"x:b": "2"}}`, false, "x:a=1", "x:b=3"),
		both("CND-02 operators are ANDed", `{"StringEquals": {"x:a": "1"}, "StringLike": {"x:b": "2"}}`, true, "x:a=1", "x:b=2"),
		both("CND-02 keys are ANDed", `{"StringEquals": {"x:a": "1", "x:b": "2"}}`, false, "x:a=1"),
		both("CND-02 keys are ANDed", `{"StringEquals": {"x:a": "1", "x:b": "2"}}`, true, "x:a=1", "x:b=2"),
		both("CND-02 values are ORed", `{"StringEquals": {"x:a": ["1", "2"]}}`, true, "x:a=2"),
		both("CND-02 values are ORed", `{"StringEquals": {"x:a": ["1", "2"]}}`, false, "x:a=3"),
		both("CND-02 values are NORed", `{"StringNotEquals": {"x:a": ["1", "2"]}}`, false, "x:a=2"),
		both("CND-02 values are NORed", `{"StringNotEquals": {"x:a": ["1", "2"]}}`, true, "x:a=3"),
		both("CND-04 case of names", `{"StringEquals": {"AWS:sourceVPCE": "vpce-1"}}`, true, "aws:SourceVpce=vpce-1"),
		both("CND-04 case of the variable part", `{"StringEquals": {"kms:EncryptionContext:Appname": "x"}}`, true, "kms:EncryptionContext:AppName=x"),
		both("CND-04 case of tag keys", `{"StringEquals": {"aws:ResourceTag/project": "x"}}`, true, "aws:ResourceTag/Project=x"),
		both("CND-10 unknown key", `{"StringEquals": {"kms:NoSuch": "x"}}`, false),
		both("synonym", `{"StringEquals": {"kms:CustomerMasterKeySpec": "RSA_2048"}}`, true, "kms:KeySpec=RSA_2048"),
		both("synonym", `{"StringEquals": {"kms:CustomerMasterKeyUsage": "SIGN_VERIFY"}}`, true, "kms:KeyUsage=SIGN_VERIFY"),
		both("SVC-09 colons in the variable part", `{"Null": {"kms:EncryptionContext:aws:ses:rule-name": false}}`, true, "kms:EncryptionContext:aws:ses:rule-name=r"),
		both("ATT-07 0x in the policy", `{"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR1": "0xABC"}}`, true, "kms:RecipientAttestation:PCR1=abc"),
		both("ATT-07 0x in the policy", `{"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": ["1", "0XABC"]}}`, true, "kms:RecipientAttestation:ImageSha384=abc"),
		both("ATT-07 elsewhere 0x counts", `{"StringEquals": {"aws:userid": "0xabc"}}`, false, "aws:userid=abc"),
		both("ATT-07 other register", `{"StringEquals": {"kms:RecipientAttestation:PCR1": "abc"}}`, false, "kms:RecipientAttestation:PCR2=abc"),
	}
	for _, test := range tests {
		test.run(t)
	}
}

// TestAbsentKeysOPR02: a positive operator is false, a negated one true, IfExists true.
func TestAbsentKeysOPR02(t *testing.T) {
	values := map[family]string{familyString: "x", familyNumeric: "1", familyDate: "2024", familyBool: "true", familyBinary: "AA==",
		familyIP: "192.0.2.1", familyARN: "arn:aws:s3:::b"}
	for _, op := range operators {
		if op.family == familyNull {
			continue
		}
		c := `": {"x:absent": "` + values[op.family] + `"}}`
		both("OPR-02 "+op.name, `{"`+op.name+c, op.negated).run(t)
		both("OPR-03 "+op.name, `{"`+op.name+`IfExists`+c, true).run(t)
		both("SET-04 "+op.name, `{"ForAllValues:`+op.name+c, true).run(t)
		both("SET-03 "+op.name, `{"ForAnyValue:`+op.name+c, false).run(t)
		both("OPR-03 with all values", `{"ForAllValues:`+op.name+`IfExists`+c, true).run(t)
		conditionCase{"OPR-03 meets SET-03", `{"ForAnyValue:` + op.name + `IfExists` + c, nil, false, true}.run(t)
	}
	both("OPR-03 present", `{"StringEqualsIfExists": {"x:a": "1"}}`, false, "x:a=2").run(t)
	both("OPR-03 present", `{"StringEqualsIfExists": {"x:a": "1"}}`, true, "x:a=1").run(t)
	both("OPR-03 present, negated", `{"StringNotEqualsIfExists": {"x:a": "1"}}`, false, "x:a=1").run(t)
}

func TestSetOperatorsSET(t *testing.T) {
	const keys = "kms:EncryptionContextKeys"
	tests := []conditionCase{
		both("SET-03 one matches", `{"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}}`, true, "aws:TagKeys=x", "aws:TagKeys=b"),
		both("SET-03 none matches", `{"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}}`, false, "aws:TagKeys=x", "aws:TagKeys=y"),
		both("SET-03 negated: one matches none", `{"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a", "b"]}}`, true, "aws:TagKeys=a", "aws:TagKeys=y"),
		both("SET-03 negated: all match", `{"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a", "b"]}}`, false, "aws:TagKeys=a", "aws:TagKeys=b"),
		both("SET-04 all match", `{"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}`, true, "aws:TagKeys=a", "aws:TagKeys=b"),
		both("SET-04 one does not", `{"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}`, false, "aws:TagKeys=a", "aws:TagKeys=x"),
		both("SET-04 negated: none matches", `{"ForAllValues:StringNotEquals": {"aws:TagKeys": ["a"]}}`, true, "aws:TagKeys=x", "aws:TagKeys=y"),
		both("SET-04 negated: one matches", `{"ForAllValues:StringNotEquals": {"aws:TagKeys": ["a"]}}`, false, "aws:TagKeys=x", "aws:TagKeys=a"),
		both("SET-06 single-valued", `{"ForAnyValue:StringEquals": {"kms:CallerAccount": "1"}}`, true, "kms:CallerAccount=1"),
		both("SET-06 single-valued", `{"ForAllValues:StringEquals": {"kms:CallerAccount": "1"}}`, false, "kms:CallerAccount=2"),
		// Without prefix: closed in both effects (SET-07).
		{"SET-07 some match", `{"StringEquals": {"aws:TagKeys": "a"}}`, []string{"aws:TagKeys=a", "aws:TagKeys=x"}, false, true},
		both("SET-07 all match", `{"StringEquals": {"aws:TagKeys": ["a", "b"]}}`, true, "aws:TagKeys=a", "aws:TagKeys=b"),
		both("SET-07 none matches", `{"StringEquals": {"aws:TagKeys": "a"}}`, false, "aws:TagKeys=x", "aws:TagKeys=y"),
		both("SET-07 none", `{"StringEquals": {"aws:TagKeys": "a"}}`, false),
		{"SET-07 negated, some match", `{"StringNotEquals": {"aws:TagKeys": "a"}}`, []string{"aws:TagKeys=a", "aws:TagKeys=x"}, false, true},
		{"SET-07 negated, none", `{"StringNotEquals": {"aws:TagKeys": "a"}}`, nil, false, true},
		both("SET-07 IfExists, none", `{"StringEqualsIfExists": {"aws:TagKeys": "a"}}`, true),
		// Idioms (SET-08).
		both("SET-08 a", `{"StringEquals": {"kms:EncryptionContext:A": "x"}, "ForAllValues:StringEquals": {"`+keys+`": ["A"]}}`, true, "kms:EncryptionContext:A=x", keys+"=A"),
		both("SET-08 a", `{"StringEquals": {"kms:EncryptionContext:A": "x"}, "ForAllValues:StringEquals": {"`+keys+`": ["A"]}}`, false, "kms:EncryptionContext:A=x", keys+"=A", keys+"=B"),
		both("SET-08 a", `{"StringEquals": {"kms:EncryptionContext:A": "x"}, "ForAllValues:StringEquals": {"`+keys+`": ["A"]}}`, false),
		both("SET-08 b", `{"Null": {"`+keys+`": false}}`, true, keys+"=A"),
		both("SET-08 b", `{"Null": {"`+keys+`": false}}`, false),
		both("SET-08 c", `{"ForAnyValue:StringEquals": {"`+keys+`": "AppName"}}`, false, keys+"=appname"),
		both("SET-08 c", `{"ForAnyValue:StringEquals": {"`+keys+`": "AppName"}}`, true, keys+"=AppName"),
		both("SET-08 e", `{"ForAllValues:StringLike": {"kms:ResourceAliases": "alias/*Test*"}, "ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/*Test*"}}`, true, "kms:ResourceAliases=alias/Test1", "kms:ResourceAliases=alias/MyTest"),
		both("SET-08 e", `{"ForAllValues:StringLike": {"kms:ResourceAliases": "alias/*Test*"}, "ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/*Test*"}}`, false, "kms:ResourceAliases=alias/Test1", "kms:ResourceAliases=alias/prod"),
		both("SET-08 e", `{"ForAllValues:StringLike": {"kms:ResourceAliases": "alias/*Test*"}, "ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/*Test*"}}`, false),
		// Colliding pairs on a single-valued key: all in an Allow, any in a Deny (KCK-05).
		{"KCK-05 collision", `{"StringEquals": {"kms:EncryptionContext:a": "x"}}`, []string{"kms:EncryptionContext:A=x", "kms:EncryptionContext:a=y"}, false, true},
		{"KCK-05 any value", `{"ForAnyValue:StringEquals": {"kms:EncryptionContext:a": "x"}}`, []string{"kms:EncryptionContext:A=x", "kms:EncryptionContext:a=y"}, false, true},
		{"KCK-05 all values", `{"ForAllValues:StringEquals": {"aws:ResourceTag/a": "x"}}`, []string{"aws:ResourceTag/A=x", "aws:ResourceTag/a=y"}, false, true},
		both("KCK-05 both satisfy", `{"StringEquals": {"kms:EncryptionContext:a": ["x", "y"]}}`, true, "kms:EncryptionContext:A=x", "kms:EncryptionContext:a=y"),
	}
	for _, test := range tests {
		test.run(t)
	}
}

// TestUnparsableOPR04: a value that the operator cannot compare never satisfies an Allow and always satisfies a Deny.
func TestUnparsableOPR04(t *testing.T) {
	tests := []conditionCase{
		{"policy value", `{"NumericLessThan": {"x:n": "many"}}`, []string{"x:n=1"}, false, true},
		{"policy value, another fits", `{"NumericEquals": {"x:n": ["many", "1"]}}`, []string{"x:n=1"}, true, true},
		{"policy value, no other fits", `{"NumericEquals": {"x:n": ["many", "1"]}}`, []string{"x:n=2"}, false, true},
		{"policy value, negated", `{"NumericNotEquals": {"x:n": ["many", "1"]}}`, []string{"x:n=2"}, false, true},
		{"policy value, negated, another equals", `{"NumericNotEquals": {"x:n": ["many", "1"]}}`, []string{"x:n=1"}, false, false},
		{"request value", `{"NumericLessThan": {"x:n": 5}}`, []string{"x:n=few"}, false, true},
		{"request value, negated", `{"NumericNotEquals": {"x:n": 5}}`, []string{"x:n=few"}, false, true},
		{"exponent", `{"NumericEquals": {"x:n": 1e3}}`, []string{"x:n=1000"}, false, true},
		{"date", `{"DateLessThan": {"aws:CurrentTime": "tomorrow"}}`, []string{"aws:CurrentTime=2024-01-01T00:00:00Z"}, false, true},
		{"bool", `{"Bool": {"aws:SecureTransport": "yes"}}`, []string{"aws:SecureTransport=true"}, false, true},
		{"network", `{"IpAddress": {"aws:SourceIp": "203.0.113.0/33"}}`, []string{"aws:SourceIp=203.0.113.1"}, false, true},
		{"address", `{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}`, []string{"aws:SourceIp=service.example"}, false, true},
		{"base64", `{"BinaryEquals": {"x:b": "%"}}`, []string{"x:b=x"}, false, true},
		{"ARN in the policy", `{"ArnLike": {"aws:SourceArn": "bucket*"}}`, []string{"aws:SourceArn=arn:aws:s3:::bucket"}, false, true},
		{"ARN in the request", `{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}`, []string{"aws:SourceArn=bucket"}, false, true},
		{"Null", `{"Null": {"x:n": "maybe"}}`, nil, false, true},
		both("absent is no value", `{"NumericLessThan": {"x:n": "many"}}`, false),
	}
	for _, test := range tests {
		test.run(t)
	}
}

// TestVoidKCK13: aliases over the quota count against the caller.
func TestVoidKCK13(t *testing.T) {
	for _, c := range []string{
		`{"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/*"}}`, `{"ForAllValues:StringLike": {"kms:ResourceAliases": "alias/*"}}`,
		`{"StringNotLike": {"kms:ResourceAliases": "alias/*"}}`, `{"Null": {"kms:ResourceAliases": true}}`, `{"Null": {"kms:ResourceAliases": false}}`,
		`{"ForAllValues:StringLikeIfExists": {"kms:ResourceAliases": "alias/*"}}`, `{"StringLikeIfExists": {"kms:ResourceAliases": "alias/*"}}`,
	} {
		req := onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(defaultPolicy(t))
		req.Context = answers(func(*Key) Values { return Void() })
		req.identity(identityOf(t, `{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": `+c+`}`))
		wantOutcome(t, req, ImplicitDeny)
		req.identity(identityOf(t, allowAll+`, {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": `+c+`}`))
		wantOutcome(t, req, ExplicitDeny)
	}
}

func TestVariablesInConditionsVAR(t *testing.T) {
	tests := []conditionCase{
		both("VAR-01", `{"StringEquals": {"kms:EncryptionContext:user": "${aws:username}"}}`, true, "aws:username=bob", "kms:EncryptionContext:user=bob"),
		both("VAR-01", `{"StringEquals": {"kms:EncryptionContext:user": "${aws:username}"}}`, false, "aws:username=bob", "kms:EncryptionContext:user=alice"),
		both("VAR-01 inside text", `{"StringLike": {"x:a": "team-${aws:username}-*"}}`, true, "aws:username=bob", "x:a=team-bob-7"),
		both("VAR-01 two", `{"StringEquals": {"x:a": "${x:b}/${x:c}"}}`, true, "x:b=1", "x:c=2", "x:a=1/2"),
		both("VAR-01 never in a key name", `{"StringEquals": {"kms:EncryptionContext:${aws:username}": "x"}}`, false, "aws:username=bob", "kms:EncryptionContext:bob=x"),
		both("VAR-02 ignoring case", `{"StringEqualsIgnoreCase": {"x:a": "U-${aws:username}"}}`, true, "aws:username=Bob", "x:a=u-bOB"),
		both("VAR-02 ARN part", `{"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:${aws:PrincipalAccount}:topic-*"}}`, true, "aws:PrincipalAccount=111122223333", "aws:SourceArn=arn:aws:sns:us-east-1:111122223333:topic-1"),
		both("VAR-02 whole ARN", `{"ArnEquals": {"aws:SourceArn": "${x:a}"}}`, true, "x:a=arn:aws:s3:::b", "aws:SourceArn=arn:aws:s3:::b"),
		both("VAR-02 whole ARN", `{"ArnEquals": {"aws:SourceArn": "${x:a}"}}`, false, "x:a=arn:aws:s3:::*", "aws:SourceArn=arn:aws:s3:::b"),
		{"VAR-02 not in Numeric", `{"NumericEquals": {"x:n": "${x:m}"}}`, []string{"x:n=1", "x:m=1"}, false, true},
		{"VAR-02 not in Bool", `{"Bool": {"x:n": "${x:m}"}}`, []string{"x:n=true", "x:m=true"}, false, true},
		both("VAR-03 unresolvable", `{"StringEquals": {"x:a": "${x:none}"}}`, false, "x:a=1"),
		both("VAR-03 unresolvable, another value fits", `{"StringEquals": {"x:a": ["${x:none}", "1"]}}`, true, "x:a=1"),
		{"VAR-03 unresolvable, negated", `{"StringNotEquals": {"x:a": "${x:none}"}}`, []string{"x:a=1"}, false, true},
		{"VAR-03 unresolvable, ARN negated", `{"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::${x:none}"}}`, []string{"aws:SourceArn=arn:aws:s3:::b"}, false, true},
		{"VAR-03 unresolvable, ARN negated, other parts differ", `{"ArnNotLike": {"aws:SourceArn": "arn:aws:sns:::${x:none}"}}`, []string{"aws:SourceArn=arn:aws:s3:::b"}, false, true},
		both("VAR-03 IfExists saves it", `{"StringEqualsIfExists": {"x:a": "${x:none}"}}`, true),
		both("VAR-03 multi-valued", `{"StringEquals": {"x:a": "${aws:TagKeys}"}}`, false, "x:a=1", "aws:TagKeys=1"),
		both("VAR-03 default", `{"StringEquals": {"x:a": "${x:none, 'none given'}"}}`, true, "x:a=none given"),
		both("VAR-03 default unused", `{"StringEquals": {"x:a": "${x:b, 'd'}"}}`, false, "x:b=1", "x:a=d"),
		both("VAR-03 empty default", `{"StringEquals": {"x:a": "${x:b, ''}"}}`, true, "x:a="),
		both("VAR-03 escapes", `{"StringLike": {"x:a": "${*}${?}${$}"}}`, true, "x:a=*?$"),
		both("VAR-03 escapes", `{"StringLike": {"x:a": "${*}${?}${$}"}}`, false, "x:a=abc"),
		both("VAR-03 a value's star is text", `{"StringLike": {"x:a": "${x:b}"}}`, false, "x:b=*", "x:a=anything"),
		both("wildcards around variables", `{"StringLike": {"x:a": "${x:c}*${x:b}!"}}`, true, "x:b=1", "x:c=0", "x:a=01-1!"),
		both("wildcards around variables", `{"StringLike": {"x:a": "*-${x:b}?${x:b}-*"}}`, true, "x:b=1", "x:a=x-1-1-2-1é1-y"),
		both("wildcards around variables", `{"StringLike": {"x:a": "*-${x:b}?${x:b}-*"}}`, false, "x:b=1", "x:a=x-1-2-2-1éé1-y"),
		both("wildcards around variables", `{"StringLike": {"x:a": "*${x:b}é?*"}}`, true, "x:b=月", "x:a=--月日月éö--"),
		both("long value beside ?", `{"StringLike": {"x:a": "*${x:b}?*"}}`, false, "x:b="+strings.Repeat("a", 1025), "x:a="+strings.Repeat("a", 2000)),
		both("long value without ?", `{"StringLike": {"x:a": "*${x:b}*"}}`, true, "x:b="+strings.Repeat("a", 1025), "x:a="+strings.Repeat("a", 2000)),
		both("VAR-03 one pass", `{"StringEquals": {"x:a": "${x:b}"}}`, true, "x:b=${x:c}", "x:c=1", "x:a=${x:c}"),
		both("not a variable", `{"StringEquals": {"x:a": "${"}}`, true, "x:a=${"),
		both("not a variable", `{"StringEquals": {"x:a": "${}"}}`, true, "x:a=${}"),
		both("not a variable", `{"StringEquals": {"x:a": "${x:b, d}"}}`, true, "x:b=1", "x:a=${x:b, d}"),
		both("VAR-04 provider claim", `{"StringEquals": {"kms:EncryptionContext:sub": "${cognito-identity.amazonaws.com:sub}"}}`, true, "cognito-identity.amazonaws.com:sub=u1", "kms:EncryptionContext:sub=u1"),
	}
	for _, test := range tests {
		test.run(t)
	}
	// VAR-02: under version 2008-10-17 a variable is text.
	old := parse(t, KeyPolicy, `{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": {"StringEquals": {"aws:userid": "${aws:username}"}}}}`)
	wantOutcome(t, onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(old).with("aws:username=alice", "aws:userid=alice"), ImplicitDeny)
	wantOutcome(t, onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(old).with("aws:userid=${aws:username}"), Allowed)
}

// TestRestrictedKeys: a condition key exists only for the operations that the permissions reference gives it (CND-07, PM-11),
// and some do not exist in key policies (CND-09).
func TestRestrictedKeys(t *testing.T) {
	context := []string{"kms:EncryptionContext:a=x", "kms:EncryptionContextKeys=a", "kms:KeySpec=SYMMETRIC_DEFAULT", "aws:ResourceTag/t=v",
		"kms:ResourceAliases=alias/x", "kms:CallerAccount=111122223333", "aws:SourceIp=192.0.2.1", "kms:RequestAlias=alias/x"}
	tests := []struct {
		rule, action, condition string
		resource                Resource
		keyPolicy, identity     bool
	}{
		{"PM-11 context on a cryptographic operation", "kms:Encrypt", `"kms:EncryptionContext:a": "x"`, Resource{Type: ResourceKey}, true, true},
		{"PM-11 context on DescribeKey", "kms:DescribeKey", `"kms:EncryptionContext:a": "x"`, Resource{Type: ResourceKey}, false, false},
		{"KCK-03 context on Sign", "kms:Sign", `"kms:EncryptionContext:a": "x"`, Resource{Type: ResourceKey}, false, false},
		{"CND-07 property of the key", "kms:DescribeKey", `"kms:KeySpec": "SYMMETRIC_DEFAULT"`, Resource{Type: ResourceKey}, true, true},
		{"CND-07 no key", "kms:ListKeys", `"kms:KeySpec": "SYMMETRIC_DEFAULT"`, Resource{Type: ResourceNone}, false, false},
		{"CND-06 CreateKey", "kms:CreateKey", `"kms:KeySpec": "SYMMETRIC_DEFAULT"`, Resource{Type: ResourceNone}, false, true},
		{"alias half", "kms:CreateAlias", `"kms:KeySpec": "SYMMETRIC_DEFAULT"`, Resource{Type: ResourceAlias, ARN: aliasARN}, false, false},
		{"alias half, caller", "kms:CreateAlias", `"kms:CallerAccount": "111122223333"`, Resource{Type: ResourceAlias, ARN: aliasARN}, false, true},
		{"key half", "kms:CreateAlias", `"kms:KeySpec": "SYMMETRIC_DEFAULT"`, Resource{Type: ResourceKey}, true, true},
		{"CND-09 tags", "kms:Encrypt", `"aws:ResourceTag/t": "v"`, Resource{Type: ResourceKey}, false, true},
		{"CND-09 aliases", "kms:Encrypt", `"kms:ResourceAliases": "alias/x"`, Resource{Type: ResourceKey}, false, true},
		{"KCK-12 request alias", "kms:Encrypt", `"kms:RequestAlias": "alias/x"`, Resource{Type: ResourceKey}, true, true},
		{"KCK-12 request alias of an administrative operation", "kms:EnableKey", `"kms:RequestAlias": "alias/x"`, Resource{Type: ResourceKey}, false, false},
		{"GLB-01 global", "kms:GenerateRandom", `"aws:SourceIp": "192.0.2.1"`, Resource{Type: ResourceNone}, false, true},
	}
	for _, test := range tests {
		statement := `"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition": {"StringEquals": {` + test.condition + `}}`
		r := test.resource
		r.Account = accountK
		if r.Type == ResourceKey {
			r.ARN = keyARN
		}
		req := &Request{Principal: user(accountK, "alice"), Action: test.action, Resource: r}
		if r.Type == ResourceNone {
			req.Resource.Account = ""
		}
		req.with(context...)
		req.ResourcePolicy = keyPolicyOf(t, `{"Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"}, `+statement+`}`)
		if d := decide(t, req); d.Allowed() != test.keyPolicy {
			t.Errorf("%s: in a key policy %v", test.rule, d.Outcome)
		}
		req.ResourcePolicy = defaultPolicy(t)
		if d := decide(t, req.identity(identityOf(t, `{`+statement+`}`))); d.Allowed() != test.identity {
			t.Errorf("%s: in an identity policy %v", test.rule, d.Outcome)
		}
	}
}

// TestReads: a decision says whether it read the key's tags or aliases.
func TestReads(t *testing.T) {
	tests := []struct {
		action, condition string
		tags, aliases     bool
	}{
		{"kms:Encrypt", `{"StringEquals": {"aws:SourceIp": "x"}}`, false, false},
		{"kms:Encrypt", `{"StringEquals": {"aws:ResourceTag/a": "x"}}`, true, false},
		{"kms:Encrypt", `{"StringEquals": {"aws:userid": "${aws:ResourceTag/a}"}}`, true, false},
		{"kms:Encrypt", `{"Null": {"kms:ResourceAliases": true}}`, false, true},
		{"kms:TagResource", `{"StringEquals": {"aws:RequestTag/a": "x"}}`, false, false},
		{"kms:UntagResource", `{"StringEquals": {"aws:RequestTag/a": "x"}}`, true, false},
	}
	for _, test := range tests {
		id := identityOf(t, `{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": `+test.condition+`}`)
		d := Decide(onKey(user(accountK, "alice"), test.action).keyPolicy(defaultPolicy(t)).identity(id).with("aws:userid=1"))
		if d.ReadTags != test.tags || d.ReadAliases != test.aliases {
			t.Errorf("%s %s: %v %v", test.action, test.condition, d.ReadTags, d.ReadAliases)
		}
	}
}

func TestInstants(t *testing.T) {
	for text, want := range map[string]int64{
		"1970": 0, "1970-01-02": 86400, "2000-02-29": 951782400, "1969-12-31T23:59:59Z": -1, "2024-12-31T23:59:60Z": 1735689600,
		"2024-01-01T00:00+05:30": 1704047400, "2024-01-01T00:00:00-05:00": 1704085200, "2024-04-30": 1714435200, "0": 0, "-1": -1, "1704067200.5": 1704067200, "9999-12-31": 253402214400, "0001-01-01": -62135596800,
	} {
		if got, ok := parseInstant(text); !ok || got.seconds != want {
			t.Errorf("%s: %+v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "2024-13", "2024-02-30", "2023-02-29", "1900-02-29", "2024-1-1", "2024-01-01T", "2024-01-01T00:00", "2024T00:00Z",
		"2024-01T00:00Z", "2024-01-01T24:00Z", "2024-01-01T00:60Z", "2024-01-01T00:00:00.Z", "2024-01-01 00:00Z", "24-01-01", "1" + strings.Repeat("0", 16),
		"2024-01-01T00:00+5:30", "2024-01-01T00:00Z+01:00", "2024-01-01-01"} {
		if got, ok := parseInstant(text); ok {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
