package cluster

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestRaftLogIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		l := newRaftLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
		l.Trace("a")
		l.Debug("b")
		l.Info("pipelining replication", "peer", "n1")
		if out.String() != "" {
			t.Fatalf("chatter: %s", out.String())
		}
		l.Info("entering leader state", "leader", "n0")
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "raft: leading") || !strings.Contains(got, "leader=n0") {
			t.Fatalf("a change of state: %s", got)
		}
		for range 100 {
			l.Error("failed to heartbeat to", "peer", "n1", "servers", hclog.Fmt("%d of %d", 1, 2), "odd")
		}
		if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `servers="1 of 2"`) {
			t.Fatalf("a repeated error: %s", got)
		}
		time.Sleep(repeatInterval)
		l.With("k", "v").Named("x").Error("failed to heartbeat to", "peer", "n1")
		if got := out.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, "repeated=99") || !strings.Contains(got, "k=v") {
			t.Fatalf("after a while: %s", got)
		}
	})
}
