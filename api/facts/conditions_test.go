package facts

import (
	"slices"
	"testing"
	"time"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/shape"
)

// TestConditionsGLB01: the condition keys of a user's call, of a role session's through a service, and of a service's own.
func TestConditionsGLB01(t *testing.T) {
	const account = "111122223333"
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	alice := &Conditions{
		Service: &region.Service{},
		Call: &region.Call{Now: now, Caller: &region.Caller{
			Kind: region.PrincipalUser, Account: account, ARN: "arn:aws:iam::111122223333:user/alice", PrincipalID: "AIDAALICE", UserName: "alice",
			Standing: &region.Standing{Identity: &fsm.Identity{Tags: []fsm.Tag{{Key: "Team", Value: "red"}}}},
		}},
		Target: &region.Target{
			Account: account, RequestAlias: "alias/a",
			Key: &fsm.Key{Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS", Tags: []fsm.Tag{{Key: "Project", Value: "Alpha"}}},
			Conditions: region.Conditions{
				EncryptionContext: shape.EncryptionContextOf(map[string]string{"AppName": "x", "Stage": "y"}),
				RequestTags:       []fsm.Tag{{Key: "Cost", Value: "1"}},
			},
		},
		Connection: policy.NewMapContext(map[string][]string{"aws:SourceIp": {"192.0.2.1"}}),
	}
	app := &Conditions{
		Service: &region.Service{},
		Call: &region.Call{Now: now, Service: &region.ServiceFacts{Name: "ec2", Via: "ec2.us-west-2.amazonaws.com"}, Caller: &region.Caller{
			Kind: region.PrincipalRoleSession, Account: account, ARN: "arn:aws:sts::111122223333:assumed-role/app/s1", PrincipalID: "AROAAPP:s1",
			Standing: &region.Standing{Identity: &fsm.Identity{}, IdentityARN: "arn:aws:iam::111122223333:role/app"},
			Session:  &region.Session{Issued: now, SourceIdentity: "bob"},
		}},
		Target: &region.Target{Account: account, Conditions: region.Conditions{
			KeySpec: "RSA_2048", MultiRegion: shape.Some(true), TagKeys: []string{"a", "b"}, PendingWindowDays: 7,
		}},
	}
	trail := &Conditions{
		Service: &region.Service{},
		Call: &region.Call{Now: now,
			Service: &region.ServiceFacts{Name: "cloudtrail", SourceARN: "arn:aws:cloudtrail:us-west-2:111122223333:trail/t", SourceAccount: account},
			Caller: &region.Caller{
				Kind: region.PrincipalService, Account: account, ARN: "cloudtrail.amazonaws.com", PrincipalID: "cloudtrail.amazonaws.com",
				ServiceNames: []string{"cloudtrail.amazonaws.com", "cloudtrail.us-west-2.amazonaws.com"},
			}},
		Target: &region.Target{},
	}
	one := func(v string) []string { return []string{v} }
	for _, test := range []struct {
		id                policy.KeyID
		variable          string
		alice, app, trail []string
	}{
		{policy.KeyPrincipalArn, "", one("arn:aws:iam::111122223333:user/alice"), one("arn:aws:iam::111122223333:role/app"), nil},
		{policy.KeyPrincipalAccount, "", one(account), one(account), nil},
		{policy.KeyCallerAccount, "", one(account), one(account), nil},
		{policy.KeyPrincipalType, "", one("User"), one("AssumedRole"), one("Service")},
		{policy.KeyUserID, "", one("AIDAALICE"), one("AROAAPP:s1"), one("cloudtrail.amazonaws.com")},
		{policy.KeyUsername, "", one("alice"), nil, nil},
		{policy.KeyPrincipalTag, "team", one("red"), nil, nil},
		{policy.KeyPrincipalIsAWSService, "", one("false"), one("false"), one("true")},
		{policy.KeyPrincipalServiceName, "", nil, nil, one("cloudtrail.amazonaws.com")},
		{policy.KeyPrincipalServiceNamesList, "", nil, nil, []string{"cloudtrail.amazonaws.com", "cloudtrail.us-west-2.amazonaws.com"}},
		{policy.KeyTokenIssueTime, "", nil, one("2024-05-01T12:00:00Z"), nil},
		{policy.KeySourceIdentity, "", nil, one("bob"), nil},
		{policy.KeyMultiFactorAuthPresent, "", nil, one("false"), nil},
		{policy.KeySourceIP, "", one("192.0.2.1"), nil, nil}, // of the connection, if there is one
		{policy.KeyCurrentTime, "", one("2024-05-01T12:00:00Z"), one("2024-05-01T12:00:00Z"), one("2024-05-01T12:00:00Z")},
		{policy.KeyEpochTime, "", one("1714564800"), one("1714564800"), one("1714564800")},
		{policy.KeyViaAWSService, "", one("false"), one("true"), one("false")}, // VIA-01, VIA-02
		{policy.KeyViaService, "", nil, one("ec2.us-west-2.amazonaws.com"), nil},
		{policy.KeyGrantIsForAWSResource, "", one("false"), one("true"), one("false")}, // KCK-07
		{policy.KeyCalledVia, "", nil, one("ec2.amazonaws.com"), nil},
		{policy.KeyCalledViaFirst, "", nil, one("ec2.amazonaws.com"), nil},
		{policy.KeyCalledViaLast, "", nil, one("ec2.amazonaws.com"), nil},
		{policy.KeySourceArn, "", nil, nil, one("arn:aws:cloudtrail:us-west-2:111122223333:trail/t")}, // GLB-05
		{policy.KeySourceAccount, "", nil, nil, one(account)},
		{policy.KeyResourceAccount, "", one(account), one(account), nil},
		{policy.KeyKeySpec, "", one("SYMMETRIC_DEFAULT"), one("RSA_2048"), nil},
		{policy.KeyKeyUsage, "", one("ENCRYPT_DECRYPT"), nil, nil},
		{policy.KeyKeyOrigin, "", one("AWS_KMS"), nil, nil},
		{policy.KeyMultiRegion, "", one("false"), one("true"), nil},
		{policy.KeyMultiRegionKeyType, "", nil, one("PRIMARY"), nil},
		{policy.KeyResourceTag, "project", one("Alpha"), nil, nil},
		{policy.KeyEncryptionContext, "appname", one("x"), nil, nil},
		{policy.KeyEncryptionContext, "none", nil, nil, nil},
		{policy.KeyEncryptionContextKeys, "", []string{"AppName", "Stage"}, nil, nil},
		{policy.KeyRequestTag, "cost", one("1"), nil, nil},
		{policy.KeyTagKeys, "", one("Cost"), []string{"a", "b"}, nil},
		{policy.KeyRequestAlias, "", one("alias/a"), nil, nil},
		{policy.KeyScheduleKeyDeletionPendingWindowInDays, "", nil, one("7"), nil},
		{policy.KeyGranteePrincipal, "", nil, nil, nil},
	} {
		for i, c := range []*Conditions{alice, app, trail} {
			want := [][]string{test.alice, test.app, test.trail}[i]
			key := &policy.Key{ID: test.id, Variable: test.variable, Name: "aws:sourceip"}
			if got := c.Lookup(key).Strings(); !slices.Equal(got, want) {
				t.Errorf("key %d %s of %s: %q, want %q", test.id, test.variable, c.Call.Caller.ARN, got, want)
			}
		}
	}
}
