package arn

import (
	"strings"

	"github.com/trentkms/trent/region/fault"
)

// Prefixes of alias names.
const (
	AliasPrefix = "alias/"
	// ReservedAliasPrefix begins the aliases of AWS managed keys, which customers cannot touch (spec 01 ALI-04).
	ReservedAliasPrefix = "alias/aws/"
)

// MaxAliasName is the length of the longest alias name in characters, prefix included (spec 01 ALI-02).
const MaxAliasName = 256

// aliasPattern is the model's pattern, as the answer quotes it; it allows the colon, which the service refuses (ALI-02).
const aliasPattern = "^[a-zA-Z0-9:/_-]+$"

// CheckAliasName checks the AliasName of CreateAlias, UpdateAlias and DeleteAlias in the recorded order: prefix, reserved,
// colon, characters (spec 10 CAL-02). The error is a *[fault.Error]. It also covers length and pattern of the model, so that the
// member needs no check of its own before: a name that begins wrongly and has wrong characters is answered by its beginning.
func CheckAliasName(name string) error {
	if !strings.HasPrefix(name, AliasPrefix) {
		return fault.AliasPrefix()
	}
	if strings.HasPrefix(name, ReservedAliasPrefix) {
		return fault.AliasReserved()
	}
	if strings.Contains(name, ":") {
		return fault.AliasCharacters(name)
	}
	var broken []fault.Violation
	if len(name) > MaxAliasName {
		broken = append(broken, fault.Value(name, "aliasName", fault.MaxLength(MaxAliasName)))
	}
	if !aliasCharacters(name) {
		broken = append(broken, fault.Value(name, "aliasName", fault.Pattern(aliasPattern)))
	}
	if len(broken) > 0 {
		return fault.Invalid(broken...)
	}
	if name == AliasPrefix {
		return fault.InvalidAliasName(name)
	}
	return nil
}

// IsAlias reports whether a key identifier is an alias name or an alias ARN, well-formed or not.
func IsAlias(s string) bool {
	if a, ok := Parse(s); ok {
		return strings.HasPrefix(a.Resource, AliasPrefix)
	}
	return strings.HasPrefix(s, AliasPrefix)
}

func aliasCharacters(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '/', c == '_', c == '-', c == ':':
		default:
			return false
		}
	}
	return true
}
