package config

import (
	"fmt"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/region/arn"
)

// QuotaProfile is a named set of request quotas.
type QuotaProfile struct {
	Name string `hcl:"name,label"`
	// BasedOn is the profile whose rates hold where Rates says nothing: aws, or "" for no limits.
	BasedOn string `hcl:"based_on,optional"`
	// Rates are requests per second by quota name; 0 is no limit.
	Rates map[string]float64 `hcl:"rates,optional"`
}

// awsProfile is the profile with the documented quotas; noProfile has none.
const (
	awsProfile = "aws"
	noProfile  = "none"
)

// completeQuotas makes the request quotas that the limits name.
func (f *File) completeQuotas() error {
	l := f.Limits
	setDefault(&l.QuotaProfile, noProfile)
	profiles := map[string]api.QuotaProfile{awsProfile: api.AWSQuotas(f.Region), noProfile: {}}
	for i := range f.QuotaProfiles {
		p := &f.QuotaProfiles[i]
		if _, taken := profiles[p.Name]; taken {
			return fmt.Errorf("quota_profile %q: the name is taken", p.Name)
		}
		setDefault(&p.BasedOn, noProfile)
		if p.BasedOn != awsProfile && p.BasedOn != noProfile {
			return fmt.Errorf("quota_profile %q: based_on is %q; it is \"aws\" or \"none\"", p.Name, p.BasedOn)
		}
		made, err := profiles[p.BasedOn].With(p.Rates)
		if err != nil {
			return fmt.Errorf("quota_profile %q: %w", p.Name, err)
		}
		profiles[p.Name] = made
	}
	find := func(name string) (api.QuotaProfile, error) {
		p, ok := profiles[name]
		if !ok {
			return nil, fmt.Errorf("there is no quota_profile %q; it is \"aws\", \"none\" or the name of a quota_profile block", name)
		}
		return p, nil
	}
	standard, err := find(l.QuotaProfile)
	if err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	q := &api.Quotas{Default: standard, Accounts: make(map[string]api.QuotaProfile)}
	on := len(standard) > 0
	for account, name := range l.AccountQuotaProfiles {
		if !arn.ValidAccount(account) {
			return fmt.Errorf("limits: account_quota_profiles: account %q is not 12 digits", account)
		}
		if q.Accounts[account], err = find(name); err != nil {
			return fmt.Errorf("limits: account_quota_profiles: %w", err)
		}
		on = on || len(q.Accounts[account]) > 0
	}
	if on {
		l.Quotas = q
	}
	return nil
}
