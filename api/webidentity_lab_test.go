package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// idp is an OpenID Connect provider on this machine, as a Kubernetes API server is one.
type idp struct {
	*httptest.Server
	t   testing.TB
	mu  sync.Mutex
	key *ecdsa.PrivateKey
	kid string
}

func newIDP(t testing.TB) *idp {
	t.Helper()
	p := &idp{t: t}
	p.rotate("k1")
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cluster/.well-known/openid-configuration":
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, p.issuer(), p.issuer()+"/keys")
		case "/cluster/keys":
			_, _ = io.WriteString(w, p.keySet())
		default:
			http.NotFound(w, r)
		}
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *idp) issuer() string { return p.URL + "/cluster" }

// url is the issuer as ARNs and condition keys have it.
func (p *idp) url() string { return strings.TrimPrefix(p.issuer(), "https://") }

func (p *idp) thumbprint() string {
	sum := sha1.Sum(p.Certificate().Raw)
	return hex.EncodeToString(sum[:])
}

// rotate gives the issuer another key.
func (p *idp) rotate(kid string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.kid = k, kid
}

func (p *idp) keySet() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := p.key.PublicKey.Bytes()
	if err != nil {
		p.t.Fatal(err)
	}
	b64 := base64.RawURLEncoding
	return fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":%q,"x":%q,"y":%q}]}`,
		p.kid, b64.EncodeToString(b[1:33]), b64.EncodeToString(b[33:]))
}

// token is a service account's, with some claims changed; nil removes one.
func (p *idp) token(changed map[string]any) string {
	p.t.Helper()
	at := time.Now().Unix()
	claims := map[string]any{
		"iss": p.issuer(), "sub": "system:serviceaccount:prod:api", "aud": []string{"sts.amazonaws.com"}, "iat": at, "nbf": at, "exp": at + 3600,
		"kubernetes.io": map[string]any{"namespace": "prod"},
	}
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	body, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString(fmt.Appendf(nil, `{"alg":"ES256","kid":%q}`, p.kid)) + "." + b64.EncodeToString(body)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	if err != nil {
		p.t.Fatal(err)
	}
	return text + "." + b64.EncodeToString(append(fixed(r), fixed(s)...))
}

func fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

// register makes the provider one of an account.
func (l *grantLab) register(account string, p *idp) string {
	l.t.Helper()
	issuer := p.issuer()
	return *must(l.root(account).iam.CreateOpenIDConnectProvider(l.t.Context(), &iam.CreateOpenIDConnectProviderInput{
		Url: &issuer, ClientIDList: []string{"sts.amazonaws.com"}, ThumbprintList: []string{p.thumbprint()},
	}))(l.t).OpenIDConnectProviderArn
}

// newFederatedRole makes a role of the owner that the bearers of a provider's tokens may assume under a condition, "" for none.
func (l *grantLab) newFederatedRole(name, provider, condition, policy string) string {
	l.t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"]`
	if condition != "" {
		trust += `,"Condition":` + condition
	}
	trust += "}]}"
	admin := l.root(owner).iam
	r := must(admin.CreateRole(l.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))(l.t).Role
	if policy != "" {
		must(admin.PutRolePolicy(l.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &name, PolicyDocument: &policy}))(l.t)
	}
	return *r.Arn
}

// unsigned sends a form without a signature and returns status and answer.
func (l *grantLab) unsigned(form url.Values) string {
	l.t.Helper()
	resp, err := http.PostForm(l.url+"/", form)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.Status + "\n" + string(b)
}

func tag(key, value string) []types.Tag { return []types.Tag{{Key: &key, Value: &value}} }
