package api

import (
	"crypto/tls"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trentkms/trent/api/throttle"
)

// Metrics are the edge's collectors. Counters of an operation are found without a look-up by label text on the hot path.
type Metrics struct {
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	// quota and limits show the use of request quotas (spec 02 MET-14); refused counts requests for which their account had no place.
	quota   *prometheus.CounterVec
	limits  *prometheus.GaugeVec
	refused *prometheus.CounterVec
	// success holds the two collectors of a success for each operation, since nearly every request is one.
	success map[string]successMetrics
}

type successMetrics struct {
	count   prometheus.Counter
	latency prometheus.Observer
}

// NewMetrics makes the collectors; Register hands them to a registry.
func NewMetrics() *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trent_requests_total", Help: "Calls by operation and error name (OK for success).",
		}, []string{"operation", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "trent_request_duration_seconds", Help: "Time from the request's headers to its answer.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 18),
		}, []string{"operation"}),
		quota: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trent_quota_requests_total", Help: "Requests counted against a request quota, by account, quota and outcome (granted, throttled).",
		}, []string{"account", "quota", "outcome"}),
		limits: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "trent_quota_limit", Help: "Request quotas in use, in requests per second for the whole region.",
		}, []string{"account", "quota"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "trent_inflight_refused_total", Help: "Requests answered 503 because their account had its part of the requests in flight.",
		}, []string{"account"}),
		success: make(map[string]successMetrics),
	}
	for _, op := range Operations() {
		m.success[op.Name] = successMetrics{m.requests.WithLabelValues(op.Name, "OK"), m.latency.WithLabelValues(op.Name)}
	}
	return m
}

// Register adds the collectors to a registry.
func (m *Metrics) Register(r prometheus.Registerer) {
	r.MustRegister(m.requests, m.latency, m.quota, m.limits, m.refused)
}

func (m *Metrics) crowded(account string) { m.refused.WithLabelValues(account).Inc() }

// counted counts a request against a quota.
func (m *Metrics) counted(account, quota string, limit throttle.Limit, granted bool) {
	outcome := "granted"
	if !granted {
		outcome = "throttled"
	}
	m.quota.WithLabelValues(account, quota, outcome).Inc()
	m.limits.WithLabelValues(account, quota).Set(limit.Rate())
}

func (m *Metrics) count(operation, code string, took time.Duration) {
	if s, ok := m.success[operation]; ok && code == "OK" {
		s.count.Inc()
		s.latency.Observe(took.Seconds())
		return
	}
	m.requests.WithLabelValues(operation, code).Inc()
	m.latency.WithLabelValues(operation).Observe(took.Seconds())
}

// tlsVersion is the name of a TLS version as audit records have it.
func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return tls.VersionName(v)
}

// cipherSuite is the name of a cipher suite as audit records have it. The library makes the list of all suites to find one, so that
// those of TLS 1.3 are named here.
func cipherSuite(id uint16) string {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256:
		return "TLS_AES_128_GCM_SHA256"
	case tls.TLS_AES_256_GCM_SHA384:
		return "TLS_AES_256_GCM_SHA384"
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		return "TLS_CHACHA20_POLY1305_SHA256"
	}
	return tls.CipherSuiteName(id)
}
