package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
)

// values gathers the samples of a registry, those of counters and gauges by name, of histograms the count.
func values(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

// TestRaftMetrics: one look at the status serves all Raft metrics of a scrape.
func TestRaftMetrics(t *testing.T) {
	looks := 0
	r := prometheus.NewRegistry()
	r.MustRegister(&raftCollector{metrics: raftMetrics(), status: func() cluster.Status {
		looks++
		return cluster.Status{Term: 3, Leading: true, AppliedIndex: 17, CommitIndex: 18, Writes: 5, Entries: 40}
	}})
	looks = 0
	got := values(t, r)
	if looks != 1 {
		t.Errorf("the status was read %d times for one scrape", looks)
	}
	for name, want := range map[string]float64{
		"trent_raft_term": 3, "trent_raft_is_leader": 1, "trent_raft_applied_index": 17, "trent_raft_commit_index": 18,
		"trent_raft_log_writes_total": 5, "trent_raft_log_entries_total": 40,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: got %v, want %v", name, v, want)
		}
	}
}

// TestHSMMetrics: calls count by method and class, and all of them in the latency.
func TestHSMMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	observe := hsmMetrics(r)
	observe("Key.Sign", time.Millisecond, hsm.ClassOK)
	observe("Key.Sign", time.Millisecond, hsm.ClassOK)
	observe("Key.Sign", time.Millisecond, hsm.ErrorClass(hsm.ErrUnavailable))
	observe("Random", time.Millisecond, hsm.ErrorClass(errors.New("x")))
	got := values(t, r)
	for name, want := range map[string]float64{
		"trent_hsm_calls_total ok Key.Sign": 2, "trent_hsm_calls_total unavailable Key.Sign": 1, "trent_hsm_calls_total other Random": 1,
		"trent_hsm_call_duration_seconds Key.Sign": 3, "trent_hsm_call_duration_seconds Random": 1,
	} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
}

// TestPprofAddress: the profiler is never offered beyond this machine.
func TestPprofAddress(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "localhost", "example.com:0"} {
		if stop, err := servePprof(address); err == nil {
			stop()
			t.Errorf("%s: accepted", address)
		}
	}
	stop, err := servePprof("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop()
}

// TestExpiryMetric: a key with expiring material has the time that is left, and no other key has any.
func TestExpiryMetric(t *testing.T) {
	s := newServed(t)
	const day = 24 * time.Hour
	now := s.node.service.Now()
	d := s.node.cluster.State().ActiveDomainKey().Version
	key := func(id string, expires bool) fsm.Body {
		m := fsm.Material{ID: []byte(id), Domain: d, Blob: []byte("blob"), State: fsm.MaterialCurrent, AddedAt: now.UnixMilli()}
		if expires {
			m.Expires, m.ExpiresAt = true, now.Add(day).UnixMilli()
		}
		return &fsm.CreateKey{Key: fsm.Key{
			Account: s.file.Account, ID: id, Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "EXTERNAL", Manager: "CUSTOMER",
			CreatedAt: now.UnixMilli(), Enabled: true, Policy: "{}", Materials: []fsm.Material{m},
		}}
	}
	for _, body := range []fsm.Body{key("expires", true), key("stays", false)} {
		if res, err := s.node.cluster.Propose(t.Context(), fsm.Command{Attempt: 1, Body: body}); err != nil || res.Code != fsm.OK {
			t.Fatal(res, err)
		}
	}
	found := 0
	for name, value := range values(t, s.node.metrics) {
		if rest, ok := strings.CutPrefix(name, "trent_kms_seconds_until_key_material_expiration "); ok {
			found++
			if rest != "111122223333 expires us-east-1" || value > day.Seconds() || value < day.Seconds()-300 {
				t.Errorf("%s is %v", name, value)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d keys have the metric", found)
	}
}
