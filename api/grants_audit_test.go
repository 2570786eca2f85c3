package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// same holds that a member of a record is what a JSON text says.
func same(t *testing.T, record map[string]any, member, want string) {
	t.Helper()
	var value any
	if want != "" {
		if err := json.Unmarshal([]byte(want), &value); err != nil {
			t.Fatal(err)
		}
	}
	got, ok := record[member]
	if !reflect.DeepEqual(got, value) || ok != (want != "") {
		b, _ := json.Marshal(got)
		t.Errorf("%s %s is %s, want %s", record["eventName"], member, b, want)
	}
}

// TestRecordsOfThree: ReEncrypt between the keys of two other accounts is recorded in all three (spec 03 AUD-05).
func TestRecordsOfThree(t *testing.T) {
	l := newGrantLab(t)
	open := func(in *kms.CreateKeyInput) { in.Policy = aws.String(keyPolicy(named("*", "kms:*"))) }
	from := l.key(open)
	in := &kms.CreateKeyInput{}
	open(in)
	to := must(l.as(partner).CreateKey(t.Context(), in))(t).KeyMetadata.Arn
	text := must(l.as(owner).Encrypt(t.Context(), &kms.EncryptInput{KeyId: from, Plaintext: []byte("x")}))(t).CiphertextBlob
	must(l.as(stranger).ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: text, SourceKeyId: from, DestinationKeyId: to}))(t)
	var accounts []any
	ids, shared := make(map[any]bool), make(map[any]bool)
	for _, r := range l.recorded("ReEncrypt") {
		accounts = append(accounts, r["recipientAccountId"])
		ids[r["eventID"]], shared[r["sharedEventID"]] = true, true
	}
	if !reflect.DeepEqual(accounts, []any{stranger, owner, partner}) || len(ids) != 3 || len(shared) != 1 {
		t.Errorf("the accounts with a record: %v, %d event ids, %d shared", accounts, len(ids), len(shared))
	}
}

// TestGrantRecords is spec 03 A8 and A9 for the operations on grants, on an own and on a foreign key.
func TestGrantRecords(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key := l.key(func(in *kms.CreateKeyInput) {
		in.Policy = aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` + rootOf(owner) + `","` + rootOf(partner) + `"]},"Action":"kms:*","Resource":"*"}]}`)
	})
	resource := `[{"accountId":"` + owner + `","type":"AWS::KMS::Key","ARN":"` + *key + `"}]`
	for _, caller := range []string{owner, partner} {
		foreign := caller != owner
		// once returns the one record of a call, and holds that a call on a foreign key has a second one for the owner.
		once := func(operation, failed string) map[string]any {
			t.Helper()
			records := l.recorded(operation)
			n := 1
			if foreign && failed == "" && operation != "ListRetirableGrants" {
				n = 2
			}
			if len(records) != n {
				t.Fatalf("%s by %s has %d records, want %d", operation, caller, len(records), n)
			}
			r := records[0]
			if code, _ := r["errorCode"].(string); code != failed || r["recipientAccountId"] != caller || r["userIdentity"].(map[string]any)["arn"] != rootOf(caller) {
				t.Errorf("%s by %s: %v", operation, caller, r)
			}
			if n == 2 {
				other := records[1]
				if other["recipientAccountId"] != owner || other["sharedEventID"] != r["sharedEventID"] || other["eventID"] == r["eventID"] ||
					other["requestID"] != r["requestID"] || other["userIdentity"].(map[string]any)["type"] != "AWSAccount" {
					t.Errorf("the owner's record of %s: %v", operation, other)
				}
			}
			return r
		}
		in := &kms.CreateGrantInput{
			KeyId: key, GranteePrincipal: aws.String(rootOf(stranger)), RetiringPrincipal: aws.String(rootOf(owner)), Name: aws.String("n"),
			Operations: []types.GrantOperation{"Encrypt"}, Constraints: &types.GrantConstraints{EncryptionContextSubset: pairs{"a": "b"}},
		}
		g := must(l.as(caller).CreateGrant(ctx, in))(t)
		parameters := `"keyId":"` + *key + `","granteePrincipal":"` + rootOf(stranger) + `","retiringPrincipal":"` + rootOf(owner) + `","operations":["Encrypt"],"constraints":{"encryptionContextSubset":{"a":"b"}},"name":"n"`
		answer := `{"grantId":"` + *g.GrantId + `","keyId":"` + *key + `"}`
		r := once("CreateGrant", "")
		same(t, r, "requestParameters", "{"+parameters+"}")
		same(t, r, "responseElements", answer)
		same(t, r, "resources", resource)
		same(t, r, "readOnly", "false")
		same(t, r, "additionalEventData", "")

		again := must(l.as(caller).CreateGrant(ctx, in))(t) // named: it is there
		in.GrantTokens = []string{*again.GrantToken}
		same(t, once("CreateGrant", ""), "responseElements", answer)
		in.DryRun = aws.Bool(true)
		_, err := l.as(caller).CreateGrant(ctx, in)
		wantFailure(t, "dry run", err, dryRunWould)
		r = once("CreateGrant", "DryRunOperationException")
		same(t, r, "requestParameters", "{"+parameters+`,"dryRun":true}`)
		same(t, r, "responseElements", "null")

		must(l.as(caller).ListGrants(ctx, &kms.ListGrantsInput{KeyId: key, GrantId: g.GrantId, Limit: aws.Int32(5)}))(t)
		r = once("ListGrants", "")
		same(t, r, "requestParameters", `{"limit":5,"keyId":"`+*key+`","grantId":"`+*g.GrantId+`"}`)
		same(t, r, "responseElements", "null")
		same(t, r, "resources", resource)
		must(l.as(caller).ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootOf(caller))}))(t)
		r = once("ListRetirableGrants", "")
		same(t, r, "requestParameters", `{"retiringPrincipal":"`+rootOf(caller)+`"}`)
		same(t, r, "resources", "[]")

		_, err = l.as(caller).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: aws.String(aGrant)})
		wantFailure(t, "unknown grant", err, "NotFoundException…")
		same(t, once("RevokeGrant", "NotFoundException"), "requestParameters", `{"keyId":"`+*key+`","grantId":"`+aGrant+`"}`)
		must(l.as(caller).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: g.GrantId}))(t)
		r = once("RevokeGrant", "")
		same(t, r, "responseElements", "null")
		same(t, r, "resources", resource)

		in.DryRun = nil
		g = must(l.as(caller).CreateGrant(ctx, in))(t)
		_, err = l.as(stranger).RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: g.GrantToken})
		wantFailure(t, "stranger", err, denied(stranger, "RetireGrant")+hidden)
		if records := l.recorded("RetireGrant"); len(records) != 1 || records[0]["errorCode"] != "AccessDenied" || records[0]["recipientAccountId"] != stranger {
			t.Errorf("a denied RetireGrant: %v", records)
		}
		must(l.as(caller).RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: g.GrantToken}))(t)
		r = once("RetireGrant", "")
		same(t, r, "requestParameters", "null")
		same(t, r, "responseElements", "null")
		same(t, r, "additionalEventData", `{"grantId":"`+*g.GrantId+`"}`)
		same(t, r, "resources", resource)
		b, _ := json.Marshal(r)
		for _, token := range []string{*g.GrantToken, *again.GrantToken} {
			if strings.Contains(string(b), token) {
				t.Error("a grant token is in a record")
			}
		}
	}
}
