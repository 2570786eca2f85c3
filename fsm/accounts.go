package fsm

import "errors"

func (a *Account) check() error {
	return errors.Join(checkAccount(a.ID), checkTime("CreatedAt", a.CreatedAt))
}

func (c *PutAccount) check() error { return c.Account.check() }

// applyPutAccount keeps the counters and the date of creation of an account that exists.
func applyPutAccount(t *tx, c *PutAccount) outcome {
	account := c.Account
	account.KeyCount, account.Version = 0, t.index
	if old := t.account(account.ID); old != nil {
		account.KeyCount, account.CreatedAt = old.KeyCount, old.CreatedAt
	}
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
	if t.domainKey(access.Domain) == nil {
		return conflict("the domain key version does not exist")
	}
	if old := t.accessKey(access.ID); old != nil {
		if old.Account != access.Account {
			return stale("the access key id is taken")
		}
		t.event(EventAccessKeyChanged, old.Account, old.ID, nil)
	}
	access.Version = t.index
	t.put(tableAccessKeys, &access)
	return done()
}

func (c *DeleteAccessKey) check() error { return checkName("access key id", c.ID, maxID) }

func applyDeleteAccessKey(t *tx, c *DeleteAccessKey) outcome {
	old := t.accessKey(c.ID)
	if old == nil {
		return conflict("the access key does not exist")
	}
	t.remove(tableAccessKeys, old)
	t.event(EventAccessKeyChanged, old.Account, old.ID, nil)
	return done()
}
