package policy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The naive evaluator decides from the JSON text by the rules as they are written down, with maps, regular expressions and
// big numbers: slow, without a compiled form, without shortcuts. It shares no code with the engine.

// naiveCase is a request as documents and plain values.
type naiveCase struct {
	caller       *Principal
	action       string
	resourceType ResourceType
	arn, account string
	context      map[string][]string // lower-case names
	void         bool                // the aliases are void

	key                           string
	identity, session             []string
	boundary, endpoint, guardrail string
	grants                        []naiveGrant
	pairs                         map[string]string // encryption context
}

type naiveGrant struct {
	grantee    string
	operations []string
	equals     bool
	constraint map[string]string
	elsewhere  bool // on another key
}

type naiveStatement map[string]any

func naiveStatements(document string) (list []naiveStatement, variables bool) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		panic(err)
	}
	switch s := doc["Statement"].(type) {
	case map[string]any:
		list = append(list, s)
	case []any:
		for _, one := range s {
			list = append(list, one.(map[string]any))
		}
	}
	return list, doc["Version"] == "2012-10-17"
}

func naiveStrings(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, naiveStrings(one)...)
		}
		return out
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	}
	return []string{fmt.Sprint(v)}
}

// decide follows EV-03.
func (n *naiveCase) decide() Outcome {
	all := []string{n.boundary, n.endpoint, n.guardrail}
	all = append(append(all, n.identity...), n.session...)
	explicit := slices.ContainsFunc(all, func(d string) bool { return n.any(d, "Deny", d == n.endpoint) })
	keyDenies := n.hasKeyPolicy() && n.any(n.key, "Deny", true)
	if explicit || keyDenies {
		return ExplicitDeny
	}
	if n.endpoint != "" && !n.any(n.endpoint, "Allow", true) {
		return ImplicitDeny
	}
	if n.guardrail != "" && !n.any(n.guardrail, "Allow", false) {
		return ExplicitDeny
	}
	if n.allowed() {
		return Allowed
	}
	return ImplicitDeny
}

func (n *naiveCase) allowed() bool {
	boundary := n.boundary == "" || n.any(n.boundary, "Allow", false)
	inIdentity := slices.ContainsFunc(n.identity, func(d string) bool { return n.any(d, "Allow", false) })
	inSession := slices.ContainsFunc(n.session, func(d string) bool { return n.any(d, "Allow", false) })
	session := len(n.session) == 0 || inSession
	var own, capped bool
	switch n.caller.Kind {
	case Root:
		own, capped = true, true
	case User:
		own, capped = inIdentity && boundary, boundary
	case RoleSession:
		own, capped = inIdentity && boundary && session, boundary && session
	case FederatedUser:
		own, capped = (n.caller.IdentityARN == "" || inIdentity) && boundary && inSession, boundary && inSession
	}
	foreign := n.caller.Account != "" && n.account != n.caller.Account && n.resourceType != ResourceNone
	if n.resourceType != ResourceKey {
		return own && !foreign
	}
	var direct, cappedDirect, delegate bool
	if n.hasKeyPolicy() {
		list, variables := naiveStatements(n.key)
		for _, s := range list {
			if s["Effect"] == "Allow" && n.matches(s, variables, KeyPolicy) {
				d, c, a := n.named(s)
				direct, cappedDirect, delegate = direct || d, cappedDirect || c, delegate || a
			}
		}
	}
	cross := []string{"kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:CreateGrant"}
	if foreign && !slices.Contains(cross, n.action) {
		return false
	}
	if n.granted(own, capped) {
		return true
	}
	if foreign {
		return (direct || cappedDirect || delegate) && own
	}
	return direct || cappedDirect && capped || delegate && own
}

func (n *naiveCase) granted(own, capped bool) bool {
	for _, g := range n.grants {
		if g.elsewhere || !slices.Contains(g.operations, strings.TrimPrefix(n.action, "kms:")) || n.action == "kms:CreateGrant" {
			continue
		}
		if g.constraint != nil && n.action != "kms:DescribeKey" {
			ok := true
			for k, v := range g.constraint {
				got, has := n.pairs[k]
				ok = ok && has && got == v
			}
			if !ok || g.equals && len(g.constraint) != len(n.pairs) {
				continue
			}
		}
		d, c, a := n.stand(g.grantee)
		if d || c && capped || a && own {
			return true
		}
	}
	return false
}

func (n *naiveCase) hasKeyPolicy() bool {
	return n.resourceType == ResourceKey && n.key != "" && n.action != "kms:RetireGrant"
}

// any tells whether a statement with this effect matches.
func (n *naiveCase) any(document, effect string, withPrincipals bool) bool {
	if document == "" {
		return false
	}
	kind := IdentityPolicy
	if document == n.key {
		kind = KeyPolicy
	}
	list, variables := naiveStatements(document)
	for _, s := range list {
		if s["Effect"] != effect || !n.matches(s, variables, kind) {
			continue
		}
		if !withPrincipals || n.meant(s) {
			return true
		}
	}
	return false
}

// meant tells whether the caller is among the principals: of a Deny, or of an Allow in an endpoint policy.
func (n *naiveCase) meant(s naiveStatement) bool {
	if not, ok := s["NotPrincipal"]; ok {
		return !n.exempt(not)
	}
	d, c, a := n.named(s)
	return d || c || a
}

func (n *naiveCase) principals(v any) []string {
	if v == "*" {
		return []string{"*"}
	}
	m := v.(map[string]any)
	return append(naiveStrings(m["AWS"]), naiveStrings(m["Service"])...)
}

func (n *naiveCase) named(s naiveStatement) (direct, capped, delegate bool) {
	for _, p := range n.principals(s["Principal"]) {
		d, c, a := n.stand(p)
		direct, capped, delegate = direct || d, capped || c, delegate || a
	}
	return
}

func (n *naiveCase) stand(p string) (direct, capped, delegate bool) {
	c := n.caller
	account := "arn:aws:iam::" + c.Account + ":root"
	switch {
	case p == "*":
		direct = true
	case c.Kind == Service:
		direct = p == c.ARN
	case p == account || p == c.Account:
		direct, delegate = c.Kind == Root, true
	case c.Kind == User:
		direct = p == c.ARN
	case c.Kind == RoleSession, c.Kind == FederatedUser:
		direct, capped = p == c.ARN, c.IdentityARN != "" && p == c.IdentityARN
	}
	return
}

func (n *naiveCase) exempt(v any) bool {
	listed := n.principals(v)
	has := func(s string) bool { return slices.Contains(listed, s) }
	c := n.caller
	account := has(c.Account) || has("arn:aws:iam::"+c.Account+":root")
	if has("*") {
		return true
	}
	switch c.Kind {
	case Root:
		return account
	case User:
		return has(c.ARN) && account
	case RoleSession:
		return has(c.ARN) && has(c.IdentityARN) && account
	case FederatedUser:
		return has(c.ARN) && account && (c.IdentityARN == "" || has(c.IdentityARN))
	}
	return has(c.ARN)
}

// matches evaluates action, resource and condition.
func (n *naiveCase) matches(s naiveStatement, variables bool, kind Kind) bool {
	action, hasAction := naiveElement(s, "Action")
	resource, hasResource := naiveElement(s, "Resource")
	if !hasAction || !hasResource {
		return false
	}
	acts := slices.ContainsFunc(action, func(p string) bool { return naiveGlob(strings.ToLower(p), strings.ToLower(n.action)) })
	if acts == (s["NotAction"] != nil) {
		return false
	}
	deny := s["Effect"] == "Deny"
	covers, unresolved := false, false
	for _, p := range resource {
		m, u := n.resourceMatches(p, variables, kind)
		covers, unresolved = covers || m, unresolved || u
	}
	if s["NotResource"] != nil {
		if covers || unresolved && !deny {
			return false
		}
	} else if !covers {
		return false
	}
	conditions, _ := s["Condition"].(map[string]any)
	for operator, keys := range conditions {
		for key, values := range keys.(map[string]any) {
			if !n.condition(operator, key, naiveStrings(values), variables, kind, deny) {
				return false
			}
		}
	}
	return true
}

func naiveElement(s naiveStatement, name string) ([]string, bool) {
	v, ok := s[name]
	if !ok {
		v = s["Not"+name]
	}
	list := naiveStrings(v)
	return list, len(list) > 0
}

func naiveGlob(pattern, text string) bool {
	expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("(?s)^(?:" + expr + ")$").MatchString(text)
}

func (n *naiveCase) resourceMatches(pattern string, variables bool, kind Kind) (match, unresolved bool) {
	if pattern == "*" {
		return true, false
	}
	pp := strings.SplitN(pattern, ":", 6)
	for len(pp) < 6 {
		pp = append(pp, "*")
	}
	last, ok := n.resolve(pp[5], variables, kind)
	if !ok {
		return false, true
	}
	tp := strings.SplitN(n.arn, ":", 6)
	for len(tp) < 6 {
		tp = append(tp, "")
	}
	if n.resourceType == ResourceNone && (pp[5] != "*" || n.arn == "") {
		return false, false
	}
	for i := range 5 {
		if !naiveGlob(pp[i], tp[i]) {
			return false, false
		}
	}
	return naiveRegexp(last).MatchString(tp[5]), false
}

// resolve replaces the variables of a pattern and returns a regular expression body.
func (n *naiveCase) resolve(pattern string, variables bool, kind Kind) (expression string, ok bool) {
	if !variables {
		return strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern)), true
	}
	variable := regexp.MustCompile(`\$\{([^},]+)(?:, *'([^']*)')?\}`)
	rest := pattern
	for {
		at := variable.FindStringSubmatchIndex(rest)
		if at == nil {
			return expression + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(rest)), true
		}
		name := rest[at[2]:at[3]]
		values, void := n.lookup(name, kind)
		value := ""
		switch {
		case name == "*" || name == "?" || name == "$":
			value = name
		case void || len(values) > 1 || naiveMulti(name) && len(values) > 0:
			return "", false
		case len(values) == 1:
			value = values[0]
		case at[4] >= 0:
			value = rest[at[4]:at[5]]
		default:
			return "", false
		}
		expression += strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(rest[:at[0]])) + regexp.QuoteMeta(value)
		rest = rest[at[1]:]
	}
}

func naiveRegexp(expression string) *regexp.Regexp {
	return regexp.MustCompile("(?s)^(?:" + expression + ")$")
}
