// Package arn parses and prints the names of things: key IDs, alias names, and the ARNs of keys, aliases and principals
// (spec 01 section 2, spec 04 sections 1 and 2).
//
// The package guarantees:
//   - what parses prints as the same string: nothing is normalized, so that two spellings never become one name;
//   - a parsed value holds parts of the input string and allocates nothing;
//   - refusals of a request's key identifier are the recorded errors, ready for the client ([fault.Error]); all other parsers
//     report by ok, because the caller knows better what the client asked for;
//   - input of any length and content is safe; the work is linear in its length.
//
// All functions are pure and safe for concurrent use.
package arn

import "strings"

// ARN is arn:partition:service:region:account:resource, cut at the first five colons. Region and Account may be empty.
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// Prefix is how every ARN begins.
const Prefix = "arn:"

// Parse cuts an ARN into its parts; they are not checked further. ok is false if it has fewer than six parts or an empty
// partition, service or resource.
func Parse(s string) (a ARN, ok bool) {
	rest, ok := strings.CutPrefix(s, Prefix)
	if !ok {
		return ARN{}, false
	}
	for _, part := range []*string{&a.Partition, &a.Service, &a.Region, &a.Account} {
		if *part, rest, ok = strings.Cut(rest, ":"); !ok {
			return ARN{}, false
		}
	}
	a.Resource = rest
	if a.Partition == "" || a.Service == "" || a.Resource == "" {
		return ARN{}, false
	}
	return a, true
}

// String prints the ARN.
func (a ARN) String() string {
	return Prefix + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Service name and resource prefixes of KMS ARNs (spec 04 RES-01).
const (
	service = "kms"
	keyPart = "key/"
)

// Scope is where a deployment's ARNs live: its partition ("aws") and its Region ("us-east-1").
type Scope struct{ Partition, Region string }

// Key prints the ARN of a key (spec 01 KID-01).
func (s Scope) Key(account, keyID string) string {
	return Prefix + s.Partition + ":" + service + ":" + s.Region + ":" + account + ":" + keyPart + keyID
}

// Alias prints the ARN of an alias; name has its prefix "alias/" (spec 01 KID-01).
func (s Scope) Alias(account, name string) string {
	return Prefix + s.Partition + ":" + service + ":" + s.Region + ":" + account + ":" + name
}

// ValidAccount reports whether s is an account id: 12 digits.
func ValidAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ValidRegion reports whether s is a Region name: at most 32 characters of the pattern ^([a-z]+-){2,3}\d+$ (spec 01 KID-11).
func ValidRegion(s string) bool {
	if len(s) > 32 {
		return false
	}
	words := 0
	for {
		word, rest, more := strings.Cut(s, "-")
		if !more {
			return (words == 2 || words == 3) && word != "" && all(word, '0', '9')
		}
		if word == "" || !all(word, 'a', 'z') {
			return false
		}
		words++
		s = rest
	}
}

func all(s string, lo, hi byte) bool {
	for i := range len(s) {
		if s[i] < lo || s[i] > hi {
			return false
		}
	}
	return true
}
