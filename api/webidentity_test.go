package api_test

import (
	"context"
	"crypto/fips140"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// anonymous is a client without credentials, as the SDK's provider of web identity credentials has one.
func (l *grantLab) anonymous() *sts.Client {
	return sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: aws.String(l.url), Retryer: aws.NopRetryer{}})
}

// bear asks for a session with a token.
func (l *grantLab) bear(role, token string, change ...func(*sts.AssumeRoleWithWebIdentityInput)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	in := &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("pod"), WebIdentityToken: &token}
	for _, f := range change {
		f(in)
	}
	return l.anonymous().AssumeRoleWithWebIdentity(l.t.Context(), in)
}

func (l *grantLab) federated(role, token string) *login {
	l.t.Helper()
	c := must(l.bear(role, token))(l.t).Credentials
	return l.login(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

func needThumbprints(t *testing.T) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("thumbprints are SHA-1 digests")
	}
}

// TestWebIdentityBySDK: the SDK's own provider gets credentials with the token in a file, as in a Kubernetes pod, through a change of
// the issuer's key and of the token.
func TestWebIdentityBySDK(t *testing.T) {
	needThumbprints(t)
	l, p := newGrantLab(t), newIDP(t)
	role := l.newFederatedRole("pods", l.register(owner, p), `{"StringEquals":{"`+p.url()+`:aud":"sts.amazonaws.com","`+p.url()+`:sub":"system:serviceaccount:prod:api"}}`, allKMS)
	file := filepath.Join(t.TempDir(), "token")
	put := func(token string) {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(p.token(nil))
	provider := stscreds.NewWebIdentityRoleProvider(l.anonymous(), role, stscreds.IdentityTokenFile(file), func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = "pod" })
	client := kms.New(kms.Options{Region: "us-east-1", BaseEndpoint: &l.url, Retryer: aws.NopRetryer{}, Credentials: provider})
	key := l.key()
	must(client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")}))(t)
	put(p.token(map[string]any{"sub": "system:serviceaccount:prod:other"}))
	_, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")})
	if err == nil || !contains(err.Error(), "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity") {
		t.Errorf("another service account: %v", err)
	}
	records := l.recorded("AssumeRoleWithWebIdentity")
	if len(records) != 2 {
		t.Fatalf("%d records", len(records))
	}
	who := records[0]["userIdentity"].(map[string]any)
	if who["type"] != "WebIdentityUser" || who["userName"] != "system:serviceaccount:prod:api" || who["identityProvider"] != "arn:aws:iam::"+owner+":oidc-provider/"+p.url() ||
		who["accessKeyId"] != nil || records[0]["recipientAccountId"] != owner || records[0]["responseElements"].(map[string]any)["audience"] != "sts.amazonaws.com" ||
		records[1]["errorCode"] != "AccessDenied" {
		t.Errorf("recorded %v", records)
	}
	if params := records[0]["requestParameters"].(map[string]any); params["roleArn"] != role || params["webIdentityToken"] != nil {
		t.Errorf("recorded %v", params)
	}
}

// TestWebIdentityTrust: who may assume a role is the trust policy's decision, by the claims of the token.
func TestWebIdentityTrust(t *testing.T) {
	needThumbprints(t)
	l, p := newGrantLab(t), newIDP(t)
	arn := l.register(owner, p)
	foreign := newIDP(t)
	l.register(partner, foreign)
	denied := "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"
	role := func(n, condition string) string { return l.newFederatedRole(n, arn, condition, "") }
	sub, aud, claim := `"`+p.url()+`:sub"`, `"`+strings.ToUpper(p.url())+`:AUD"`, func(name string) string { return `"` + p.url() + ":" + name + `"` }
	signed := l.newRole(owner, "signed", rootOf(owner), "")
	for _, c := range []struct {
		what, role string
		claims     map[string]any
		want       string
	}{
		{"no condition", role("any", ""), nil, ""},
		{"subject", role("sub", `{"StringLike":{`+sub+`:"system:serviceaccount:prod:*"}}`), nil, ""},
		{"another subject", role("nosub", `{"StringLike":{`+sub+`:"system:serviceaccount:dev:*"}}`), nil, denied},
		{"audience, whatever the case of the key", role("aud", `{"StringEquals":{`+aud+`:"sts.amazonaws.com"}}`), nil, ""},
		{"another audience", role("noaud", `{"StringEquals":{`+aud+`:"sts"}}`), nil, denied},
		{"audience beside others that are not registered", role("auds", `{"StringEquals":{`+aud+`:"sts.amazonaws.com"}}`), map[string]any{"aud": []string{"x", "sts.amazonaws.com"}}, ""},
		{"another claim", role("claim", `{"StringEquals":{`+claim("repository")+`:"org/repo"}}`), map[string]any{"repository": "org/repo"}, ""},
		{"a claim that is not there", role("noclaim", `{"StringEquals":{`+claim("repository")+`:"org/repo"}}`), nil, denied},
		{"a claim twice in two cases", role("twice", `{"StringLike":{`+claim("repository")+`:"*"}}`), map[string]any{"repository": "a", "Repository": "a"}, denied},
		{"one of a list", role("list", `{"ForAnyValue:StringEquals":{`+claim("groups")+`:"ops"}}`), map[string]any{"groups": []string{"dev", "ops"}}, ""},
		{"none of a list", role("nolist", `{"ForAnyValue:StringEquals":{`+claim("groups")+`:"ops"}}`), map[string]any{"groups": []string{"dev", "x"}}, denied},
		{"the provider", role("provider", `{"StringEquals":{"aws:FederatedProvider":"`+arn+`"}}`), nil, ""},
		{"a session name", role("name", `{"StringEquals":{"sts:RoleSessionName":"pod"}}`), nil, ""},
		{"another session name", role("noname", `{"StringEquals":{"sts:RoleSessionName":"x"}}`), nil, denied},
		{"nobody's account", role("account", `{"StringEquals":{"aws:PrincipalAccount":"`+owner+`"}}`), nil, denied},
		{"a role for those who sign", signed, nil, denied},
		{"a role that is not there", "arn:aws:iam::" + owner + ":role/nothing", nil, denied},
		{"of another account", "arn:aws:iam::" + partner + ":role/x", nil, "InvalidIdentityToken: No OpenIDConnect provider found in your account for " + p.issuer()},
	} {
		_, err := l.bear(c.role, p.token(c.claims))
		wantFailure(t, c.what, err, c.want)
	}
	_, err := l.bear("arn:aws:iam::"+owner+":role/any", foreign.token(nil))
	wantFailure(t, "another account's provider", err, "InvalidIdentityToken: No OpenIDConnect provider found in your account for "+foreign.issuer())
	_, err = l.login("AKIA"+owner, string(secretOf(owner).Bytes()), "").sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + owner + ":role/any"), RoleSessionName: aws.String("s1")})
	if err == nil {
		t.Error("a role for bearers was assumed with a signature")
	}
}

// TestWebIdentityTokens: which tokens are no tokens.
func TestWebIdentityTokens(t *testing.T) {
	needThumbprints(t)
	l, p := newGrantLab(t), newIDP(t)
	role := l.newFederatedRole("any", l.register(owner, p), "", "")
	impostor := newIDP(t)
	good := p.token(nil)
	at := time.Now().Unix()
	validity := "InvalidIdentityToken: The web identity token that was passed could not be validated."
	for what, c := range map[string]struct{ token, want string }{
		"good":              {good, ""},
		"garbage":           {"garbage", validity},
		"no signature":      {good[:strings.LastIndexByte(good, '.')+1], validity},
		"another signature": {good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 86), validity},
		"expired":           {p.token(map[string]any{"exp": at - 1}), "ExpiredTokenException: Token expired: …"},
		"not yet":           {p.token(map[string]any{"nbf": at + 600}), "InvalidIdentityToken: The web identity token is not valid yet."},
		"for another":       {p.token(map[string]any{"aud": "api"}), "InvalidIdentityToken: Incorrect token audience"},
		"no subject":        {p.token(map[string]any{"sub": nil}), validity},
		"another issuer":    {impostor.token(nil), "InvalidIdentityToken: No OpenIDConnect provider found in your account for …"},
		"another's key":     {impostor.token(map[string]any{"iss": p.issuer()}), validity},
		"issuer by HTTP":    {p.token(map[string]any{"iss": "http" + strings.TrimPrefix(p.issuer(), "https")}), "InvalidIdentityToken: No OpenIDConnect provider found…"},
		"issuer unnamed":    {p.token(map[string]any{"iss": nil}), "InvalidIdentityToken: No OpenIDConnect provider found…"},
		"issuer bare":       {p.token(map[string]any{"iss": p.url()}), "InvalidIdentityToken: No OpenIDConnect provider found…"},
		"issuer beyond":     {p.token(map[string]any{"iss": p.issuer() + "/.."}), "InvalidIdentityToken: No OpenIDConnect provider found…"},
		"long source":       {p.token(map[string]any{"https://aws.amazon.com/source_identity": strings.Repeat("x", 65)}), "InvalidIdentityToken: The source identity of the token must have 2 to 64 characters."},
	} {
		_, err := l.bear(role, c.token)
		wantFailure(t, what, err, c.want)
	}
	form := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"pod"}, "WebIdentityToken": {good}}
	if got := l.unsigned(form); !contains(got, "200 OK") || !contains(got, "<SubjectFromWebIdentityToken>system:serviceaccount:prod:api</SubjectFromWebIdentityToken>") {
		t.Error(got)
	}
	form.Set("ProviderId", "www.amazon.com")
	if got := l.unsigned(form); !contains(got, "400") || !contains(got, "ValidationError") {
		t.Error(got)
	}
	form.Del("ProviderId")
	form.Del("WebIdentityToken")
	if got := l.unsigned(form); !contains(got, "400") || !contains(got, "webIdentityToken") {
		t.Error(got)
	}
	form.Set("Action", "GetCallerIdentity")
	if got := l.unsigned(form); !contains(got, "403") || !contains(got, "MissingAuthenticationToken") {
		t.Error(got)
	}
	l.ahead.Store(int64(2 * time.Hour))
	_, err := l.bear(role, good)
	wantFailure(t, "region time decides", err, "ExpiredTokenException: …")
}

// TestWebIdentitySessions: what a session has, and that it ends with what it stands on.
func TestWebIdentitySessions(t *testing.T) {
	needThumbprints(t)
	l, p := newGrantLab(t), newIDP(t)
	ctx, admin, key := t.Context(), l.root(owner).iam, l.key()
	arn := l.register(owner, p)
	role := l.newFederatedRole("pods", arn, "", statement("Allow", "*", "*", `"Condition":{"StringEquals":{"`+p.url()+`:sub":"system:serviceaccount:prod:api","aws:FederatedProvider":"`+arn+`","aws:PrincipalTag/team":"red"}}`))
	tagged := map[string]any{
		"https://aws.amazon.com/tags":            map[string]any{"principal_tags": map[string]any{"team": []string{"red"}}, "transitive_tag_keys": []string{"team"}},
		"https://aws.amazon.com/source_identity": "alice",
	}
	out := must(l.bear(role, p.token(tagged)))(t)
	if *out.Provider != arn || *out.Audience != "sts.amazonaws.com" || *out.SourceIdentity != "alice" || *out.AssumedRoleUser.Arn != "arn:aws:sts::"+owner+":assumed-role/pods/pod" {
		t.Errorf("%+v", out)
	}
	s := l.login(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	wantEncrypt(t, "session", s, key, "")
	wantEncrypt(t, "without the tag", l.federated(role, p.token(nil)), key, mayNot(*out.AssumedRoleUser.Arn, key, noIdentity))
	narrow := must(l.bear(role, p.token(tagged), func(in *sts.AssumeRoleWithWebIdentityInput) {
		in.Policy, in.DurationSeconds = aws.String(statement("Allow", "kms:DescribeKey", "*")), aws.Int32(900)
	}))(t).Credentials
	wantEncrypt(t, "session policy", l.login(*narrow.AccessKeyId, *narrow.SecretAccessKey, *narrow.SessionToken), key, mayNot(*out.AssumedRoleUser.Arn, key, " because no session policy allows the kms:Encrypt action"))
	if left := time.Until(*narrow.Expiration); left > 15*time.Minute || left < 14*time.Minute {
		t.Errorf("ends in %v", left)
	}
	// A session further down the chain is bound to the provider, and not the bearer of its token.
	nextRole := l.newRole(owner, "next", role, statement("Allow", "*", "*", `"Condition":{"Null":{"aws:FederatedProvider":"true","`+p.url()+`:sub":"true"},"StringEquals":{"aws:PrincipalTag/team":"red"}}`))
	must(admin.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("next"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + role + `"},"Action":"sts:*"}]}`)}))(t)
	next := l.newSession(s, &sts.AssumeRoleInput{RoleArn: &nextRole})
	wantEncrypt(t, "chained", next, key, "")
	unknown := "UnrecognizedClientException: The security token included in the request is invalid."

	must(admin.RemoveClientIDFromOpenIDConnectProvider(ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn, ClientID: aws.String("sts.amazonaws.com")}))(t)
	_, err := l.bear(role, p.token(tagged))
	wantFailure(t, "client id removed", err, "InvalidIdentityToken: Incorrect token audience")
	wantEncrypt(t, "the session goes on", s, key, "")
	must(admin.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn}))(t)
	wantEncrypt(t, "provider deleted", s, key, unknown)
	wantEncrypt(t, "provider deleted, chained", next, key, unknown)
	l.register(owner, p)
	wantEncrypt(t, "provider made again", s, key, unknown)
	fresh := l.federated(role, p.token(tagged))
	wantEncrypt(t, "with the new provider", fresh, key, "")
	must(admin.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("pods"), PolicyName: aws.String("pods")}))(t)
	wantEncrypt(t, "policy gone", fresh, key, mayNot(*out.AssumedRoleUser.Arn, key, noIdentity))
	must(admin.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("pods")}))(t)
	wantEncrypt(t, "role gone", fresh, key, unknown)
}

// TestOfflineKeys: with a key set of its own a provider is never asked.
func TestOfflineKeys(t *testing.T) {
	l, p := newGrantLab(t), newIDP(t)
	root := l.root(owner)
	arn := *must(root.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: aws.String(p.issuer()), ClientIDList: []string{"sts.amazonaws.com"}}))(t).OpenIDConnectProviderArn
	role := l.newFederatedRole("pods", arn, "", "")
	_, err := l.bear(role, p.token(nil))
	wantFailure(t, "the issuer's server is not trusted", err, "IDPCommunicationError: Couldn't retrieve verification key from your identity provider…")
	put := func(keys string) string {
		form := url.Values{"Action": {"PutOpenIDConnectProviderKeys"}, "Version": {"2010-05-08"}, "OpenIDConnectProviderArn": {arn}, "KeySet": {keys}}
		return l.raw(root, "iam", now(), "", form.Encode())
	}
	for _, bad := range []string{"x", "{}", `{"keys":[{"kty":"oct","k":"AA"}]}`} {
		if got := put(bad); !contains(got, "400") || !contains(got, "InvalidInput") {
			t.Errorf("%s: %s", bad, got)
		}
	}
	if got := put(p.keySet()); !contains(got, "200 OK") {
		t.Fatal(got)
	}
	must(l.bear(role, p.token(nil)))(t)
	old := p.keySet()
	p.rotate("k2")
	_, err = l.bear(role, p.token(nil))
	wantFailure(t, "another key", err, "InvalidIdentityToken: Couldn't retrieve verification key from your identity provider…")
	if got := put(p.keySet()); !contains(got, "200 OK") {
		t.Fatal(got)
	}
	must(l.bear(role, p.token(nil)))(t)
	if got := l.raw(root, "iam", now(), "", url.Values{"Action": {"GetOpenIDConnectProvider"}, "Version": {"2010-05-08"}, "OpenIDConnectProviderArn": {arn}}.Encode()); !contains(got, "<OfflineKeySet>") || contains(got, old) {
		t.Error(got)
	}
	if got := put(""); !contains(got, "200 OK") {
		t.Fatal(got)
	}
	_, err = l.bear(role, p.token(nil))
	wantFailure(t, "taken back", err, "IDPCommunicationError: …")
}

// TestProviders: the operations on providers.
func TestProviders(t *testing.T) {
	l := newGrantLab(t)
	ctx, admin := t.Context(), l.root(owner).iam
	create := func(url string, change func(*iam.CreateOpenIDConnectProviderInput)) (*iam.CreateOpenIDConnectProviderOutput, error) {
		in := &iam.CreateOpenIDConnectProviderInput{Url: &url}
		if change != nil {
			change(in)
		}
		return admin.CreateOpenIDConnectProvider(ctx, in)
	}
	const thumb = "9e99a48a9960b14926bb7f3b02e22da2b0ab7280"
	arn := must(create("https://idp.example:8443/realms/a", func(in *iam.CreateOpenIDConnectProviderInput) {
		in.ClientIDList, in.ThumbprintList, in.Tags = []string{"b", "a", "b"}, []string{strings.ToUpper(thumb), thumb}, tag("k", "v")
	}))(t).OpenIDConnectProviderArn
	if *arn != "arn:aws:iam::"+owner+":oidc-provider/idp.example:8443/realms/a" {
		t.Error(*arn)
	}
	get := func() *iam.GetOpenIDConnectProviderOutput {
		return must(admin.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))(t)
	}
	g := get()
	if *g.Url != "idp.example:8443/realms/a" || strings.Join(g.ClientIDList, " ") != "a b" || len(g.ThumbprintList) != 1 || g.ThumbprintList[0] != thumb || len(g.Tags) != 1 || g.CreateDate == nil {
		t.Errorf("%+v", g)
	}
	_, err := create("https://idp.example:8443/realms/a", nil)
	wantFailure(t, "again", err, "EntityAlreadyExists: Provider with url https://idp.example:8443/realms/a already exists.")
	for _, bad := range []string{"http://idp.example", "https://u@idp.example", "https://idp.example/a?b"} {
		_, err := create(bad, nil)
		wantFailure(t, bad, err, "ValidationError: Invalid Open ID Connect Provider URL: …")
	}
	_, err = create("https://x.example", func(in *iam.CreateOpenIDConnectProviderInput) { in.ThumbprintList = []string{"zz"} })
	wantFailure(t, "thumbprint", err, "ValidationError: …")
	must(admin.AddClientIDToOpenIDConnectProvider(ctx, &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("c")}))(t)
	must(admin.RemoveClientIDFromOpenIDConnectProvider(ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("a")}))(t)
	must(admin.RemoveClientIDFromOpenIDConnectProvider(ctx, &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, ClientID: aws.String("a")}))(t)
	must(admin.UpdateOpenIDConnectProviderThumbprint(ctx, &iam.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: arn, ThumbprintList: []string{strings.Repeat("0", 40)}}))(t)
	must(admin.TagOpenIDConnectProvider(ctx, &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, Tags: tag("l", "w")}))(t)
	must(admin.UntagOpenIDConnectProvider(ctx, &iam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn, TagKeys: []string{"k"}}))(t)
	if g := get(); strings.Join(g.ClientIDList, " ") != "b c" || g.ThumbprintList[0] != strings.Repeat("0", 40) || len(g.Tags) != 1 || *g.Tags[0].Key != "l" {
		t.Errorf("%+v", g)
	}
	if tags := must(admin.ListOpenIDConnectProviderTags(ctx, &iam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: arn}))(t).Tags; len(tags) != 1 {
		t.Error(tags)
	}
	must(create("https://a.example", nil))(t)
	if list := must(admin.ListOpenIDConnectProviders(ctx, nil))(t).OpenIDConnectProviderList; len(list) != 2 || !strings.HasSuffix(*list[0].Arn, "a.example") {
		t.Errorf("%v", list)
	}
	if list := must(l.root(partner).iam.ListOpenIDConnectProviders(ctx, nil))(t).OpenIDConnectProviderList; len(list) != 0 {
		t.Errorf("%v", list)
	}
	_, err = l.root(partner).iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	wantFailure(t, "another account's", err, "ValidationError: …")
	tagged := l.newUser(owner, "u", statement("Allow", "iam:*", "arn:aws:iam::"+owner+":oidc-provider/*", `"Condition":{"StringEquals":{"aws:ResourceTag/l":"w"}}`))
	must(tagged.iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))(t)
	_, err = tagged.iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String("arn:aws:iam::" + owner + ":oidc-provider/a.example")})
	wantFailure(t, "without the tag", err, "AccessDenied: …")
	for range 2 {
		must(admin.DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn}))(t)
	}
	_, err = admin.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: arn})
	wantFailure(t, "deleted", err, "NoSuchEntity: OpenIDConnect Provider not found for arn "+*arn)
	same := func(attempt string) func(*iam.Options) { return iam.WithAPIOptions(sameInvocation(attempt)) }
	in := &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://retry.example")}
	must(admin.CreateOpenIDConnectProvider(context.Background(), in, same("attempt=1; max=3")))(t)
	must(admin.CreateOpenIDConnectProvider(context.Background(), in, same("attempt=2; max=3")))(t)
}
