package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Warning is a remark on a document that is accepted and probably does not do what its author wants.
type Warning struct {
	Statement int // from 0
	Sid       string
	Message   string
}

// Lint looks for statements that have no effect, or more effect than they seem to have.
func (p *Policy) Lint() []Warning {
	var l linter
	for i := range p.statements {
		s := &p.statements[i]
		l.statement, l.sid = i, s.sid
		if s.inert {
			l.warn("The statement has no Action or no Resource and never applies, whether it allows or denies.")
			continue
		}
		l.actions(p, s)
		l.principals(p, s)
		l.resources(s)
		for j := range s.conditions {
			l.condition(p, &s.conditions[j])
		}
	}
	return l.warnings
}

type linter struct {
	warnings  []Warning
	statement int
	sid       string
}

func (l *linter) warn(format string, args ...any) {
	l.warnings = append(l.warnings, Warning{Statement: l.statement, Sid: l.sid, Message: fmt.Sprintf(format, args...)})
}

func (l *linter) actions(p *Policy, s *statement) {
	for i, written := range s.actions.written {
		lower := strings.ToLower(written)
		if !strings.HasPrefix(lower, "kms:") {
			continue
		}
		var rows []Permission
		for _, row := range permissions {
			if s.actions.patterns[i].matchPlain(strings.ToLower(row.Action)) {
				rows = append(rows, row)
			}
		}
		switch {
		case lower == "kms:reencrypt":
			l.warn("No permission is called kms:ReEncrypt: use kms:ReEncrypt*, or kms:ReEncryptFrom and kms:ReEncryptTo.")
		case len(rows) == 0:
			l.warn("%s matches no permission.", written)
		case p.kind == KeyPolicy && !slices.ContainsFunc(rows, func(r Permission) bool { return r.KeyPolicy }):
			l.warn("%s has no effect in a key policy; only identity policies can allow or deny it.", written)
		}
	}
}

func (l *linter) principals(p *Policy, s *statement) {
	if p.kind == KeyPolicy && s.effect == Allow && s.principals.any && len(s.conditions) == 0 {
		l.warn("Everybody in the account may use the key, and everybody in every other account whose own policies allow it: add a Condition such as kms:CallerAccount.")
	}
	if s.principals != nil && s.principals.not {
		l.warn("A Deny with NotPrincipal spares only callers of whom every identity is listed: user or role, session, and account. Use aws:PrincipalArn in a Condition.")
	}
}

func (l *linter) resources(s *statement) {
	for i := range s.resources.patterns {
		p := &s.resources.patterns[i]
		for j := range 5 {
			if p.parts[j].unusable {
				l.warn("The resource %s has a policy variable before its last part, where it never has a value.", p.source)
				break
			}
		}
		if p.any || !strings.HasPrefix(p.parts[5].source, "alias/") {
			continue
		}
		if onKeysOnly(&s.actions) {
			l.warn("The resource %s is an alias; it does not stand for the key behind it. Use the key's ARN, or the condition key kms:ResourceAliases.", p.source)
		}
	}
}

// onKeysOnly tells whether a set of actions has KMS permissions but none on aliases.
func onKeysOnly(a *actionSet) bool {
	some := false
	for row := range permissions {
		if a.known.has(row) != a.not {
			if permissions[row].Resource == ResourceAlias {
				return false
			}
			some = true
		}
	}
	return some
}

func (l *linter) condition(p *Policy, c *condition) {
	switch {
	case strings.HasPrefix(c.key.Name, "kms:") && c.key.ID == KeyUnknown:
		l.warn("%s is no condition key; it is always absent.", c.key.written)
	case p.kind == KeyPolicy && c.key.iamOnly:
		l.warn("%s exists in identity policies only; here it is always absent.", c.key.written)
	case c.key.Multi && c.set == setNone && c.op.family != familyNull:
		l.warn("%s may have several values: say ForAnyValue or ForAllValues. Without, an Allow needs all and a Deny one of them to match.", c.key.written)
	case !c.key.Multi && c.set != setNone:
		l.warn("%s has one value at most: %s makes the condition looser or stricter than it looks.", c.key.written, c.written)
	}
	for i := range c.values {
		o := &c.values[i]
		switch {
		case o.invalid:
			l.warn("The value %s is none that %s can compare: it never matches in an Allow and always does in a Deny.", quote(o.written), c.written)
		case c.op.family == familyString && c.op.relation != relLike && strings.ContainsAny(o.written, "*?") && !strings.Contains(o.written, "${"):
			l.warn("%s takes the * and ? of %s literally; StringLike has wildcards.", c.written, quote(o.written))
		case c.key.ID == KeyRequestAlias && strings.HasPrefix(o.written, "arn:"), c.key.ID == KeyResourceAliases && strings.HasPrefix(o.written, "arn:"):
			l.warn("%s holds alias names; the ARN %s never matches.", c.key.written, quote(o.written))
		case c.key.ID == KeyViaService && !strings.HasSuffix(o.written, ".amazonaws.com") && !strings.ContainsAny(o.written, "*?$"):
			l.warn("%s holds names such as ec2.us-east-1.amazonaws.com; %s never matches.", c.key.written, quote(o.written))
		}
	}
}
