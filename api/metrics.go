package api

import (
	"crypto/tls"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the edge's collectors. Counters of an operation are found without a look-up by label text on the hot path.
type Metrics struct {
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
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
		success: make(map[string]successMetrics),
	}
	for _, op := range Operations() {
		m.success[op.Name] = successMetrics{m.requests.WithLabelValues(op.Name, "OK"), m.latency.WithLabelValues(op.Name)}
	}
	return m
}

// Register adds the collectors to a registry.
func (m *Metrics) Register(r prometheus.Registerer) { r.MustRegister(m.requests, m.latency) }

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
