package cluster

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
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
		l.Error("failed to heartbeat to", "peer", "n1")
		time.Sleep(peerFaultLasts)
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

// TestRaftLogAtStart: what belongs to a start and to a node that joins is no warning, and what is real trouble is one at once.
func TestRaftLogAtStart(t *testing.T) {
	for _, c := range []struct {
		what string
		log  func(*raftLogger)
		want string // the level of the one line, none if empty
	}{
		{"a first election", func(l *raftLogger) {
			l.Warn("heartbeat timeout reached, starting election", "last-leader-addr", raft.ServerAddress(""), "last-leader-id", raft.ServerID(""))
		}, "INFO"},
		{"a lost leader", func(l *raftLogger) {
			l.Warn("heartbeat timeout reached, starting election", "last-leader-addr", raft.ServerAddress("a:1"), "last-leader-id", raft.ServerID("n2"))
		}, "WARN"},
		{"nobody wins", func(l *raftLogger) { l.Warn("Election timeout reached, restarting election") }, "WARN"},
		{"a node that has joined and is not up yet", func(l *raftLogger) {
			for range 29 {
				l.Error("failed to appendEntries to", "peer", raft.Server{ID: "n2"}, "error", io.EOF)
				time.Sleep(peerFaultLasts / 30)
			}
		}, ""},
		{"a node that stays away", func(l *raftLogger) {
			for range 31 {
				l.Error("failed to heartbeat to", "peer", raft.ServerAddress("a:1"), "error", io.EOF)
				time.Sleep(peerFaultLasts / 30)
			}
		}, "WARN"},
		{"two absences", func(l *raftLogger) {
			for range 2 {
				l.Error("failed to heartbeat to", "peer", raft.ServerAddress("a:1"), "error", io.EOF)
				time.Sleep(peerFaultGap + 1)
			}
		}, ""},
		{"two nodes", func(l *raftLogger) {
			for _, peer := range []raft.ServerAddress{"a:1", "a:2"} {
				l.Error("failed to heartbeat to", "peer", peer, "error", io.EOF)
				time.Sleep(peerFaultLasts)
			}
		}, ""},
		{"a snapshot that does not arrive", func(l *raftLogger) {
			l.Error("failed to send snapshot to", "peer", raft.Server{ID: "n2"}, "error", io.EOF)
		}, "WARN"},
		{"a follower that is contacted no more", func(l *raftLogger) { l.Warn("failed to contact", "server-id", raft.ServerID("n2")) }, "WARN"},
		{"a log that lacks what came before", func(l *raftLogger) {
			l.Warn("failed to get previous log", "previous-index", 11, "last-index", 0, "error", raft.ErrLogNotFound)
		}, ""},
		{"a log that cannot be read", func(l *raftLogger) { l.Warn("failed to get previous log", "error", io.ErrUnexpectedEOF) }, "WARN"},
		{"the disk", func(l *raftLogger) { l.Error("failed to commit logs", "error", io.ErrShortWrite) }, "ERROR"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out lines
			c.log(newRaftLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))))
			got := out.String()
			if c.want == "" && got != "" || c.want != "" && (strings.Count(got, "\n") != 1 || !strings.Contains(got, "level="+c.want)) {
				t.Errorf("%s: want %q, is said: %s", c.what, c.want, got)
			}
		})
	}
}
