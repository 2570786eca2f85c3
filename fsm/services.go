package fsm

import (
	"errors"
	"strings"
)

// LevelServices is the feature level that introduced access keys of services.
const LevelServices = 2

// KindPutServiceKey is the kind of PutServiceKey.
const KindPutServiceKey Kind = 110

// ServicePrefix begins the principal of an access key that is a service's and nobody's else; the service's name follows. No user has
// a unique id of this form.
const ServicePrefix = "service/"

// PutServiceKey adds an access key of a service: an integration that calls for itself, or for others who asked it to. A service has
// at most MaxAccessKeys, and is there as long as it has one.
type PutServiceKey struct {
	AccessKey AccessKey `cbor:"1,keyasint"`
}

func isService(principal string) bool { return strings.HasPrefix(principal, ServicePrefix) }

// Kind implements Body.
func (PutServiceKey) Kind() Kind { return KindPutServiceKey }

func (c *PutServiceKey) check() error {
	name, ok := strings.CutPrefix(c.AccessKey.Principal, ServicePrefix)
	if !ok || name == "" {
		return errors.New("the access key's principal is not a service")
	}
	return c.AccessKey.check()
}

func applyPutServiceKey(t *tx, c *PutServiceKey) outcome {
	access := c.AccessKey
	switch {
	case t.account(access.Account) == nil:
		return conflict("the account does not exist")
	case t.domainKey(access.Domain) == nil:
		return conflict("the domain key version does not exist")
	case t.accessKey(access.ID) != nil:
		return stale("the access key id is taken")
	}
	n := 0
	for range t.accessKeysOf(access.Account, access.Principal) {
		n++
	}
	if n >= MaxAccessKeys {
		return stale("the service's access keys are at the quota")
	}
	access.Version = t.index
	t.put(tableAccessKeys, &access)
	return done()
}
