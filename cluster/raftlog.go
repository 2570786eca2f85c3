package cluster

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// raftLogger carries the library's log to slog, quietly: the changes of a node's state are Info, the rest of the
// library's Info is Debug, and a warning or error that repeats is written once in ten seconds with a count. What belongs to every
// start, or to a node that joins or comes back, is no warning: that another node does not answer is one once it lasts.
type raftLogger struct {
	out  *slog.Logger
	name string
	with []any
	seen *repeats
}

// peerFaultLasts is how long another node must have failed before that is a warning, peerFaultGap how long after a failure another one
// counts as the same: the library waits ever longer.
const (
	peerFaultLasts = 3 * time.Second
	peerFaultGap   = 15 * time.Second
)

const repeatInterval = 10 * time.Second

// stateChanges are the library's messages that tell of a change of the node's state.
var stateChanges = map[string]string{
	"entering leader state":                      "leading",
	"entering follower state":                    "following",
	"updating configuration":                     "changing the configuration",
	"Installed remote snapshot":                  "installed the leader's snapshot",
	"removed ourself, transitioning to follower": "removed from the configuration",
}

// peerFaults are the library's errors that tell of another node and not of this one.
var peerFaults = map[string]bool{
	"failed to appendEntries to": true, "failed to heartbeat to": true, "failed to make requestVote RPC": true,
	"failed to pipeline appendEntries": true, "failed to start pipeline replication to": true, "failed to send snapshot to": true,
	"target does not support pre-vote RPC, treating as granted": true,
}

// awayFaults are those of them that any node's start, stop or short absence brings.
var awayFaults = map[string]bool{
	"failed to appendEntries to": true, "failed to heartbeat to": true, "failed to make requestVote RPC": true,
	"failed to pipeline appendEntries": true, "failed to start pipeline replication to": true,
}

// ordinary tells the library's warnings and errors about what belongs to a node's catching up and to a change of the leader. That the log
// cannot be read is another matter.
func ordinary(msg string, args []any) bool {
	switch msg {
	case "appendEntries rejected, sending older logs", "peer has newer term, stopping replication":
		return true
	case "failed to get previous log":
		return argument(args, "error") == raft.ErrLogNotFound.Error()
	}
	return false
}

// firstElection tells that a node begins an election without having heard of any leader since its start, as the first node of a region
// and the one that starts first do. That it has lost a leader is another matter.
func firstElection(msg string, args []any) bool {
	return msg == "heartbeat timeout reached, starting election" && argument(args, "last-leader-id") == ""
}

// argument is the text of the first of some arguments that a message has.
func argument(args []any, names ...string) string {
	for i := 0; i+1 < len(args); i += 2 {
		if name, ok := args[i].(string); ok && slices.Contains(names, name) {
			return fmt.Sprint(args[i+1])
		}
	}
	return ""
}

func newRaftLogger(out *slog.Logger) *raftLogger {
	return &raftLogger{out: out, name: "raft", seen: &repeats{last: map[string]*repeat{}, runs: map[string]*run{}}}
}

// Log implements hclog.Logger.
func (l *raftLogger) Log(level hclog.Level, msg string, args ...any) {
	to, text, again := slog.LevelDebug, msg, 0
	switch {
	case ordinary(msg, args):
	case firstElection(msg, args):
		to = slog.LevelInfo
	case level >= hclog.Error && !peerFaults[msg]:
		to = slog.LevelError
	case level >= hclog.Error && awayFaults[msg] && !l.seen.lasts(msg+" "+argument(args, "peer", "target"), time.Now()):
	case level >= hclog.Error:
		to = slog.LevelWarn
	case level == hclog.Warn:
		to = slog.LevelWarn
	case level == hclog.Info:
		if t, ok := stateChanges[msg]; ok {
			to, text = slog.LevelInfo, t
		}
	}
	if !l.out.Enabled(context.Background(), to) {
		return
	}
	if to >= slog.LevelWarn {
		var ok bool
		if again, ok = l.seen.first(msg, time.Now()); !ok {
			return
		}
	}
	attrs := append(plain(l.with), plain(args)...)
	if again > 0 {
		attrs = append(attrs, "repeated", again)
	}
	l.out.Log(context.Background(), to, "raft: "+text, attrs...)
}

// plain turns hclog's lazily formatted values into text and drops a key without a value.
func plain(args []any) []any {
	out := make([]any, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		key := fmt.Sprint(args[i])
		switch v := args[i+1].(type) {
		case hclog.Format:
			if len(v) > 0 {
				out = append(out, key, fmt.Sprintf(fmt.Sprint(v[0]), v[1:]...))
			}
		case fmt.Stringer:
			out = append(out, key, v.String())
		default:
			out = append(out, key, v)
		}
	}
	return out
}

// repeats remembers which messages were written lately. The library's messages are constants, so the map stays small.
type repeats struct {
	mu   sync.Mutex
	last map[string]*repeat
	runs map[string]*run // by message and node; a region has few
}

// run is a series of failures of one kind.
type run struct{ began, last time.Time }

// lasts notes a failure and reports whether it is one of a series that lasts.
func (r *repeats) lasts(what string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.runs[what]
	if f == nil || now.Sub(f.last) > peerFaultGap {
		f = &run{began: now}
		r.runs[what] = f
	}
	f.last = now
	return now.Sub(f.began) >= peerFaultLasts
}

type repeat struct {
	at      time.Time
	skipped int
}

// first reports whether msg is to be written now, and how often it was left out since the last time.
func (r *repeats) first(msg string, now time.Time) (skipped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.last[msg]
	if e == nil {
		r.last[msg] = &repeat{at: now}
		return 0, true
	}
	if now.Sub(e.at) < repeatInterval {
		e.skipped++
		return 0, false
	}
	skipped, e.at, e.skipped = e.skipped, now, 0
	return skipped, true
}

// Trace implements hclog.Logger; what the library traces is left out.
func (l *raftLogger) Trace(string, ...any) {}

// Debug implements hclog.Logger.
func (l *raftLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }

// Info implements hclog.Logger.
func (l *raftLogger) Info(msg string, args ...any) { l.Log(hclog.Info, msg, args...) }

// Warn implements hclog.Logger.
func (l *raftLogger) Warn(msg string, args ...any) { l.Log(hclog.Warn, msg, args...) }

// Error implements hclog.Logger.
func (l *raftLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

// IsTrace implements hclog.Logger.
func (l *raftLogger) IsTrace() bool { return false }

// IsDebug implements hclog.Logger.
func (l *raftLogger) IsDebug() bool { return l.out.Enabled(context.Background(), slog.LevelDebug) }

// IsInfo implements hclog.Logger.
func (l *raftLogger) IsInfo() bool { return l.out.Enabled(context.Background(), slog.LevelInfo) }

// IsWarn implements hclog.Logger.
func (l *raftLogger) IsWarn() bool { return true }

// IsError implements hclog.Logger.
func (l *raftLogger) IsError() bool { return true }

// ImpliedArgs implements hclog.Logger.
func (l *raftLogger) ImpliedArgs() []any { return l.with }

// With implements hclog.Logger.
func (l *raftLogger) With(args ...any) hclog.Logger {
	c := *l
	c.with = append(append([]any(nil), l.with...), args...)
	return &c
}

// Name implements hclog.Logger.
func (l *raftLogger) Name() string { return l.name }

// Named implements hclog.Logger.
func (l *raftLogger) Named(name string) hclog.Logger { return l.ResetNamed(l.name + "." + name) }

// ResetNamed implements hclog.Logger.
func (l *raftLogger) ResetNamed(name string) hclog.Logger {
	c := *l
	c.name = name
	return &c
}

// SetLevel implements hclog.Logger; slog's handler decides instead.
func (l *raftLogger) SetLevel(hclog.Level) {}

// GetLevel implements hclog.Logger.
func (l *raftLogger) GetLevel() hclog.Level { return hclog.Debug }

// StandardLogger implements hclog.Logger.
func (l *raftLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.out.Handler(), slog.LevelDebug)
}

// StandardWriter implements hclog.Logger.
func (l *raftLogger) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(o).Writer()
}
