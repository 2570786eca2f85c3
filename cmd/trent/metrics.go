package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/hsm"
)

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// hsmMetrics counts the calls of the module by method and class of error.
func hsmMetrics(r prometheus.Registerer) hsm.Observer {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trent_hsm_calls_total", Help: "Calls of the HSM by method and class of error (ok for success).",
	}, []string{"method", "class"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "trent_hsm_call_duration_seconds", Help: "Time of calls of the HSM.", Buckets: prometheus.ExponentialBuckets(1e-6, 4, 12),
	}, []string{"method"})
	r.MustRegister(calls, latency)
	// What calls that succeed count is kept by method, since finding it by its labels costs as much as the cheaper calls do.
	type counted struct {
		ok      prometheus.Counter
		latency prometheus.Observer
	}
	var known sync.Map // method -> *counted
	return func(method string, took time.Duration, class string) {
		v, ok := known.Load(method)
		if !ok {
			v, _ = known.LoadOrStore(method, &counted{calls.WithLabelValues(method, hsm.ClassOK), latency.WithLabelValues(method)})
		}
		c := v.(*counted)
		c.latency.Observe(took.Seconds())
		if class == hsm.ClassOK {
			c.ok.Inc()
			return
		}
		calls.WithLabelValues(method, class).Inc()
	}
}

// registerNodeMetrics registers what is read from the node's parts when it is asked for.
func registerNodeMetrics(n *node) {
	gauge := func(name, help string, value func() float64) {
		n.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("trent_audit_free_bytes", "Free space on the audit log's volume.", func() float64 { return float64(n.audit.Status().Free) })
	gauge("trent_audit_red", "1 if the audit log is near to refusing or refuses.", func() float64 { return bit(n.audit.Status().Level == audit.Red) })
	gauge("trent_hsm_cached_keys", "Keys loaded in the HSM.", func() float64 { return float64(n.service.CachedKeys()) })
	n.metrics.MustRegister(newExpiryCollector(n.cfg.Region, n.cluster.State, n.service.Now))
	n.metrics.MustRegister(&raftCollector{status: n.cluster.Status, metrics: raftMetrics()})
	if n.regions != nil {
		n.metrics.MustRegister(&regionCollector{n.regions, func() time.Duration { return n.service.IdentityStaleness(n.cluster.State()) }})
	}
}

// raftMetric is one number of a node's Raft status.
type raftMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*cluster.Status) float64
}

func raftMetrics() []raftMetric {
	metric := func(kind prometheus.ValueType, name, help string, value func(*cluster.Status) float64) raftMetric {
		return raftMetric{prometheus.NewDesc("trent_raft_"+name, help, nil, nil), kind, value}
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []raftMetric{
		metric(gauge, "applied_index", "Index that the state machine has applied.", func(s *cluster.Status) float64 { return float64(s.AppliedIndex) }),
		metric(gauge, "commit_index", "Index that is committed, as this node knows it.", func(s *cluster.Status) float64 { return float64(s.CommitIndex) }),
		metric(gauge, "snapshot_index", "Index at which the newest snapshot ends.", func(s *cluster.Status) float64 { return float64(s.SnapshotIndex) }),
		metric(gauge, "term", "Current Raft term.", func(s *cluster.Status) float64 { return float64(s.Term) }),
		metric(gauge, "is_leader", "1 if this node leads its region.", func(s *cluster.Status) float64 { return bit(s.Leading) }),
		metric(gauge, "log_size_bytes", "Size of the log's file.", func(s *cluster.Status) float64 { return float64(s.LogBytes) }),
		metric(counter, "log_writes_total", "Writes of the log; each is synced twice.", func(s *cluster.Status) float64 { return float64(s.Writes) }),
		metric(counter, "log_entries_total", "Entries written to the log.", func(s *cluster.Status) float64 { return float64(s.Entries) }),
		metric(counter, "log_bytes_total", "Data in the entries written to the log.", func(s *cluster.Status) float64 { return float64(s.EntryBytes) }),
		metric(counter, "read_rounds_total", "Read rounds that succeeded.", func(s *cluster.Status) float64 { return float64(s.Rounds) }),
		metric(counter, "read_rounds_failed_total", "Read rounds that failed.", func(s *cluster.Status) float64 { return float64(s.RoundsFailed) }),
	}
}

// raftCollector reads the status once for all of its metrics, since a part of it comes from the disk.
type raftCollector struct {
	status  func() cluster.Status
	metrics []raftMetric
}

// Describe implements prometheus.Collector.
func (c *raftCollector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *raftCollector) Collect(to chan<- prometheus.Metric) {
	st := c.status()
	for _, m := range c.metrics {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&st))
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
