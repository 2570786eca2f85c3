package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trentkms/trent/region"
)

// regionCollector tells how it stands with the other regions, one series for each of them.
type regionCollector struct{ regions *region.Regions }

var (
	peerLabel   = []string{"peer"}
	regionsDesc = struct{ contact, reachable, members, lag, pending *prometheus.Desc }{
		prometheus.NewDesc("trent_federation_last_contact_timestamp_seconds", "When anything proven to come from the region arrived last, by this node's clock; 0 if never.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_reachable", "1 if the region was heard lately.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_members", "Nodes of the region that are alive in the pool, this region's own among them.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_sync_lag_seconds", "How long ago everything that the region had to tell was last taken over; on the leader only.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_pending_changes", "Multi-Region keys shared with the region about which something waits for another region; on the leader only.", peerLabel, nil),
	}
)

// Describe implements prometheus.Collector.
func (c *regionCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{regionsDesc.contact, regionsDesc.reachable, regionsDesc.members, regionsDesc.lag, regionsDesc.pending} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *regionCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, peer string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, peer)
	}
	for _, p := range c.regions.Link().Peers() {
		at := 0.0
		if !p.LastContact.IsZero() {
			at = float64(p.LastContact.UnixNano()) / float64(time.Second)
		}
		gauge(regionsDesc.contact, at, p.Region)
		gauge(regionsDesc.reachable, bit(p.Reachable), p.Region)
	}
	for name, n := range c.regions.Link().Members() {
		gauge(regionsDesc.members, float64(n), name)
	}
	for name, lag := range c.regions.Lags() {
		gauge(regionsDesc.lag, lag.Behind.Seconds(), name)
		gauge(regionsDesc.pending, float64(lag.Pending), name)
	}
}
