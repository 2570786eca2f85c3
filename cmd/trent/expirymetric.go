package main

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trentkms/trent/fsm"
)

// expiryCollector is CloudWatch's SecondsUntilKeyMaterialExpiration: a row for each key whose imported material expires, the earliest if
// it has several (spec 02 MET-01).
type expiryCollector struct {
	desc  *prometheus.Desc
	state func() *fsm.State
	now   func() time.Time
}

func newExpiryCollector(region string, state func() *fsm.State, now func() time.Time) *expiryCollector {
	return &expiryCollector{
		desc: prometheus.NewDesc("trent_kms_seconds_until_key_material_expiration",
			"Seconds until imported key material expires (SecondsUntilKeyMaterialExpiration).", []string{"account", "key_id"}, prometheus.Labels{"region": region}),
		state: state, now: now,
	}
}

// Describe implements prometheus.Collector.
func (c *expiryCollector) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector.
func (c *expiryCollector) Collect(to chan<- prometheus.Metric) {
	now := c.now()
	earliest := make(map[fsm.KeyRef]int64)
	for k, m := range c.state().DueExpiries(math.MaxInt64) {
		ref := fsm.KeyRef{Account: k.Account, ID: k.ID}
		if at, ok := earliest[ref]; !ok || m.ExpiresAt < at {
			earliest[ref] = m.ExpiresAt
		}
	}
	for ref, at := range earliest {
		left := max(0, time.UnixMilli(at).Sub(now).Seconds())
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, left, ref.Account, ref.ID)
	}
}
