package policy

import (
	"slices"
	"testing"
	"time"
)

func lookup(c Context, key string) []string { return c.Lookup(newKey(key)).Strings() }

func TestGlobalKeysGLB01(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	alice := &CallContext{
		Caller:   user(accountK, "alice"),
		Identity: IdentityFacts{UserID: "AIDAALICE", Username: "alice", Tags: pairs("Team", "red"), OrgID: "o-1", OrgPaths: []string{"o-1/r/ou"}},
		Hop:      HopFacts{Address: "192.0.2.1", TLS: true, UserAgent: "cli", Region: "us-west-2", Now: now},
		Resource: ResourceFacts{Account: accountK, KeySpec: "SYMMETRIC_DEFAULT", KeyUsage: "ENCRYPT_DECRYPT", KeyOrigin: "AWS_KMS",
			Tags: pairs("Project", "Alpha"), Aliases: func() []string { return []string{"alias/a", "alias/b"} }},
		EncryptionContext: pairs("AppName", "x", "Stage", "y"),
		RequestTags:       pairs("Cost", "1"),
		Params:            NewMapContext(map[string][]string{"kms:RequestAlias": {"alias/a"}}),
	}
	app := &CallContext{
		Caller:   session(accountK, "app", "s1"),
		Identity: IdentityFacts{UserID: "AROAAPP:s1", TokenIssued: now, SourceIdentity: "bob", MFA: true, MFAPresent: true, MFAAge: 90 * time.Second},
		Hop:      HopFacts{Address: "10.0.0.1", VpceID: "vpce-1", VpcID: "vpc-1"},
		Service:  ServiceFacts{Via: "ec2.us-west-2.amazonaws.com", CalledVia: []string{"athena.amazonaws.com", "glue.amazonaws.com"}},
		Resource: ResourceFacts{Account: accountK, KeySpec: "RSA_2048", MultiRegion: true, MultiRegionKeyType: "REPLICA"},
		TagKeys:  []string{"a", "b"},
	}
	trail := &CallContext{
		Caller:  service("cloudtrail.amazonaws.com", "cloudtrail.us-west-2.amazonaws.com"),
		Service: ServiceFacts{SourceARN: "arn:aws:cloudtrail:us-west-2:111122223333:trail/t", SourceAccount: accountK},
	}
	tests := []struct {
		key               string
		alice, app, trail []string
	}{
		{"aws:PrincipalArn", []string{"arn:aws:iam::111122223333:user/alice"}, []string{"arn:aws:iam::111122223333:role/app"}, nil},
		{"aws:PrincipalAccount", []string{accountK}, []string{accountK}, nil},
		{"kms:CallerAccount", []string{accountK}, []string{accountK}, nil},
		{"aws:PrincipalType", []string{"User"}, []string{"AssumedRole"}, []string{"Service"}},
		{"aws:userid", []string{"AIDAALICE"}, []string{"AROAAPP:s1"}, nil},
		{"aws:username", []string{"alice"}, nil, nil},
		{"aws:PrincipalTag/team", []string{"red"}, nil, nil},
		{"aws:PrincipalOrgID", []string{"o-1"}, nil, nil},
		{"aws:PrincipalOrgPaths", []string{"o-1/r/ou"}, nil, nil},
		{"aws:PrincipalIsAWSService", []string{"false"}, []string{"false"}, []string{"true"}},
		{"aws:PrincipalServiceName", nil, nil, []string{"cloudtrail.amazonaws.com"}},
		{"aws:PrincipalServiceNamesList", nil, nil, []string{"cloudtrail.amazonaws.com", "cloudtrail.us-west-2.amazonaws.com"}},
		{"aws:TokenIssueTime", nil, []string{"2024-05-01T12:00:00Z"}, nil},
		{"aws:SourceIdentity", nil, []string{"bob"}, nil},
		{"aws:MultiFactorAuthPresent", nil, []string{"true"}, nil},
		{"aws:MultiFactorAuthAge", nil, []string{"90"}, nil},
		{"aws:SourceIp", []string{"192.0.2.1"}, nil, nil}, // GLB-02, VE-05: absent behind an endpoint
		{"aws:VpcSourceIp", nil, []string{"10.0.0.1"}, nil},
		{"aws:SourceVpce", nil, []string{"vpce-1"}, nil},
		{"aws:SourceVpc", nil, []string{"vpc-1"}, nil},
		{"aws:CurrentTime", []string{"2024-05-01T12:00:00Z"}, nil, nil},
		{"aws:EpochTime", []string{"1714564800"}, nil, nil},
		{"aws:RequestedRegion", []string{"us-west-2"}, nil, nil},
		{"aws:SecureTransport", []string{"true"}, []string{"false"}, []string{"false"}},
		{"aws:UserAgent", []string{"cli"}, nil, nil},
		{"aws:Referer", nil, nil, nil},
		{"aws:ViaAWSService", []string{"false"}, []string{"true"}, []string{"false"}}, // VIA-01, VIA-02
		{"kms:ViaService", nil, []string{"ec2.us-west-2.amazonaws.com"}, nil},
		{"kms:GrantIsForAWSResource", []string{"false"}, []string{"true"}, []string{"false"}}, // KCK-07
		{"aws:CalledVia", nil, []string{"athena.amazonaws.com", "glue.amazonaws.com"}, nil},
		{"aws:CalledViaFirst", nil, []string{"athena.amazonaws.com"}, nil},
		{"aws:CalledViaLast", nil, []string{"glue.amazonaws.com"}, nil},
		{"aws:SourceArn", nil, nil, []string{"arn:aws:cloudtrail:us-west-2:111122223333:trail/t"}}, // GLB-05
		{"aws:SourceAccount", nil, nil, []string{accountK}},
		{"aws:ResourceAccount", []string{accountK}, []string{accountK}, nil},
		{"kms:KeySpec", []string{"SYMMETRIC_DEFAULT"}, []string{"RSA_2048"}, nil},
		{"kms:CustomerMasterKeySpec", []string{"SYMMETRIC_DEFAULT"}, []string{"RSA_2048"}, nil},
		{"kms:KeyUsage", []string{"ENCRYPT_DECRYPT"}, nil, nil},
		{"kms:KeyOrigin", []string{"AWS_KMS"}, nil, nil},
		{"kms:MultiRegion", []string{"false"}, []string{"true"}, nil},
		{"kms:MultiRegionKeyType", nil, []string{"REPLICA"}, nil},
		{"aws:ResourceTag/PROJECT", []string{"Alpha"}, nil, nil},
		{"kms:ResourceAliases", []string{"alias/a", "alias/b"}, nil, nil},
		{"kms:EncryptionContext:appname", []string{"x"}, nil, nil},
		{"kms:EncryptionContext:none", nil, nil, nil},
		{"kms:EncryptionContextKeys", []string{"AppName", "Stage"}, nil, nil},
		{"aws:RequestTag/cost", []string{"1"}, nil, nil},
		{"aws:TagKeys", []string{"Cost"}, []string{"a", "b"}, nil},
		{"kms:RequestAlias", []string{"alias/a"}, nil, nil},
		{"x:unknown", nil, nil, nil},
	}
	for _, test := range tests {
		for i, c := range []*CallContext{alice, app, trail} {
			want := [][]string{test.alice, test.app, test.trail}[i]
			if got := lookup(c, test.key); !slices.Equal(got, want) {
				t.Errorf("%s of %s: %q, want %q", test.key, c.Caller.ARN, got, want)
			}
		}
	}
	empty := &CallContext{}
	for _, row := range keyRows {
		name := row.name
		if row.family {
			name += "x"
		}
		if v := empty.Lookup(newKey(name)); v.IsVoid() {
			t.Errorf("%s of nothing is void", name)
		}
	}
	for _, p := range []*Principal{root(accountK), federated(accountK, "g", "")} {
		c := &CallContext{Caller: p}
		if got := lookup(c, "aws:PrincipalArn"); !slices.Equal(got, []string{p.ARN}) {
			t.Errorf("aws:PrincipalArn of %s: %q", p.ARN, got)
		}
	}
}

// TestCollidingPairsKCK05: keys that differ in case only come together.
func TestCollidingPairsKCK05(t *testing.T) {
	c := &CallContext{EncryptionContext: pairs("app", "1", "APP", "2", "other", "3")}
	got := lookup(c, "kms:EncryptionContext:App")
	slices.Sort(got)
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("%q", got)
	}
}

func TestValues(t *testing.T) {
	for _, v := range []struct {
		v      Values
		len    int
		absent bool
		void   bool
	}{{Absent(), 0, true, false}, {One(""), 1, false, false}, {NonEmpty(""), 0, true, false}, {NonEmpty("x"), 1, false, false},
		{Many(nil), 0, true, false}, {Many([]string{"a", "b"}), 2, false, false}, {Void(), 0, false, true}, {Flag(true), 1, false, false}} {
		if v.v.Len() != v.len || v.v.IsAbsent() != v.absent || v.v.IsVoid() != v.void || len(v.v.Strings()) != v.len {
			t.Errorf("%+v", v)
		}
	}
	if !PairKeys(nil).IsAbsent() || !Lookup(nil, "x").IsAbsent() || MapPairs(nil) != nil {
		t.Error("no pairs")
	}
}
