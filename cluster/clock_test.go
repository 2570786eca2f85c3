package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestRegionTime(t *testing.T) {
	for _, tt := range []struct {
		name     string
		readings []int64
		voters   int
		want     int64
		ok       bool
	}{
		{"nobody", nil, 0, 0, false},
		{"one voter: its own", []int64{7}, 1, 7, true},
		{"one voter, silent", nil, 1, 0, false},
		{"two voters: the slower", []int64{9, 7}, 2, 7, true},
		{"two voters, one silent", []int64{9}, 2, 0, false},
		{"three voters: the median", []int64{1, 9, 7}, 3, 7, true},
		{"three voters, one far ahead", []int64{7, 8, 1 << 40}, 3, 8, true},
		{"three voters, one far behind", []int64{7, 8, 0}, 3, 7, true},
		{"three voters, one silent: the slower of two", []int64{9, 7}, 3, 7, true},
		{"four voters: three must have passed", []int64{4, 3, 2, 1}, 4, 2, true},
		{"five voters, two silent: the slowest of three", []int64{9, 7, 8}, 5, 7, true},
		{"five voters, three silent", []int64{9, 7}, 5, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := regionTime(tt.readings, tt.voters); got != tt.want || ok != tt.ok {
				t.Fatalf("%d, %v; want %d, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead time.Duration
		c := newClocks(func() time.Time { return time.Now().Add(ahead) })
		cfg := groupOf("a", "b", "c")
		now := func() int64 { return time.Now().UnixMilli() }
		region := func() int64 { return c.now(cfg, "a", 0) }

		if got := region(); got != 0 {
			t.Fatalf("with two silent voters: %d", got)
		}
		if _, ok := c.off(cfg, "a", 0); ok {
			t.Fatal("judged its own clock without a majority")
		}
		c.hear("b", now()-1000)
		if got := region(); got != now()-1000 {
			t.Fatalf("slower of two: %d, want %d", got, now()-1000)
		}
		c.hear("c", now()-500)
		if got := region(); got != now()-500 {
			t.Fatalf("median: %d, want %d", got, now()-500)
		}
		time.Sleep(2 * time.Second) // readings go on
		if got := region(); got != now()-500 {
			t.Fatalf("two seconds later: %d, want %d", got, now()-500)
		}
		at := region()
		time.Sleep(2 * clockFresh) // both have been silent for long
		if got := region(); got != at {
			t.Fatalf("without a majority it went on from %d to %d", at, got)
		}
		if got := c.now(cfg, "a", at+5000); got != at+5000 {
			t.Fatalf("behind the state's time: %d, want %d", got, at+5000)
		}
		c.hear("b", now()-60_000)
		c.hear("c", now()-60_000)
		if got := region(); got != at+5000 {
			t.Fatalf("went back to %d from %d", got, at+5000)
		}
		ahead = time.Hour
		c.hear("b", now())
		c.hear("c", now())
		if d, ok := c.off(cfg, "a", 0); !ok || d != time.Hour {
			t.Fatalf("own clock an hour ahead of two others: %v, %v", d, ok)
		}
		c.keep(raftVoters(groupOf("a", "b")))
		if _, ok := c.seen["c"]; ok || len(c.seen) != 1 {
			t.Fatal("remembers a node that is no voter")
		}
	})
}

func TestSoleVoter(t *testing.T) {
	with := func(s raft.ServerSuffrage) raft.Configuration {
		c := groupOf("a", "b")
		c.Servers[1].Suffrage = s
		return c
	}
	for _, tt := range []struct {
		cfg  raft.Configuration
		self raft.ServerID
		want bool
	}{
		{raft.Configuration{}, "a", false},
		{groupOf("a"), "a", true},
		{groupOf("a"), "b", false},
		{groupOf("a", "b"), "a", false},
		{with(raft.Nonvoter), "a", true},
		{with(raft.Nonvoter), "b", false},
	} {
		if got := soleVoter(tt.cfg, tt.self); got != tt.want {
			t.Errorf("%v for %s: %v", tt.cfg.Servers, tt.self, got)
		}
	}
}
