package fsm

import (
	"errors"
	"fmt"
)

// applyTermStart moves region time, which every command does, and gives a new leader's term its first entry.
func applyTermStart(*tx, *TermStart) outcome { return done() }

func (c *TermStart) check() error { return checkName("node id", c.Node, maxID) }

func (c *InitRegion) check() error {
	if c.Region.AuditKey != nil {
		if err := c.Region.AuditKey.check(); err != nil {
			return fmt.Errorf("audit key: %w", err)
		}
		if c.Region.AuditKey.Domain != c.DomainKey.Version {
			return errors.New("audit key is not wrapped under the region's domain key")
		}
	}
	if c.AccessKey.Account != c.Account.ID || c.AccessKey.Principal != rootPrincipal || c.AccessKey.Domain != c.DomainKey.Version {
		return errors.New("access key is not of the first account, or not sealed under the region's domain key")
	}
	return errors.Join(
		checkName("cluster id", c.Region.ClusterID, maxID),
		checkName("region", c.Region.Name, maxID),
		checkName("partition", c.Region.Partition, maxID),
		checkTime("CreatedAt", c.Region.CreatedAt),
		c.Quotas.check(), c.Account.check(), c.AccessKey.check(), c.DomainKey.check(),
	)
}

func applyInitRegion(t *tx, c *InitRegion) outcome {
	if t.d.region != nil {
		return notReady("the region is initialized already")
	}
	region, account, access, domain := c.Region, c.Account, c.AccessKey, c.DomainKey
	account = Account{ID: account.ID, CreatedAt: account.CreatedAt, Version: t.index}
	access.Version = t.index
	domain.Active = true
	domain.Wrapped = sortWrapped(domain.Wrapped)
	t.region, t.quotas = &region, &c.Quotas
	t.put(tableAccounts, &account)
	t.put(tableAccessKeys, &access)
	t.put(tableDomainKeys, &domain)
	return done()
}

func (c *SetQuotas) check() error { return c.Quotas.check() }

// check wants every quota to be set, so that a forgotten one is not taken for "none allowed". Quotas beyond what a row
// can hold would be promises that apply has to break.
func (q *Quotas) check() error {
	for _, n := range []struct {
		name        string
		value, most int
	}{
		{"KeysPerAccount", q.KeysPerAccount, maxQuota},
		{"AliasesPerKey", q.AliasesPerKey, maxQuota},
		{"TagsPerKey", q.TagsPerKey, maxTags},
		{"OnDemandRotations", q.OnDemandRotations, MaxMaterials - 1},
		{"GrantsPerKey", q.GrantsPerKey, maxQuota},
		{"PolicyBytes", q.PolicyBytes, maxPolicy},
	} {
		if n.value < 1 || n.value > n.most {
			return fmt.Errorf("quota %s is %d, 1 to %d are allowed", n.name, n.value, n.most)
		}
	}
	return nil
}

func applySetQuotas(t *tx, c *SetQuotas) outcome {
	t.quotas = &c.Quotas
	return done()
}
