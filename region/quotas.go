package region

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/trentkms/trent/fsm"
)

// ResourceQuota is one quota on what an account or a key can have (spec 03 B1).
type ResourceQuota struct {
	Name       string
	Value      int
	Adjustable bool
}

// quotaRow ties a quota's name to its value.
type quotaRow struct {
	name       string
	adjustable bool
	value      func(*fsm.Quotas) *int
}

// resourceQuotas is the table of the resource quotas.
var resourceQuotas = []quotaRow{
	{"KMS keys", true, func(q *fsm.Quotas) *int { return &q.KeysPerAccount }},
	{"Aliases per KMS key", true, func(q *fsm.Quotas) *int { return &q.AliasesPerKey }},
	{"Grants per KMS key", true, func(q *fsm.Quotas) *int { return &q.GrantsPerKey }},
	{"Tags per KMS key", false, func(q *fsm.Quotas) *int { return &q.TagsPerKey }},
	{"Key policy document size", false, func(q *fsm.Quotas) *int { return &q.PolicyBytes }},
	{"On-demand rotations per KMS key", false, func(q *fsm.Quotas) *int { return &q.OnDemandRotations }},
}

// ErrQuota reports a quota that cannot be set, or not to this value.
var ErrQuota = errors.New("the quota cannot be set")

// ResourceQuotas lists the resource quotas in force.
func (s *Service) ResourceQuotas(ctx context.Context) ([]ResourceQuota, error) {
	st, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	q := st.Quotas()
	list := make([]ResourceQuota, len(resourceQuotas))
	for i, r := range resourceQuotas {
		list[i] = ResourceQuota{r.name, *r.value(&q), r.adjustable}
	}
	return list, nil
}

// SetResourceQuota sets an adjustable quota for every account of the region. One below what is there removes nothing and refuses new
// resources (spec 03 QUO-07).
func (s *Service) SetResourceQuota(ctx context.Context, name string, value int) error {
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	q := st.Quotas()
	for _, r := range resourceQuotas {
		if !strings.EqualFold(r.name, name) {
			continue
		}
		if !r.adjustable {
			return fmt.Errorf("%w: %q is fixed", ErrQuota, r.name)
		}
		if value < 1 || value > maxResourceQuota {
			return fmt.Errorf("%w: %q is %d, and 1 to %d are possible", ErrQuota, r.name, value, maxResourceQuota)
		}
		*r.value(&q) = value
		return s.proposeOperator(ctx, st, &fsm.SetQuotas{Quotas: q}, OperatorEvent{Name: "SetQuota", At: s.Now(), Details: []Note{
			{"quotaName", r.name}, {"value", strconv.Itoa(value)},
		}})
	}
	return fmt.Errorf("%w: there is no quota %q", ErrQuota, name)
}

// maxResourceQuota is the largest value of a quota.
const maxResourceQuota = 10_000_000
