package fsm

import "errors"

func (a *Account) check() error {
	return errors.Join(checkAccount(a.ID), checkTime("CreatedAt", a.CreatedAt))
}

func (c *PutAccount) check() error { return c.Account.check() }

// applyPutAccount keeps the counters and the date of creation of an account that exists.
func applyPutAccount(t *tx, c *PutAccount) outcome {
	account := c.Account
	if old := t.account(account.ID); old != nil {
		account = *old
	} else {
		account = Account{ID: account.ID, CreatedAt: account.CreatedAt}
	}
	account.Version = t.index
	t.put(tableAccounts, &account)
	return done()
}

// countKeys changes an account's number of keys. The account's version stays: it stands for the identity part, and a
// decision that read it is not touched by a new key.
func (t *tx) countKeys(account *Account, by int) {
	changed := *account
	changed.KeyCount += by
	t.put(tableAccounts, &changed)
}

func (a *AccessKey) check() error {
	if a.Domain == 0 {
		return errors.New("access key without domain key version")
	}
	return errors.Join(
		checkName("access key id", a.ID, maxID),
		checkAccount(a.Account),
		checkName("principal", a.Principal, maxPrincipal),
		checkBytes("sealed secret", a.Secret, 1, maxSecret),
		checkTime("CreatedAt", a.CreatedAt),
	)
}

func (c *PutAccessKey) check() error { return c.AccessKey.check() }

func applyPutAccessKey(t *tx, c *PutAccessKey) outcome {
	access := c.AccessKey
	if t.account(access.Account) == nil {
		return conflict("the account does not exist")
	}
	if !t.wraps(access.Domain) {
		return conflict(noDomain)
	}
	old := t.accessKey(access.ID)
	if old != nil && (old.Account != access.Account || old.Principal != access.Principal) {
		return stale("the access key id is taken")
	}
	if out := t.mayHold(&access, old == nil); !out.ok() {
		return out
	}
	if old != nil {
		t.event(EventAccessKeyChanged, old.Account, old.ID, nil)
	}
	access.Version = t.index
	t.put(tableAccessKeys, &access)
	return done()
}

// rootPrincipal is the principal of an account root user's access keys.
const rootPrincipal = "root"

// mayHold tells whether the principal of an access key exists and, for a new key, has room for it.
func (t *tx) mayHold(access *AccessKey, isNew bool) outcome {
	if access.Principal == rootPrincipal {
		return done()
	}
	user := t.identity(access.Principal)
	if user == nil || user.Type != IdentityUser || user.Account != access.Account {
		return conflict("the user does not exist")
	}
	n := 0
	for range t.accessKeysOf(access.Account, access.Principal) {
		n++
	}
	if isNew && n >= MaxAccessKeys {
		return stale("the user's access keys are at the quota")
	}
	return done()
}

func (c *SetAccessKeyStatus) check() error { return checkName("access key id", c.ID, maxID) }

func applySetAccessKeyStatus(t *tx, c *SetAccessKeyStatus) outcome {
	old := t.accessKey(c.ID)
	if old == nil {
		return conflict("the access key does not exist")
	}
	access := *old
	access.Active, access.Version = c.Active, t.index
	t.put(tableAccessKeys, &access)
	t.event(EventAccessKeyChanged, old.Account, old.ID, nil)
	return done()
}

func (c *DeleteAccessKey) check() error { return checkName("access key id", c.ID, maxID) }

func applyDeleteAccessKey(t *tx, c *DeleteAccessKey) outcome {
	old := t.accessKey(c.ID)
	if old == nil {
		return conflict("the access key does not exist")
	}
	t.remove(tableAccessKeys, old)
	t.gone(old.ref())
	t.event(EventAccessKeyChanged, old.Account, old.ID, nil)
	return done()
}
