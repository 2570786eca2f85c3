package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// chooser turns bytes into choices; when they are used up it chooses the first of everything.
type chooser struct{ data []byte }

func (c *chooser) n(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

func pick[T any](c *chooser, from ...T) T { return from[c.n(len(from))] }

func (c *chooser) some(most int, from ...string) []string {
	out := make([]string, 1+c.n(most))
	for i := range out {
		out[i] = pick(c, from...)
	}
	return out
}

// scenario makes a whole request out of bytes, from a small world in which things often match.
func (c *chooser) scenario() *naiveCase {
	callers := []*Principal{user(accountK, "alice"), session(accountK, "app", "s1"), root(accountK), user(accountX, "carol"),
		federated(accountK, "guest", "alice"), federated(accountK, "guest", ""), service("ses.amazonaws.com"), root(accountX), session(accountX, "app", "s1")}
	n := &naiveCase{
		caller: pick(c, callers...), action: pick(c, "kms:Encrypt", "kms:DescribeKey", "kms:PutKeyPolicy", "kms:TagResource", "kms:CreateKey"),
		resourceType: ResourceKey, arn: keyARN, account: accountK, context: map[string][]string{},
	}
	if n.action == "kms:CreateKey" {
		n.resourceType, n.arn, n.account = ResourceNone, pick(c, allOfK, ""), ""
	}
	c.context(n)
	n.key = pick(c, "", c.document(KeyPolicy), c.document(KeyPolicy), c.document(KeyPolicy))
	for range c.n(3) {
		n.identity = append(n.identity, c.document(IdentityPolicy))
	}
	if c.n(4) == 3 {
		n.boundary = c.document(Boundary)
	}
	if (n.caller.Kind == RoleSession || n.caller.Kind == FederatedUser) && c.n(2) == 1 {
		n.session = append(n.session, c.document(SessionPolicy))
	}
	if c.n(4) == 3 {
		n.endpoint = c.document(EndpointPolicy)
	}
	if c.n(6) == 5 {
		n.guardrail = c.document(Guardrail)
	}
	for range c.n(3) {
		n.grants = append(n.grants, c.grant())
	}
	return n
}

func (c *chooser) grant() naiveGrant {
	g := naiveGrant{
		grantee:    pick(c, c.principals()...),
		operations: c.some(3, "Encrypt", "DescribeKey", "Decrypt"), elsewhere: c.n(5) == 4, equals: c.n(2) == 1,
	}
	switch c.n(3) {
	case 1:
		g.constraint = map[string]string{"app": "x"}
	case 2:
		g.constraint = map[string]string{"app": "x", "Stage": "y"}
	}
	return g
}

func (c *chooser) principals() []string {
	return []string{"arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:role/app",
		"arn:aws:sts::111122223333:assumed-role/app/s1", "arn:aws:sts::111122223333:federated-user/guest", accountX, "arn:aws:iam::444455556666:user/carol", accountK}
}

func (c *chooser) context(n *naiveCase) {
	switch c.n(4) {
	case 1:
		n.pairs = map[string]string{"app": "x"}
	case 2:
		n.pairs = map[string]string{"app": "x", "Stage": "y"}
	case 3:
		n.pairs = map[string]string{"APP": "x", "app": "z"}
	}
	for k, v := range n.pairs {
		n.context["kms:encryptioncontextkeys"] = append(n.context["kms:encryptioncontextkeys"], k)
		name := "kms:encryptioncontext:" + strings.ToLower(k)
		n.context[name] = append(n.context[name], v)
	}
	n.void = c.n(8) == 7
	for _, key := range []struct {
		name   string
		values []string
		many   bool
	}{
		{"aws:username", []string{"x", "alice", "*"}, false}, {"aws:sourceip", []string{"192.0.2.1", "203.0.113.9", "2001:db8::1", "bad"}, false},
		{"aws:currenttime", []string{"2024-05-01T00:00:00Z", "2025-01-01T12:00:00+01:00"}, false}, {"aws:securetransport", []string{"true", "false"}, false},
		{"aws:tagkeys", []string{"x", "y", "z"}, true}, {"kms:resourcealiases", []string{"alias/x", "alias/y"}, true},
		{"kms:keyspec", []string{"SYMMETRIC_DEFAULT", "RSA_2048"}, false}, {"aws:resourcetag/app", []string{"x", "y"}, false},
		{"x:number", []string{"1", "-2.50", "10", "many"}, false}, {"aws:sourcearn", []string{"arn:aws:s3:::x", "arn:aws:sns:us-west-2:111122223333:x:y", "x"}, false},
		{"x:groups", []string{"us-west-2", "alice", "Finance"}, true},
		{"x:bytes", []string{"x", "\x00\xff"}, false},
	} {
		if c.n(2) == 0 {
			continue
		}
		if key.many {
			n.context[key.name] = c.some(2, key.values...)
		} else {
			n.context[key.name] = []string{pick(c, key.values...)}
		}
	}
}

func (c *chooser) document(kind Kind) string {
	statements := make([]map[string]any, 1+c.n(3))
	for i := range statements {
		statements[i] = c.statement(kind)
	}
	doc := map[string]any{"Statement": statements}
	if v := c.n(4); v < 3 {
		doc["Version"] = "2012-10-17"
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (c *chooser) statement(kind Kind) map[string]any {
	s := map[string]any{"Effect": pick(c, "Allow", "Allow", "Allow", "Deny")}
	not := func(name string) string {
		if c.n(6) == 5 {
			return "Not" + name
		}
		return name
	}
	if kind == KeyPolicy || kind == EndpointPolicy {
		name := "Principal"
		if s["Effect"] == "Deny" {
			name = not(name)
		}
		switch c.n(5) {
		case 0:
			s[name] = map[string]any{"AWS": c.some(3, c.principals()...)}
		case 1:
			s[name] = "*"
		case 2:
			s[name] = map[string]any{"AWS": "*"}
		case 3:
			s[name] = map[string]any{"AWS": pick(c, c.principals()...), "Service": "ses.amazonaws.com"}
		case 4:
			s[name] = map[string]any{"AWS": "arn:aws:iam::111122223333:root"}
		}
	}
	s[not("Action")] = c.some(2, "kms:*", "*", "kms:Encrypt", "KMS:d*", "kms:?ncrypt", "kms:TagResource", "iam:*", "kms:Create*")
	s[not("Resource")] = c.some(2, "*", keyARN, "arn:aws:kms:*:111122223333:key/*", otherKey, "arn:aws:kms:*:*:*", "arn:aws:kms:us-west-2:111122223333:key/${aws:username}*", "arn:aws:kms:*")
	if kind == KeyPolicy && c.n(10) == 9 {
		delete(s, pick(c, "Action", "Resource"))
	}
	if conditions := c.conditions(); len(conditions) > 0 {
		s["Condition"] = conditions
	}
	return s
}

func (c *chooser) conditions() map[string]any {
	out := map[string]any{}
	for range c.n(3) {
		op := operators[c.n(len(operators))]
		name := op.name
		if op.family != familyNull {
			name = pick(c, "", "", "ForAnyValue:", "ForAllValues:") + name + pick(c, "", "", "IfExists")
		}
		keys := map[string]any{}
		for range 1 + c.n(2) {
			key := c.key(op.family)
			lower := strings.ToLower(key)
			if strings.HasPrefix(name, "ForAllValues:") && (strings.HasPrefix(lower, "kms:encryptioncontext:") || strings.HasPrefix(lower, "aws:requesttag/")) {
				continue
			}
			keys[key] = c.some(2, c.values(op.family)...)
		}
		out[name] = keys
	}
	return out
}

func (c *chooser) key(f family) string {
	common := []string{"kms:EncryptionContext:App", "kms:EncryptionContext:stage", "kms:EncryptionContextKeys", "aws:username", "aws:TagKeys",
		"kms:ResourceAliases", "kms:KeySpec", "aws:ResourceTag/App", "x:none", "x:groups"}
	switch f {
	case familyNumeric:
		return pick(c, "x:number", "x:none", "aws:username")
	case familyDate:
		return pick(c, "aws:CurrentTime", "x:none")
	case familyBool:
		return pick(c, "aws:SecureTransport", "x:none")
	case familyBinary:
		return pick(c, "x:bytes", "x:none")
	case familyIP:
		return pick(c, "aws:SourceIp", "x:none")
	case familyARN:
		return pick(c, "aws:SourceArn", "x:none")
	}
	return pick(c, common...)
}

func (c *chooser) values(f family) []string {
	switch f {
	case familyNumeric:
		return []string{"1", "-2.5", "7", "many"}
	case familyDate:
		return []string{"2024-05-01T00:00:00Z", "2024-12-31T00:00:00Z", "soon"}
	case familyBool, familyNull:
		return []string{"true", "false", "perhaps"}
	case familyBinary:
		return []string{"eA==", "AP8=", "%"}
	case familyIP:
		return []string{"192.0.2.0/24", "203.0.113.9", "2001:db8::/32", "nowhere"}
	case familyARN:
		return []string{"arn:aws:s3:::*", "arn:aws:sns:*:111122223333:x*", "*", "arn:aws:s3:::${aws:username}", "bucket"}
	}
	return []string{"x", "y", "X", "*", "?", "a*e", "${aws:username}", "alias/*", "SYMMETRIC_DEFAULT", "${aws:TagKeys}", "${x:none, 'x'}", "${*}"}
}

// request compiles the scenario for the engine.
func (n *naiveCase) request(t testing.TB) *Request {
	compile := func(kind Kind, document string) *Policy {
		if document == "" {
			return nil
		}
		return parse(t, kind, document)
	}
	req := &Request{
		Principal: n.caller, Action: n.action, Resource: Resource{Type: n.resourceType, ARN: n.arn, Account: n.account},
		Context: voidAliases{NewMapContext(n.context), n.void}, EncryptionContext: MapPairs(n.pairs),
		ResourcePolicy: compile(KeyPolicy, n.key), Boundary: compile(Boundary, n.boundary),
		Endpoint: compile(EndpointPolicy, n.endpoint), Guardrail: compile(Guardrail, n.guardrail),
	}
	for _, d := range n.identity {
		req.Identity = append(req.Identity, compile(IdentityPolicy, d))
	}
	for _, d := range n.session {
		req.Session = append(req.Session, compile(SessionPolicy, d))
	}
	var list []*Grant
	for _, g := range n.grants {
		grant := &Grant{KeyARN: keyARN, Grantee: grantee(t, g.grantee), Operations: operations(t, g.operations...)}
		if g.elsewhere {
			grant.KeyARN = otherKey
		}
		if g.constraint != nil {
			grant.Constraint = Constraint{EncryptionContextSubset, MapPairs(g.constraint)}
			if g.equals {
				grant.Constraint.Type = EncryptionContextEquals
			}
		}
		list = append(list, grant)
	}
	req.Grants = slices.Values(list)
	return req
}

// voidAliases makes the aliases of a context void.
type voidAliases struct {
	Context
	void bool
}

func (v voidAliases) Lookup(k *Key) Values {
	if v.void && k.ID == KeyResourceAliases {
		return Void()
	}
	return v.Context.Lookup(k)
}

func (n *naiveCase) String() string {
	return fmt.Sprintf("%s by %s\ncontext %v void %v pairs %v\nkey %s\nidentity %v\nboundary %s\nsession %v\nendpoint %s\nguardrail %s\ngrants %+v",
		n.action, n.caller.ARN, n.context, n.void, n.pairs, n.key, n.identity, n.boundary, n.session, n.endpoint, n.guardrail, n.grants)
}

// checkScenario compares engine, explanation and naive evaluator, and the properties that must hold for every request.
func checkScenario(t *testing.T, n *naiveCase) Outcome {
	t.Helper()
	req := n.request(t)
	d := decide(t, req)
	if want := n.decide(); d.Outcome != want {
		t.Fatalf("the engine says %v by %v, the naive evaluator %v\n%s", d.Outcome, d.PolicyType, want, n)
	}
	if d.Outcome == Allowed != (d.Message("a", "b", "c") == "") {
		t.Fatalf("message of %+v", d)
	}
	// Statement order does not matter.
	turned := *req
	turned.ResourcePolicy = reversed(req.ResourcePolicy)
	turned.Endpoint, turned.Boundary = reversed(req.Endpoint), reversed(req.Boundary)
	turned.Identity = nil
	for _, p := range slices.Backward(req.Identity) {
		turned.Identity = append(turned.Identity, reversed(p))
	}
	if o := Decide(&turned).Outcome; o != d.Outcome {
		t.Fatalf("reversed statements give %v, not %v\n%s", o, d.Outcome, n)
	}
	// A key that no statement names changes nothing.
	n.context["x:irrelevant"] = []string{"1"}
	more := *req
	more.Context = voidAliases{NewMapContext(n.context), n.void}
	if o := Decide(&more).Outcome; o != d.Outcome {
		t.Fatalf("an irrelevant condition key gives %v, not %v\n%s", o, d.Outcome, n)
	}
	// One more Deny never allows more, one more Allow in an identity policy never less.
	for _, effect := range []string{"Deny", "Allow"} {
		extra := *req
		extra.Identity = append(slices.Clone(req.Identity), identityOf(t, `{"Effect": "`+effect+`", "Action": "kms:Enc*", "Resource": "*"}`))
		o := Decide(&extra).Outcome
		if effect == "Deny" && o == Allowed && d.Outcome != Allowed || effect == "Allow" && o != Allowed && d.Outcome == Allowed {
			t.Fatalf("one more %s turns %v into %v\n%s", effect, d.Outcome, o, n)
		}
	}
	return d.Outcome
}

func reversed(p *Policy) *Policy {
	if p == nil {
		return nil
	}
	r := *p
	r.statements = slices.Clone(p.statements)
	slices.Reverse(r.statements)
	return &r
}

func TestAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	outcomes := map[Outcome]int{}
	for range 4000 {
		data := make([]byte, 400)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		outcomes[checkScenario(t, (&chooser{data}).scenario())]++
	}
	for o := ImplicitDeny; o <= Allowed; o++ {
		if outcomes[o] < 200 {
			t.Errorf("only %d scenarios were %v: they prove little", outcomes[o], o)
		}
	}
	t.Log(outcomes)
}

func FuzzDecide(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkScenario(t, (&chooser{data}).scenario())
	})
}
