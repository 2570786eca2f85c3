package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "A", false}, {"*", "", true}, {"*", "anything", true},
		{"**", "x", true}, {"?", "", false}, {"?", "é", true}, {"?", "日", true}, {"??", "日", false}, {"a?c", "abc", true},
		{"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true}, {"*a", "ab", false}, {"*a*", "bab", true},
		{"a*b*c", "a-b-c", true}, {"a*b*c", "a-c-b", false}, {"a*bc", "abcbc", true}, {"*ab", "aab", true}, {"*?b", "b", false},
		{"*?b", "ab", true}, {"a*a", "a", false}, {"a*a", "aa", true}, {"*aab*", "aaaab", true}, {"?*?", "a", false}, {"?*?", "ab", true},
		{"alias/*test*", "alias/my-test-key", true}, {"alias/*test*", "alias/prod", false}, {"*é", "caffé", true},
	}
	for _, test := range tests {
		p := compilePattern(test.pattern, withWildcards)
		if got := p.matchPlain(test.text); got != test.want {
			t.Errorf("%q on %q: %v", test.pattern, test.text, got)
		}
	}
	literal := compilePattern("a*b?", 0)
	if !literal.matchPlain("a*b?") || literal.matchPlain("axbx") {
		t.Error("without wildcards, * and ? are text")
	}
}

// TestPatternCost: patterns that explode in a backtracking matcher take no time here.
func TestPatternCost(t *testing.T) {
	start := time.Now()
	for _, pattern := range []string{
		strings.Repeat("a*", 2000) + "b", strings.Repeat("*a", 2000) + "b", strings.Repeat("*?a", 1000) + "b", strings.Repeat("*", 4000) + "b",
		"*" + strings.Repeat("a", 4000) + "b*", strings.Repeat("a?*", 1000) + "b",
	} {
		p := compilePattern(pattern, withWildcards)
		text := strings.Repeat("a", 8192)
		if p.matchPlain(text) {
			t.Errorf("%.20s... matched", pattern)
		}
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestHostilePolicy: a key policy made of wildcards, and a request made for it, take milliseconds.
func TestHostilePolicy(t *testing.T) {
	for _, unit := range []string{"a?", "aaaaaaaaaaaaaaa?", "?a", "a*"} {
		for _, size := range []int{20, 60, 1000, 4000} {
			value := `"*` + strings.Repeat(unit, size/len(unit)) + `b*"`
			values := strings.TrimSuffix(strings.Repeat(value+",", 31000/(len(value)+1)), ",")
			p := keyPolicyOf(t, `{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringLike":{"kms:EncryptionContext:a":[`+values+`]}}}`)
			req := onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(p).with("kms:EncryptionContext:a=" + strings.Repeat("a", 8000))
			start := time.Now()
			wantOutcome(t, req, ImplicitDeny)
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("%q times %d: %v", unit, size/len(unit), d)
			}
		}
	}
}

// TestBudget: what would take seconds is refused, whatever the rest of the policies says, and takes no more than its bound.
func TestBudget(t *testing.T) {
	condition := func(effect, operator, key, value string) string {
		values := strings.TrimSuffix(strings.Repeat(`"`+value+`",`, 30000/(len(value)+3)), ",")
		return `{"Effect":"` + effect + `","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"` + operator + `":{"` + key + `":[` + values + `]}}}`
	}
	large := "kms:EncryptionContext:a=" + strings.Repeat("a", 900_000)
	pairs := make(map[string]string)
	for i := range 4096 {
		pairs[fmt.Sprintf("%0200d", i)] = "v"
	}
	many := MapPairs(pairs)
	for what, c := range map[string]struct {
		statement string
		allowed   bool
	}{
		"long automata":            {condition("Deny", "StringLike", "kms:EncryptionContext:a", "*"+strings.Repeat("a?", 2000)+"b*"), false},
		"short patterns":           {condition("Deny", "StringLike", "kms:EncryptionContext:a", "*a?b*"), false},
		"text":                     {condition("Deny", "StringLike", "kms:EncryptionContext:a", "*aab*"), false},
		"negated":                  {condition("Deny", "StringNotLike", "kms:EncryptionContext:a", "*a?b*"), false},
		"in an Allow not needed":   {condition("Allow", "StringLike", "kms:EncryptionContext:a", "*a?b*"), true},
		"ARNs":                     {condition("Deny", "ArnLike", "kms:EncryptionContext:a", "arn:*:*:*:*:*a?b*"), false},
		"without regard to case":   {condition("Deny", "StringEqualsIgnoreCase", "kms:EncryptionContext:a", "b"), false},
		"many values":              {condition("Deny", "ForAnyValue:StringEquals", "kms:EncryptionContextKeys", "x"), false},
		"long variables":           {condition("Deny", "StringLike", "kms:EncryptionContext:a", "*"+strings.Repeat("?${kms:EncryptionContext:b}", 300)+"*"), false},
		"many conditions":          {strings.TrimSuffix(strings.Repeat(`{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"Null":{"kms:EncryptionContext:a":true}}},`, 200), ","), true},
		"nothing of it is in vain": {condition("Deny", "StringEquals", "kms:EncryptionContext:a", "b"), true},
	} {
		p := keyPolicyOf(t, `{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"},`+c.statement)
		value := large
		if what == "ARNs" {
			value = "kms:EncryptionContext:a=arn:aws:s3:::" + strings.Repeat("a", 900_000)
		}
		req := onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(p).with(value, "kms:EncryptionContext:b="+strings.Repeat("b", 1000))
		if what == "many values" {
			req.EncryptionContext = many
			req.Context = answers(func(k *Key) Values {
				if k.ID == KeyEncryptionContextKeys {
					return PairKeys(many)
				}
				return Lookup(many, k.Variable)
			})
		}
		var e evaluation
		if d := e.decide(req, nil); d.Allowed() != c.allowed {
			t.Errorf("%s: %v after %d steps", what, d.Outcome, e.work)
		}
		if x := Explain(req); x.Decision.Allowed() != c.allowed {
			t.Errorf("%s explained: %v", what, x.Decision.Outcome)
		}
	}
}

// TestBudgetOfAllows: an Allow that was not evaluated to the end allows nothing.
func TestBudgetOfAllows(t *testing.T) {
	values := strings.TrimSuffix(strings.Repeat(`"*a?b*",`, 3000), ",")
	p := keyPolicyOf(t, `{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringNotLike":{"kms:EncryptionContext:a":[`+values+`]}}}`)
	for size, want := range map[int]Outcome{1000: Allowed, 900_000: ImplicitDeny} {
		wantOutcome(t, onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(p).with("kms:EncryptionContext:a="+strings.Repeat("a", size)), want)
	}
}

// TestPatternsAgainstRegexp: random patterns from a tiny alphabet, some longer than a machine word.
func TestPatternsAgainstRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	matched := 0
	for i := range 8000 {
		random := func(most int, alphabet string) string {
			letters := []rune(alphabet)
			out := make([]rune, r.IntN(most))
			for i := range out {
				out[i] = letters[r.IntN(len(letters))]
			}
			return string(out)
		}
		pattern, text := random(8, "ab?*é"), random(12, "abé")
		if i%10 == 0 {
			inner := random(100, "aaa?é")
			pattern, text = "*"+inner+"*", random(40, "ab")+strings.ReplaceAll(inner, "?", "a")+random(40, "ab")
		}
		p := compilePattern(pattern, withWildcards)
		want := naiveGlob(pattern, text)
		if got := p.matchPlain(text); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, text, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 400 {
		t.Errorf("only %d matched", matched)
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{{"a*b?c", "axxbyc"}, {"*a*a*a*b", "aaaaaaaaaaaa"}, {"**?*", "é"}, {"", ""}, {"?a", "\xffa"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 200 || len(text) > 200 || strings.ToValidUTF8(pattern, "") != pattern || strings.ToValidUTF8(text, "") != text {
			return
		}
		want := naiveGlob(pattern, text)
		p := compilePattern(pattern, withWildcards)
		if got := p.matchPlain(text); got != want {
			t.Errorf("%q on %q: %v, want %v", pattern, text, got, want)
		}
	})
}

// matches tells whether a statement with this Action and Resource allows the action on the resource.
func allowsBy(t *testing.T, statement, action string, r Resource, context ...string) bool {
	t.Helper()
	req := (&Request{Principal: user(accountK, "alice"), Action: action, Resource: r}).identity(identityOf(t, statement)).with(context...)
	d := decide(t, req)
	if d.Outcome == ExplicitDeny {
		t.Fatalf("%s: explicit deny", statement)
	}
	return d.Allowed()
}

func TestActionsPM01(t *testing.T) {
	other := Resource{Type: ResourceOther, ARN: "arn:aws:iam::111122223333:user/bob", Account: accountK}
	none := Resource{Type: ResourceNone}
	tests := []struct {
		element, action string
		resource        Resource
		want            bool
	}{
		{`"Action": "*"`, "kms:CreateKey", none, true},
		{`"Action": "*:*"`, "kms:CreateKey", none, true},
		{`"Action": "kms:*"`, "kms:CreateKey", none, true},
		{`"Action": "KMS:createKEY"`, "kms:CreateKey", none, true},
		{`"Action": "kms:Create*"`, "kms:CreateKey", none, true},
		{`"Action": "kms:Create???"`, "kms:CreateKey", none, true},
		{`"Action": "kms:Create??"`, "kms:CreateKey", none, false},
		{`"Action": ["kms:ListKeys", "kms:GenerateRandom"]`, "kms:GenerateRandom", none, true},
		{`"Action": ["kms:ListKeys", "kms:GenerateRandom"]`, "kms:CreateKey", none, false},
		{`"Action": "iam:*"`, "kms:CreateKey", none, false},
		{`"Action": "iam:get*"`, "iam:GetUser", other, true},
		{`"Action": "kms:*"`, "iam:GetUser", other, false},
		{`"Action": "trent:Backup"`, "trent:Backup", none, true},
		{`"NotAction": "kms:CreateKey"`, "kms:CreateKey", none, false},
		{`"NotAction": "kms:CreateKey"`, "kms:ListKeys", none, true},
		{`"NotAction": ["kms:create*", "kms:list*"]`, "kms:ListKeys", none, false},
		{`"NotAction": "kms:*"`, "iam:GetUser", other, true},
	}
	for _, test := range tests {
		got := allowsBy(t, `{"Effect": "Allow", `+test.element+`, "Resource": "*"}`, test.action, test.resource)
		if got != test.want {
			t.Errorf("%s on %s: %v", test.element, test.action, got)
		}
	}
}

// TestReEncryptPM01: the operation has no permission of its own name.
func TestReEncryptPM01(t *testing.T) {
	for pattern, want := range map[string]bool{
		"kms:ReEncrypt": false, "kms:ReEncrypt*": true, "kms:ReEncryptFrom": true, "kms:ReEncryptTo": false, "kms:*": true,
	} {
		p := keyPolicyOf(t, `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"}, "Action": "`+pattern+`", "Resource": "*"}`)
		if d := Decide(onKey(user(accountK, "alice"), "kms:ReEncryptFrom").keyPolicy(p)); d.Allowed() != want {
			t.Errorf("%s: %v", pattern, d.Outcome)
		}
	}
}

func TestResourcesPM02(t *testing.T) {
	alias := Resource{Type: ResourceAlias, ARN: aliasARN, Account: accountK}
	newKey := Resource{Type: ResourceNewKey, ARN: keyARN, Account: accountK}
	none := Resource{Type: ResourceNone, ARN: allOfK}
	bare := Resource{Type: ResourceNone}
	grantee := Resource{Type: ResourceGrantee, ARN: "arn:aws:iam::111122223333:role/app"}
	path := Resource{Type: ResourceOther, ARN: "arn:aws:iam::111122223333:user/a/b:c", Account: accountK}
	tests := []struct {
		rule, element string
		resource      Resource
		want          bool
	}{
		{"lone star", `"Resource": "*"`, alias, true},
		{"exact", `"Resource": "` + aliasARN + `"`, alias, true},
		{"case", `"Resource": "arn:aws:kms:us-west-2:111122223333:alias/Finance"`, alias, false},
		{"region star", `"Resource": "arn:aws:kms:*:111122223333:alias/*"`, alias, true},
		{"star does not cross colons", `"Resource": "arn:aws:*:111122223333:alias/finance"`, alias, false},
		{"star crosses slashes and later colons", `"Resource": "arn:aws:iam::111122223333:user/*c"`, path, true},
		{"question mark", `"Resource": "arn:aws:kms:us-west-?:111122223333:alias/f?nance"`, alias, true},
		{"missing parts are stars", `"Resource": "arn:aws:kms:*"`, alias, true},
		{"missing parts, other service", `"Resource": "arn:aws:iam:*"`, alias, false},
		{"other account", `"Resource": "arn:aws:kms:us-west-2:444455556666:alias/*"`, alias, false},
		{"list", `"Resource": ["arn:aws:s3:::x", "` + aliasARN + `"]`, alias, true},
		{"key pattern on alias", `"Resource": "arn:aws:kms:*:111122223333:key/*"`, alias, false},
		{"PM-03 not the alias", `"NotResource": "` + aliasARN + `"`, alias, false},
		{"PM-03 not another", `"NotResource": "arn:aws:kms:*:*:key/*"`, alias, true},
		{"PM-03 not anything", `"NotResource": "*"`, alias, false},
		{"IDP-07 key to be", `"Resource": "arn:aws:kms:*:111122223333:key/*"`, newKey, true},
		{"IDP-05 star", `"Resource": "*"`, none, true},
		{"IDP-05 pattern", `"Resource": "arn:aws:kms:us-west-2:111122223333:key/*"`, none, false},
		{"PRM-03 account-wide", `"Resource": "` + allOfK + `"`, none, true},
		{"PRM-03 account-wide, any region", `"Resource": "arn:aws:kms:*:111122223333:*"`, none, true},
		{"PRM-03 a star only", `"Resource": "arn:aws:kms:us-west-2:111122223333:?"`, none, false},
		{"PRM-03 other region", `"Resource": "arn:aws:kms:us-east-1:111122223333:*"`, none, false},
		{"PRM-03 account unknown", `"Resource": "` + allOfK + `"`, bare, false},
		{"IDP-05 retiring principal", `"Resource": "arn:aws:iam::111122223333:role/*"`, grantee, true},
		{"IDP-05 other retiring principal", `"Resource": "arn:aws:iam::111122223333:user/*"`, grantee, false},
		{"IDP-05 retiring principal, star", `"Resource": "*"`, grantee, true},
	}
	for _, test := range tests {
		if got := allowsBy(t, `{"Effect": "Allow", "Action": "*", `+test.element+`}`, "kms:Any", test.resource); got != test.want {
			t.Errorf("%s: %v", test.rule, got)
		}
	}
}

// TestKeyPolicyResource: a Resource other than "*" in a key policy is matched against this key (KP-06); a key id or alias is
// none (RES-03).
func TestKeyPolicyResource(t *testing.T) {
	for resource, want := range map[string]bool{
		`"Resource": "*"`: true, `"Resource": "` + keyARN + `"`: true, `"Resource": "` + otherKey + `"`: false,
		`"Resource": "1234abcd-12ab-34cd-56ef-1234567890ab"`: false, `"Resource": "` + aliasARN + `"`: false,
		`"Resource": "arn:aws:kms:*:*:key/*"`: true, `"NotResource": "` + keyARN + `"`: false, `"NotResource": "` + otherKey + `"`: true,
	} {
		p := keyPolicyOf(t, `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"}, "Action": "kms:*", `+resource+`}`)
		if d := decide(t, onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(p)); d.Allowed() != want {
			t.Errorf("%s: %v", resource, d.Outcome)
		}
	}
}

// TestInertPM06: a statement without Action or Resource never matches, neither Allow nor Deny.
func TestInertPM06(t *testing.T) {
	const all = `{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}`
	for _, lack := range []string{`"Action": "kms:*"`, `"Resource": "*"`, `"NotAction": [], "Resource": "*"`, `"Action": "kms:*", "NotResource": []`} {
		allow := keyPolicyOf(t, `{"Effect": "Allow", "Principal": "*", `+lack+`}`)
		wantOutcome(t, onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(allow), ImplicitDeny)
		deny := keyPolicyOf(t, all+`, {"Effect": "Deny", "Principal": "*", `+lack+`}`)
		wantOutcome(t, onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(deny), Allowed)
	}
}

func TestVariablesInResourcesPM10(t *testing.T) {
	own := Resource{Type: ResourceOther, ARN: "arn:aws:iam::111122223333:user/alice", Account: accountK}
	star := Resource{Type: ResourceOther, ARN: "arn:aws:iam::111122223333:user/*", Account: accountK}
	colon := Resource{Type: ResourceOther, ARN: "arn:aws:iam::111122223333:user/AIDA:x", Account: accountK}
	tests := []struct {
		rule, element string
		resource      Resource
		context       []string
		want          bool
	}{
		{"resolved", `"Resource": "arn:aws:iam::111122223333:user/${aws:username}"`, own, []string{"aws:username=alice"}, true},
		{"other value", `"Resource": "arn:aws:iam::111122223333:user/${aws:username}"`, own, []string{"aws:username=bob"}, false},
		{"unresolved", `"Resource": "arn:aws:iam::111122223333:user/${aws:username}"`, own, nil, false},
		{"unresolved beside a match", `"Resource": ["arn:aws:iam::111122223333:user/${aws:username}", "*"]`, own, nil, true},
		{"multi-valued", `"Resource": "arn:aws:iam::111122223333:user/${aws:TagKeys}"`, own, []string{"aws:TagKeys=alice"}, false},
		{"case of the name", `"Resource": "arn:aws:iam::111122223333:user/${AWS:UserName}"`, own, []string{"aws:username=alice"}, true},
		{"default", `"Resource": "arn:aws:iam::111122223333:user/${aws:username, 'alice'}"`, own, nil, true},
		{"default not needed", `"Resource": "arn:aws:iam::111122223333:user/${aws:username, 'alice'}"`, own, []string{"aws:username=bob"}, false},
		{"value with colon", `"Resource": "arn:aws:iam::111122223333:user/${aws:userid}"`, colon, []string{"aws:userid=AIDA:x"}, true},
		{"value's star is text", `"Resource": "arn:aws:iam::111122223333:user/${aws:username}"`, own, []string{"aws:username=*"}, false},
		{"escaped star is text", `"Resource": "arn:aws:iam::111122223333:user/${*}"`, own, nil, false},
		{"escaped star", `"Resource": "arn:aws:iam::111122223333:user/${*}"`, star, nil, true},
		{"wildcard beside", `"Resource": "arn:aws:iam::111122223333:*/${aws:username}"`, own, []string{"aws:username=alice"}, true},
		{"not in the last part", `"Resource": "arn:aws:iam::${aws:PrincipalAccount}:user/alice"`, own, []string{"aws:PrincipalAccount=111122223333"}, false},
		{"NotResource unresolved", `"NotResource": "arn:aws:iam::111122223333:user/${aws:username}"`, own, nil, false},
		{"NotResource unresolved, no resource", `"NotResource": "arn:aws:kms:*:*:key/${aws:username}"`, Resource{Type: ResourceNone}, nil, false},
		{"NotResource resolved, no resource", `"NotResource": "arn:aws:kms:*:*:key/${aws:username}"`, Resource{Type: ResourceNone}, []string{"aws:username=bob"}, true},
		{"NotResource resolved", `"NotResource": "arn:aws:iam::111122223333:user/${aws:username}"`, own, []string{"aws:username=bob"}, true},
	}
	for _, test := range tests {
		if got := allowsBy(t, `{"Effect": "Allow", "Action": "*", `+test.element+`}`, "iam:GetUser", test.resource, test.context...); got != test.want {
			t.Errorf("%s: %v", test.rule, got)
		}
	}
	old := parse(t, IdentityPolicy, `{"Version": "2008-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:iam::111122223333:user/${aws:username}"}}`)
	wantOutcome(t, (&Request{Principal: user(accountK, "alice"), Action: "iam:GetUser", Resource: own}).identity(old).with("aws:username=alice"), ImplicitDeny)
	deny := identityOf(t, allowAll+`, {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:iam::111122223333:user/${aws:username}"}`)
	wantOutcome(t, (&Request{Principal: user(accountK, "alice"), Action: "iam:GetUser", Resource: own}).identity(deny), ExplicitDeny)
}
