package workload

import (
	"context"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
	"github.com/trentkms/trent/integration/chaos/report"
)

// TestWholeCluster runs every workload against three nodes without faults: nothing is found, hardly an outcome is unknown, and each
// did enough to have found something. TRENT_WORKLOAD_SECONDS sets the length, TRENT_WORKLOAD names one, and TRENT_WORKLOAD_KILLS has
// so many nodes killed and restarted, one after the other: then outcomes are unknown, and still nothing is found.
func TestWholeCluster(t *testing.T) {
	length := 4
	if s, err := strconv.Atoi(os.Getenv("TRENT_WORKLOAD_SECONDS")); err == nil {
		length = s
	}
	kills, _ := strconv.Atoi(os.Getenv("TRENT_WORKLOAD_KILLS"))
	timeout := 20 * time.Second // a machine that is busy otherwise is no fault
	if kills > 0 {
		timeout = 3 * time.Second
	}
	target, restart := startCluster(t, timeout)
	var last notebook
	target.Record = last.rec
	var book notebook
	all := All()
	if name := os.Getenv("TRENT_WORKLOAD"); name != "" {
		all = []Workload{ByName(name), Audit()}
	}
	for _, w := range all {
		if err := w.Setup(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
	from := target.Clock.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(length)*time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for _, w := range all {
		for client := range 3 {
			clients.Go(func() { w.Run(ctx, client, rand.New(rand.NewSource(int64(client))), target, book.rec) })
		}
	}
	for i := range kills {
		time.Sleep(time.Second)
		begin := time.Now()
		restart(i % 3)
		t.Logf("restarted after %v", time.Since(begin).Round(time.Millisecond))
	}
	clients.Wait()
	to := target.Clock.Now()
	for _, w := range all {
		begin := time.Now()
		anomalies := w.Check(t.Context(), target, append(book.ops, last.ops...))
		t.Logf("%s: judged in %v", w.Name(), time.Since(begin).Round(time.Millisecond))
		for _, a := range anomalies {
			t.Errorf("%s\n%v", a, a.Ops)
		}
		switch w.Name() {
		case check.AuditName, check.DigestsName, check.RegionsName, check.IdentitiesName: // of several regions, or without operations
			continue
		}
		if err := check.Floor(book.ops, w.Name(), from, to, 3); err != nil {
			t.Error(err)
		}
	}
	counts := make(map[string]map[history.Outcome]int)
	for _, op := range book.ops {
		if counts[op.Workload] == nil {
			counts[op.Workload] = make(map[history.Outcome]int)
		}
		counts[op.Workload][op.Outcome]++
	}
	if total := report.Total(book.ops); kills == 0 && 20*(total.Unknown+total.Failed) > total.Total() {
		t.Errorf("%+v without a fault", total)
	}
	t.Logf("%v", counts)
	for _, o := range report.Outages(book.ops, from, to) {
		t.Logf("%s answered nobody for %v", o.Node, o.Length().Round(time.Millisecond))
	}
}
