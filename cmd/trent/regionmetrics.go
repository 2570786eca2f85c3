package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trentkms/trent/region"
)

// regionCollector tells how it stands with the other regions, one series for each of them.
type regionCollector struct {
	regions *region.Regions
	// staleness is for how long the home of the identities may have had others, 0 in a home.
	staleness func() time.Duration
}

var (
	peerLabel   = []string{"peer"}
	regionsDesc = struct {
		contact, reachable, members, lag, missing, untaken, untakenAge, pending, unforgotten, staleness *prometheus.Desc
	}{
		prometheus.NewDesc("trent_federation_last_contact_timestamp_seconds", "When anything proven to come from the region arrived last, by this node's clock; 0 if never.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_reachable", "1 if the region was heard lately.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_members", "Nodes of the region that are alive in the pool, this region's own among them.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_sync_lag_seconds", "Bound on the age of the oldest change of the region that is not taken over here: everything older is. It grows while the region does not answer; on the leader only.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_missing_changes", "Changed keys that the region has told of and that are not taken over here yet; on the leader only.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_untaken_changes", "Keys changed here that the region has not taken over; on the leader only.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_untaken_age_seconds", "Age of the oldest change made here that the region has not taken over, 0 if there is none; at most as long as the node leads; on the leader only.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_pending_changes", "Multi-Region keys shared with the region about which something waits for another region, counted up to 100,000; on the leader only.", peerLabel, nil),
		prometheus.NewDesc("trent_federation_unforgotten", "Of a region that was forgotten in some region: 1 for each region in which it has still to be forgotten, as far as is known here, that is this region's own name where it has to be here; 0, without a name, once it was forgotten everywhere.", []string{"peer", "in"}, nil),
		prometheus.NewDesc("trent_identity_staleness_seconds", "For how long the home of the identities may have had others than this region; 0 in a home.", nil, nil),
	}
)

// Describe implements prometheus.Collector.
func (c *regionCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{regionsDesc.contact, regionsDesc.reachable, regionsDesc.members, regionsDesc.lag, regionsDesc.missing,
		regionsDesc.untaken, regionsDesc.untakenAge, regionsDesc.pending, regionsDesc.unforgotten, regionsDesc.staleness} {
		to <- d
	}
}

// syncMetrics counts how long changes of other regions took until they were taken over, and what was sent for it.
func syncMetrics(r prometheus.Registerer) (tookOver func(peer string, delay time.Duration), carried func(peer string, sent, received int)) {
	delays := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "trent_federation_sync_delay_seconds", Help: "Time from a change in the region to its taking over here, of the oldest change of each part that was taken over; on the leader only.",
		Buckets: prometheus.ExponentialBuckets(0.004, 2.5, 14),
	}, peerLabel)
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trent_federation_sync_requests_total", Help: "Requests to the region that were answered, between leaders.",
	}, peerLabel)
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trent_federation_sync_bytes_total", Help: "Bytes of these requests (sent) and of their answers (received).",
	}, []string{"peer", "direction"})
	r.MustRegister(delays, requests, bytes)
	tookOver = func(peer string, delay time.Duration) { delays.WithLabelValues(peer).Observe(delay.Seconds()) }
	carried = func(peer string, sent, received int) {
		requests.WithLabelValues(peer).Inc()
		bytes.WithLabelValues(peer, "sent").Add(float64(sent))
		bytes.WithLabelValues(peer, "received").Add(float64(received))
	}
	return tookOver, carried
}

// Collect implements prometheus.Collector.
func (c *regionCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	to <- prometheus.MustNewConstMetric(regionsDesc.staleness, prometheus.GaugeValue, c.staleness().Seconds())
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
	for name, in := range c.regions.Unforgotten() {
		for _, region := range in {
			gauge(regionsDesc.unforgotten, 1, name, region)
		}
		if len(in) == 0 {
			gauge(regionsDesc.unforgotten, 0, name, "")
		}
	}
	for name, lag := range c.regions.Lags() {
		gauge(regionsDesc.lag, lag.Behind.Seconds(), name)
		gauge(regionsDesc.missing, float64(lag.Missing), name)
		gauge(regionsDesc.untaken, float64(lag.Untaken), name)
		gauge(regionsDesc.untakenAge, lag.UntakenAge.Seconds(), name)
		gauge(regionsDesc.pending, float64(lag.Pending), name)
	}
}
