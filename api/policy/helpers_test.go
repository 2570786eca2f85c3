package policy

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/region"
)

// The cast: account K owns the keys, account X is another one.
const (
	accountK = "111122223333"
	accountX = "444455556666"
	keyARN   = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	otherKey = "arn:aws:kms:us-west-2:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321"
	aliasARN = "arn:aws:kms:us-west-2:111122223333:alias/finance"
	allOfK   = "arn:aws:kms:us-west-2:111122223333:*"
)

// answers is a context that computes its values.
type answers func(*Key) Values

// Lookup implements Context.
func (f answers) Lookup(k *Key) Values { return f(k) }

func root(account string) *Principal {
	return &Principal{Kind: Root, ARN: "arn:aws:iam::" + account + ":root", Account: account}
}

func user(account, name string) *Principal {
	arn := "arn:aws:iam::" + account + ":user/" + name
	return &Principal{Kind: User, ARN: arn, Account: account, IdentityARN: arn, IdentityID: idOf(arn)}
}

func session(account, role, name string) *Principal {
	return &Principal{
		Kind: RoleSession, ARN: "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name, Account: account,
		IdentityARN: "arn:aws:iam::" + account + ":role/" + role, IdentityID: idOf("arn:aws:iam::" + account + ":role/" + role),
	}
}

func federated(account, name, by string) *Principal {
	p := &Principal{Kind: FederatedUser, ARN: "arn:aws:sts::" + account + ":federated-user/" + name, Account: account}
	if by != "" {
		u := user(account, by)
		p.IdentityARN, p.IdentityID = u.IdentityARN, u.IdentityID
	}
	return p
}

func service(names ...string) *Principal {
	return &Principal{Kind: Service, ARN: names[0], ServiceNames: names}
}

// idOf makes up a unique id for an ARN.
func idOf(arn string) string {
	prefix := "AIDA"
	if strings.Contains(arn, ":role/") || strings.Contains(arn, ":assumed-role/") {
		prefix = "AROA"
	}
	h := uint64(14695981039346656037)
	for i := range len(arn) {
		h = (h ^ uint64(arn[i])) * 1099511628211
	}
	return fmt.Sprintf("%s%017d", prefix, h%100000000000000000)
}

func parse(t testing.TB, kind Kind, document string) *Policy {
	t.Helper()
	p, err := Parse(document, kind)
	if err != nil {
		t.Fatalf("Parse(%s): %v\n%s", kind, err, document)
	}
	return p
}

// statementsDoc wraps statements, separated by commas, into a document.
func statementsDoc(statements string) string {
	return `{"Version": "2012-10-17", "Statement": [` + statements + `]}`
}

func keyPolicyOf(t testing.TB, statements string) *Policy {
	t.Helper()
	return parse(t, KeyPolicy, statementsDoc(statements))
}

func identityOf(t testing.TB, statements string) *Policy {
	t.Helper()
	return parse(t, IdentityPolicy, statementsDoc(statements))
}

func defaultPolicy(t testing.TB) *Policy {
	t.Helper()
	return parse(t, KeyPolicy, region.DefaultKeyPolicy("aws", accountK))
}

const allowAll = `{"Effect": "Allow", "Action": "*", "Resource": "*"}`

// onKey is a request for an action on the key of account K.
func onKey(p *Principal, action string) *Request {
	return &Request{Principal: p, Action: action, Resource: Resource{Type: ResourceKey, ARN: keyARN, Account: accountK}}
}

func (r *Request) keyPolicy(p *Policy) *Request   { r.ResourcePolicy = p; return r }
func (r *Request) identity(p ...*Policy) *Request { r.Identity = p; return r }
func (r *Request) with(values ...string) *Request {
	m := map[string][]string{}
	for _, v := range values {
		name, value, _ := strings.Cut(v, "=")
		m[name] = append(m[name], value)
	}
	r.Context = NewMapContext(m)
	return r
}

func grants(gs ...*Grant) iter.Seq[*Grant] { return slices.Values(gs) }

func grantee(t testing.TB, arn string) GrantPrincipal {
	t.Helper()
	g, err := NewGrantPrincipal(arn, "")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func operations(t testing.TB, names ...string) GrantOperations {
	t.Helper()
	ops, err := ParseGrantOperations(names)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// decide decides and checks that the explanation agrees.
func decide(t testing.TB, req *Request) Decision {
	t.Helper()
	d := Decide(req)
	x := Explain(req).Decision
	x.ReadTags, x.ReadAliases = d.ReadTags, d.ReadAliases // an explanation evaluates more
	if d != x {
		t.Fatalf("Decide: %+v\nExplain: %+v", d, x)
	}
	return d
}

func wantOutcome(t testing.TB, req *Request, want Outcome) {
	t.Helper()
	if d := decide(t, req); d.Outcome != want {
		t.Errorf("%s by %s: %v by %v, want %v", req.Action, req.Principal.ARN, d.Outcome, d.PolicyType, want)
	}
}
