package region

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

func use(key string, at time.Time, op string) Use {
	return Use{Account: labAccount, KeyID: key, Operation: op, At: at, EventID: "event-" + op, RequestID: "request-" + op}
}

var labTime = time.UnixMilli(1_800_000_000_000)

// TestUsageReports: what was used is reported once, the same key not again within ten minutes, and nothing is lost by waiting.
func TestUsageReports(t *testing.T) {
	u := NewUsage()
	now := labTime
	report := func() (keys []string) {
		due := u.due(now)
		for _, d := range due {
			keys = append(keys, d.last.KeyID+" "+d.last.Operation)
		}
		u.sent(due, now)
		return keys
	}
	expect := func(want ...string) {
		t.Helper()
		if got := report(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("reported %v, want %v", got, want)
		}
	}
	expect()
	u.Observe(use("b", now, "Encrypt"))
	u.Observe(use("a", now.Add(time.Millisecond), "Decrypt"))
	expect("b Encrypt", "a Decrypt") // in the order of use
	expect()
	u.Observe(use("b", now.Add(time.Second), "Sign"))
	u.Observe(use("b", now.Add(-time.Hour), "Verify")) // older: a call that ended late
	now = now.Add(usageAgain - time.Second)
	expect()
	now = now.Add(time.Second)
	expect("b Sign")
	if got, ok := u.last(fsm.KeyRef{Account: labAccount, ID: "b"}); !ok || got.Operation != "Sign" {
		t.Errorf("last use %+v", got)
	}
}

// TestUsageUsedWhileSent: a use that comes while its predecessor is on its way is reported later.
func TestUsageUsedWhileSent(t *testing.T) {
	u := NewUsage()
	u.Observe(use("a", labTime, "Encrypt"))
	due := u.due(labTime)
	u.Observe(use("a", labTime.Add(time.Second), "Decrypt"))
	u.sent(due, labTime)
	if got := u.due(labTime.Add(usageAgain)); len(got) != 1 || got[0].last.Operation != "Decrypt" {
		t.Errorf("due %d", len(got))
	}
}

// TestUsageReportsAreBounded: at most usageReportKeys at a time, those that waited longest first; the rest comes next.
func TestUsageReportsAreBounded(t *testing.T) {
	u := NewUsage()
	const keys = 3*usageReportKeys + 5
	for i := range keys {
		u.Observe(use(fmt.Sprintf("key-%05d", i), labTime.Add(time.Duration(i)*time.Millisecond), "Encrypt"))
	}
	seen := make(map[string]bool)
	for len(seen) < keys {
		due := u.due(labTime)
		if len(due) == 0 || len(due) > usageReportKeys {
			t.Fatalf("%d due, %d seen", len(due), len(seen))
		}
		if i := len(seen); due[0].last.KeyID != fmt.Sprintf("key-%05d", i) {
			t.Errorf("%s is first, not the one that waited longest", due[0].last.KeyID)
		}
		for _, d := range due {
			seen[d.last.KeyID] = true
		}
		u.sent(due, labTime)
	}
}

// TestUsageIsBounded: memory has a bound, and what was not reported is the last to go.
func TestUsageIsBounded(t *testing.T) {
	u := NewUsage()
	const most = usageShards * usageShardKeys
	for i := range most + most/8 {
		u.Observe(use(fmt.Sprintf("key-%d", i), labTime, "Encrypt"))
	}
	n := 0
	for i := range u.shards {
		if len(u.shards[i].keys) > usageShardKeys {
			t.Fatalf("a shard of %d keys", len(u.shards[i].keys))
		}
		n += len(u.shards[i].keys)
	}
	if n > most {
		t.Errorf("%d keys", n)
	}
}

// TestLastUsageMerges: a node answers with the later of what it knows itself and what the region was told.
func TestLastUsageMerges(t *testing.T) {
	l := newClockLab(t)
	other := New(Config{Partition: "aws", Region: "us-east-1", Cluster: l.node, HSM: l.service.cfg.HSM, Record: l.record})
	md := l.createKey()
	last := func(s *Service) *KeyLastUsageData {
		t.Helper()
		out, err := perform(l, "GetKeyLastUsage", func(_ *Service, ctx context.Context, c *Call, in *KeyInput) (*GetKeyLastUsageOutput, error) {
			return s.GetKeyLastUsage(ctx, c, in)
		}, &KeyInput{KeyID: md.KeyID})
		return must(l, out, err).KeyLastUsage
	}
	if got := last(l.service); got.Operation.Set || got.Timestamp.Set || got.CloudTrailEventID.Set || got.KmsRequestID.Set {
		t.Errorf("never used: %s", asJSON(got))
	}
	if _, err := l.encrypt(md.KeyID, "x"); err != nil {
		t.Fatal(err)
	}
	if got := last(l.service); got.Operation.Value != "Encrypt" || got.CloudTrailEventID.Value != "event-Encrypt" || got.KmsRequestID.Value != "request-Encrypt" {
		t.Errorf("its own use: %s", asJSON(got))
	}
	if got := last(other); got.Operation.Set {
		t.Errorf("another node, before the report: %s", asJSON(got))
	}
	if err := l.service.reportUsage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := last(other); got.Operation.Value != shape.KeyLastUsageTrackingOperation("Encrypt") {
		t.Errorf("another node, after the report: %s", asJSON(got))
	}
	other.cfg.Usage.Observe(use(md.KeyID, l.service.Now().Add(time.Second), "Decrypt"))
	if got := last(other); got.Operation.Value != "Decrypt" {
		t.Errorf("its own later use: %s", asJSON(got))
	}
	if err := l.service.reportUsage(t.Context()); err != nil { // nothing is due, nothing is proposed
		t.Fatal(err)
	}
}
