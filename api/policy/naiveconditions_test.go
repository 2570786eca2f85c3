package policy

import (
	"encoding/base64"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func naiveMulti(key string) bool {
	return slices.Contains([]string{"kms:encryptioncontextkeys", "kms:grantoperations", "kms:resourcealiases", "aws:tagkeys", "aws:calledvia"}, strings.ToLower(key))
}

func (n *naiveCase) lookup(key string, kind Kind) (values []string, void bool) {
	key = strings.ToLower(key)
	inContext := []string{"kms:Encrypt", "kms:Decrypt", "kms:CreateGrant"}
	switch {
	case strings.HasPrefix(key, "kms:encryptioncontext") && !slices.Contains(inContext, n.action):
		return nil, false
	case strings.HasPrefix(key, "aws:resourcetag/"):
		if kind == KeyPolicy {
			return nil, false
		}
	case key == "kms:resourcealiases":
		if kind == KeyPolicy || n.resourceType != ResourceKey {
			return nil, false
		}
		void = key == "kms:resourcealiases" && n.void
	case key == "aws:tagkeys" || strings.HasPrefix(key, "aws:requesttag/"):
		if n.action != "kms:TagResource" && n.action != "kms:CreateKey" {
			return nil, false
		}
	case key == "kms:keyspec" && n.resourceType == ResourceNone && n.action != "kms:CreateKey":
		return nil, false
	}
	return n.context[key], void
}

func (n *naiveCase) condition(operator, key string, want []string, variables bool, kind Kind, deny bool) bool {
	name, set := operator, ""
	if a, b, ok := strings.Cut(operator, ":"); ok {
		set, name = a, b
	}
	ifExists := strings.HasSuffix(name, "IfExists")
	name = strings.TrimSuffix(name, "IfExists")
	have, void := n.lookup(key, kind)
	if void {
		return deny
	}
	if name == "Null" {
		for _, w := range want {
			b, err := strconv.ParseBool(strings.ToLower(w))
			if err != nil && deny || err == nil && b == (len(have) == 0) {
				return true
			}
		}
		return false
	}
	negated := strings.Contains(name, "Not")
	if len(have) == 0 {
		switch {
		case set == "ForAllValues":
			return true
		case set == "ForAnyValue":
			return ifExists && deny
		case ifExists:
			return true
		case naiveMulti(key):
			return negated && deny
		}
		return negated
	}
	all := set == "ForAllValues"
	claim := strings.HasPrefix(key, "x:") // a key that the engine does not know has as many values as its context says
	if set == "" || !naiveMulti(key) && !claim && len(have) > 1 {
		all = !deny
	}
	count := 0
	for _, h := range have {
		if n.satisfies(strings.Replace(name, "Not", "", 1), negated, h, want, variables, kind, deny) {
			count++
		}
	}
	if all {
		return count == len(have)
	}
	return count > 0
}

func (n *naiveCase) satisfies(name string, negated bool, have string, want []string, variables bool, kind Kind, deny bool) bool {
	result := negated
	for _, w := range want {
		equal, ok := n.compare(name, negated, have, w, variables, kind)
		switch {
		case !ok && !negated && deny:
			result = true
		case !ok && negated && !deny:
			result = false
		case ok && equal:
			result = !negated
		}
		if !ok {
			continue
		}
	}
	return result
}

// compare returns ok=false for what cannot be compared.
func (n *naiveCase) compare(name string, negated bool, have, want string, variables bool, kind Kind) (equal, ok bool) {
	switch {
	case strings.HasPrefix(name, "String"):
		expression, resolved := n.resolve(want, variables, kind)
		if !resolved {
			return false, !negated
		}
		if name == "StringLike" {
			return naiveRegexp(expression).MatchString(have), true
		}
		// Outside of StringLike, stars and question marks are text.
		text, _ := n.resolve(strings.NewReplacer("*", "\x01", "?", "\x02").Replace(want), variables, kind)
		text = strings.NewReplacer("\x01", `\*`, "\x02", `\?`).Replace(text)
		if strings.HasSuffix(name, "IgnoreCase") {
			return regexp.MustCompile("(?is)^(?:" + text + ")$").MatchString(have), true
		}
		return naiveRegexp(text).MatchString(have), true
	case strings.HasPrefix(name, "Arn"):
		return n.compareARN(negated, have, want, variables, kind)
	case strings.HasPrefix(name, "Numeric"):
		a, okA := naiveNumber(have)
		b, okB := naiveNumber(want)
		if !okA || !okB {
			return false, false
		}
		return naiveOrder(strings.TrimPrefix(name, "Numeric"), a.Cmp(b)), true
	case strings.HasPrefix(name, "Date"):
		a, errA := time.Parse(time.RFC3339, have)
		b, errB := time.Parse(time.RFC3339, want)
		if errA != nil || errB != nil {
			return false, false
		}
		return naiveOrder(strings.TrimPrefix(name, "Date"), a.Compare(b)), true
	case name == "Bool":
		a, errA := strconv.ParseBool(strings.ToLower(have))
		b, errB := strconv.ParseBool(strings.ToLower(want))
		return a == b, errA == nil && errB == nil
	case name == "BinaryEquals":
		b, err := base64.StdEncoding.DecodeString(want)
		return have == string(b), err == nil
	}
	// IpAddress
	a, errA := netip.ParseAddr(have)
	if !strings.Contains(want, "/") {
		b, errB := netip.ParseAddr(want)
		return a == b, errA == nil && errB == nil
	}
	b, errB := netip.ParsePrefix(want)
	return errA == nil && errB == nil && b.Contains(a), errA == nil && errB == nil
}

func (n *naiveCase) compareARN(negated bool, have, want string, variables bool, kind Kind) (equal, ok bool) {
	parts := strings.SplitN(have, ":", 6)
	if len(parts) < 6 {
		return false, false
	}
	if want == "*" {
		return true, true
	}
	patterns := strings.SplitN(want, ":", 6)
	if len(patterns) < 6 {
		return false, false
	}
	equal = true
	for i := range 6 {
		expression, resolved := n.resolve(patterns[i], variables, kind)
		if !resolved {
			return false, !negated
		}
		equal = equal && naiveRegexp(expression).MatchString(parts[i])
	}
	return equal, true
}

func naiveNumber(s string) (*big.Rat, bool) {
	if !regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`).MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func naiveOrder(relation string, sign int) bool {
	switch relation {
	case "LessThan":
		return sign < 0
	case "LessThanEquals":
		return sign <= 0
	case "GreaterThan":
		return sign > 0
	case "GreaterThanEquals":
		return sign >= 0
	}
	return sign == 0
}
