package api_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/fsm"
)

// TestRetireGrant is spec 04 GM-04: the grant decides who may retire it, and the key policy does not.
func TestRetireGrant(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key := l.key()
	must(l.as(owner).PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: key, Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"` + rootOf(owner) + `"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":["` + rootOf(stranger) + `","` + rootOf(partner) + `"]},"Action":["kms:RetireGrant","kms:CreateGrant"],"Resource":"*"},
		{"Effect":"Deny","Principal":{"AWS":"` + rootOf(partner) + `"},"Action":"kms:RetireGrant","Resource":"*"}]}`)}))(t)
	retires := func(p string) func(*kms.CreateGrantInput) {
		return func(in *kms.CreateGrantInput) { in.RetiringPrincipal = aws.String(rootOf(p)) }
	}
	for name, c := range map[string]struct {
		issuer  string
		change  func(*kms.CreateGrantInput)
		ops     []types.GrantOperation
		allowed []string
	}{
		"grantee without RetireGrant": {owner, nil, []types.GrantOperation{"Encrypt"}, []string{owner}},
		"grantee with RetireGrant":    {owner, nil, []types.GrantOperation{"Encrypt", "RetireGrant"}, []string{owner, partner}},
		"retiring principal":          {owner, retires(stranger), []types.GrantOperation{"Encrypt"}, []string{owner, stranger}},
		"grantee and retiring":        {owner, retires(partner), []types.GrantOperation{"Encrypt"}, []string{owner, partner}},
		"issuer":                      {stranger, nil, []types.GrantOperation{"Encrypt"}, []string{owner, stranger}},
	} {
		for _, caller := range []string{owner, partner, stranger} {
			for _, byToken := range []bool{true, false} {
				in := &kms.CreateGrantInput{KeyId: key, GranteePrincipal: aws.String(rootOf(partner)), Operations: c.ops}
				if c.change != nil {
					c.change(in)
				}
				g := must(l.as(c.issuer).CreateGrant(ctx, in))(t)
				retire := &kms.RetireGrantInput{KeyId: key, GrantId: g.GrantId}
				if byToken {
					retire = &kms.RetireGrantInput{GrantToken: g.GrantToken}
				}
				want, gone := "", "NotFoundException: Grant ID "+*g.GrantId+" is not found."
				if !strings.Contains(strings.Join(c.allowed, " "), caller) {
					want, gone = denied(caller, "RetireGrant")+hidden, ""
				}
				dry := *retire
				dry.DryRun = aws.Bool(true)
				_, err := l.as(caller).RetireGrant(ctx, &dry)
				if want == "" {
					wantFailure(t, name+" dry, "+caller, err, dryRunWould)
				} else {
					wantFailure(t, name+" dry, "+caller, err, want)
				}
				_, err = l.as(caller).RetireGrant(ctx, retire)
				wantFailure(t, name+", "+caller, err, want)
				_, err = l.as(owner).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: g.GrantId})
				wantFailure(t, name+" afterwards, "+caller, err, gone)
			}
		}
	}
}

func TestRetireAndRevokeRefusals(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key, other := l.key(), l.key()
	g := l.grant(key, nil, "Encrypt")
	const combination = "ValidationException: Specify either GrantToken, or KeyId and GrantId."
	noKey := aws.String("arn:aws:kms:us-east-1:" + owner + ":key/00000000-0000-4000-8000-000000000000")
	unknown := "NotFoundException: Grant ID " + aGrant + " is not found."
	elsewhere := "NotFoundException: Grant ID " + *g.GrantId + " is not found."
	malformed := "InvalidGrantIdException: Grant ID x is not valid: a grant ID has 64 hexadecimal digits."
	for name, c := range map[string]struct {
		as   string
		in   kms.RetireGrantInput
		want string
	}{
		"nothing":           {owner, kms.RetireGrantInput{}, combination},
		"key alone":         {owner, kms.RetireGrantInput{KeyId: key}, combination},
		"grant alone":       {owner, kms.RetireGrantInput{GrantId: g.GrantId}, combination},
		"all":               {owner, kms.RetireGrantInput{KeyId: key, GrantId: g.GrantId, GrantToken: g.GrantToken}, combination},
		"token and key":     {owner, kms.RetireGrantInput{KeyId: key, GrantToken: g.GrantToken}, combination},
		"malformed id":      {owner, kms.RetireGrantInput{KeyId: key, GrantId: aws.String("x")}, malformed},
		"unknown id":        {owner, kms.RetireGrantInput{KeyId: key, GrantId: aws.String(aGrant)}, unknown},
		"another key":       {owner, kms.RetireGrantInput{KeyId: other, GrantId: g.GrantId}, elsewhere},
		"no key":            {owner, kms.RetireGrantInput{KeyId: noKey, GrantId: g.GrantId}, "NotFoundException: Key '" + *noKey + "' does not exist"},
		"alias":             {owner, kms.RetireGrantInput{KeyId: aws.String("alias/a"), GrantId: g.GrantId}, "InvalidArnException: Key Aliases are not supported for this operation."},
		"foreign key":       {stranger, kms.RetireGrantInput{KeyId: key, GrantId: aws.String(aGrant)}, unknown},
		"no foreign key":    {stranger, kms.RetireGrantInput{KeyId: noKey, GrantId: aws.String(aGrant)}, unknown},
		"bare id of a key":  {owner, kms.RetireGrantInput{KeyId: aws.String((*key)[strings.LastIndexByte(*key, '/')+1:]), GrantId: g.GrantId, DryRun: aws.Bool(true)}, dryRunWould},
		"somebody else, id": {stranger, kms.RetireGrantInput{KeyId: key, GrantId: g.GrantId}, denied(stranger, "RetireGrant") + hidden},
	} {
		_, err := l.as(c.as).RetireGrant(ctx, &c.in)
		wantFailure(t, "retire "+name, err, c.want)
	}
	for name, c := range map[string]struct {
		as   string
		in   kms.RevokeGrantInput
		want string
	}{
		"malformed id": {owner, kms.RevokeGrantInput{KeyId: key, GrantId: aws.String("x")}, malformed},
		"upper case":   {owner, kms.RevokeGrantInput{KeyId: key, GrantId: aws.String(strings.ToUpper(aGrant))}, "InvalidGrantIdException…"},
		"unknown id":   {owner, kms.RevokeGrantInput{KeyId: key, GrantId: aws.String(aGrant)}, unknown},
		"another key":  {owner, kms.RevokeGrantInput{KeyId: other, GrantId: g.GrantId}, elsewhere},
		"no key":       {owner, kms.RevokeGrantInput{KeyId: noKey, GrantId: g.GrantId}, "NotFoundException: Key '" + *noKey + "' does not exist"},
		"the grantee":  {partner, kms.RevokeGrantInput{KeyId: key, GrantId: g.GrantId}, denied(partner, "RevokeGrant") + hidden},
		"dry run":      {owner, kms.RevokeGrantInput{KeyId: key, GrantId: g.GrantId, DryRun: aws.Bool(true)}, dryRunWould},
		"really":       {owner, kms.RevokeGrantInput{KeyId: key, GrantId: l.grant(key, nil, "Decrypt").GrantId}, ""},
	} {
		_, err := l.as(c.as).RevokeGrant(ctx, &c.in)
		wantFailure(t, "revoke "+name, err, c.want)
	}
	// Both work in every key state (spec 04 GR-10).
	second := l.grant(key, nil, "Encrypt")
	must(l.as(owner).ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: key}))(t)
	must(l.as(owner).RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: g.GrantToken}))(t)
	must(l.as(owner).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: second.GrantId}))(t)
}

// TestRevokeByPolicy: a key policy lets another account revoke, and no grant does (spec 04 GM-05).
func TestRevokeByPolicy(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key := l.key(func(in *kms.CreateKeyInput) {
		in.Policy = aws.String(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Principal":{"AWS":"` + rootOf(owner) + `"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Principal":{"AWS":"` + rootOf(partner) + `"},"Action":["kms:RevokeGrant","kms:ListGrants"],"Resource":"*","Condition":{"Bool":{"kms:GrantIsForAWSResource":"false"}}}]}`)
	})
	g := l.grant(key, func(in *kms.CreateGrantInput) { in.GranteePrincipal = aws.String(rootOf(stranger)) }, "Encrypt", "RetireGrant")
	if grants := must(l.as(partner).ListGrants(ctx, &kms.ListGrantsInput{KeyId: key}))(t).Grants; len(grants) != 1 {
		t.Errorf("%d grants", len(grants))
	}
	_, err := l.as(stranger).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: g.GrantId})
	wantFailure(t, "the grantee", err, denied(stranger, "RevokeGrant")+hidden)
	must(l.as(partner).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: g.GrantId}))(t)
}

// TestGrantRetries: another attempt of the same SDK call gets the first one's grant, with a token of its own, and does not end a
// second one (design: retries are harmless).
func TestGrantRetries(t *testing.T) {
	l := newGrantLab(t)
	key := l.key()
	send := func(operation, body, invocation string, attempt int) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "TrentService."+operation)
		r.Header.Set("Amz-Sdk-Invocation-Id", invocation)
		r.Header.Set("Amz-Sdk-Request", fmt.Sprintf("attempt=%d; max=3", attempt))
		signer, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: "AKIA" + owner, SecretAccessKey: secretOf(owner).Bytes()}, "us-east-1", "kms")
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Sign(r, sha256.Sum256([]byte(body)), time.Now()); err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
	create := `{"KeyId":"` + *key + `","GranteePrincipal":"` + rootOf(partner) + `","Operations":["Encrypt"]}`
	_, first := send("CreateGrant", create, "one", 1)
	_, again := send("CreateGrant", create, "one", 2)
	_, other := send("CreateGrant", create, "two", 1)
	id := func(answer string) string { return answer[strings.Index(answer, `"GrantId"`):] }
	if id(first) != id(again) || first == again || id(first) == id(other) {
		t.Errorf("first %s\nagain %s\nother %s", first, again, other)
	}
	records := l.recorded("CreateGrant")
	if len(records) != 3 {
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records {
		if r["responseElements"].(map[string]any)["keyId"] != *key {
			t.Errorf("responseElements %v", r["responseElements"])
		}
	}
	grant := id(first)[len(`"GrantId":"`):][:64]
	revoke := `{"KeyId":"` + *key + `","GrantId":"` + grant + `"}`
	for attempt := 1; attempt <= 2; attempt++ {
		if status, answer := send("RevokeGrant", revoke, "three", attempt); status != http.StatusOK || answer != "" {
			t.Errorf("attempt %d: %s", attempt, answer)
		}
	}
	if status, answer := send("RevokeGrant", revoke, "four", 1); status != http.StatusBadRequest {
		t.Errorf("another call: %s", answer)
	}
}

// TestGrantsEndWithTheirKey: the scheduler removes what one command does not (spec 04 GR-01).
func TestGrantsEndWithTheirKey(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key := l.key()
	var bodies []fsm.Body
	keyID := (*key)[strings.LastIndexByte(*key, '/')+1:]
	for i := range fsm.PurgeBatch + 20 {
		bodies = append(bodies, &fsm.CreateGrant{Grant: fsm.Grant{
			ID: fmt.Sprintf("%064x", i), Account: owner, KeyID: keyID, Grantee: fsm.GrantPrincipal{ARN: rootOf(partner)},
			Retiring: &fsm.GrantPrincipal{ARN: rootOf(owner)}, Operations: fsm.GrantDecrypt, IssuingAccount: owner,
		}})
	}
	l.proposeAll(bodies)
	must(l.as(owner).ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: key, PendingWindowInDays: aws.Int32(7)}))(t)
	retirable := func() int {
		return len(must(l.as(owner).ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootOf(owner)), Limit: aws.Int32(100)}))(t).Grants)
	}
	if n := retirable(); n != 100 {
		t.Errorf("%d retirable grants on the first page", n)
	}
	left := func() (n int) {
		for r := range l.State().Remains() {
			n += r.Grants
		}
		return n
	}
	for h := 12; h <= 8*24; h += 12 { // step by step, or it would be a jump of the clock; from here on no signature is in time
		l.ahead.Store(int64(time.Duration(h) * time.Hour))
		l.proposeAll([]fsm.Body{&fsm.TermStart{Node: "clock"}})
	}
	if err := l.service.RunDue(ctx); err != nil {
		t.Fatal(err)
	}
	for range l.State().GrantsRetiredBy(rootOf(owner), 0) {
		t.Fatal("a grant has outlived its key")
	}
	if l.State().Key(owner, keyID) != nil || left() != 20 {
		t.Errorf("%d grants left", left())
	}
	if err := l.service.RunDue(ctx); err != nil || left() != 0 {
		t.Errorf("%d grants left, %v", left(), err)
	}
}
