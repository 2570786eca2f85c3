//go:build chaos

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/hsm"
)

// This build has failpoints, planted faults and a clock that can be set wrong, for the chaos harness. It must never hold real
// keys: whoever can open its socket can make it lie.

// chaosVariable names the file with the node's chaosSettings; without it nothing is disturbed.
const chaosVariable = "TRENT_CHAOS"

// chaosSettings are read at start.
type chaosSettings struct {
	// Socket is the Unix socket on which failpoints are armed.
	Socket string `json:"socket"`
	// Bugs are planted faults (package planted).
	Bugs []string `json:"bugs"`
	// Salt differs between nodes.
	Salt string `json:"salt"`
	// SnapshotEntries and SnapshotInterval make snapshots frequent.
	SnapshotEntries  uint64 `json:"snapshotEntries"`
	SnapshotInterval string `json:"snapshotInterval"`
	// MinFree and Ballast, in bytes, suit small volumes.
	MinFree int64 `json:"minFree"`
	Ballast int64 `json:"ballast"`
	// ClockOffset is added to the node's clock.
	ClockOffset string `json:"clockOffset"`
	// NoVote has the node never ask for its vote.
	NoVote bool `json:"noVote"`
	// Failpoints are armed from the start.
	Failpoints []failpoint `json:"failpoints"`
}

type disturbance struct {
	settings chaosSettings
	active   bool
	points   failpoints
	offset   atomic.Int64 // of the clock, nanoseconds
	interval time.Duration
	records  atomic.Uint64
	node     *node
}

func (d *disturbance) start(n *node) error {
	d.node = n
	path := os.Getenv(chaosVariable)
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &d.settings)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", chaosVariable, err)
	}
	d.active = true
	planted.Plant(d.settings.Bugs, d.settings.Salt)
	for _, p := range d.settings.Failpoints {
		if err := d.points.arm(p); err != nil {
			return err
		}
	}
	if s := d.settings.SnapshotInterval; s != "" {
		if d.interval, err = time.ParseDuration(s); err != nil {
			return err
		}
	}
	if s := d.settings.ClockOffset; s != "" {
		o, err := time.ParseDuration(s)
		if err != nil {
			return err
		}
		d.offset.Store(int64(o))
	}
	return d.listen(n.life, n.log)
}

// listen serves the chaos socket.
func (d *disturbance) listen(life context.Context, log *slog.Logger) error {
	if d.settings.Socket == "" {
		return nil
	}
	if err := os.Remove(d.settings.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ln, err := net.Listen("unix", d.settings.Socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /failpoints", d.armHTTP)
	mux.HandleFunc("DELETE /failpoints", func(_ http.ResponseWriter, r *http.Request) { d.points.disarm(r.URL.Query().Get("point")) })
	mux.HandleFunc("POST /clock", d.clockHTTP)
	mux.HandleFunc("GET /state", d.stateHTTP)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	context.AfterFunc(life, func() { _ = srv.Close() })
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("the chaos socket is closed", "error", err)
		}
	}()
	return nil
}

func (d *disturbance) armHTTP(w http.ResponseWriter, r *http.Request) {
	var p failpoint
	err := json.NewDecoder(r.Body).Decode(&p)
	if err == nil {
		err = d.points.arm(p)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (d *disturbance) clockHTTP(w http.ResponseWriter, r *http.Request) {
	o, err := time.ParseDuration(r.URL.Query().Get("offset"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.offset.Store(int64(o))
}

// stateHTTP tells where the node stands: the harness compares the digests of states at the same index, and counts hits.
func (d *disturbance) stateHTTP(w http.ResponseWriter, r *http.Request) {
	out := struct {
		Index, Term uint64
		Leader      bool
		LeaderID    string
		Hash        string `json:",omitempty"`
		RegionTime  time.Time
		Hits        map[string]int
	}{Hits: d.points.counts()}
	select {
	case <-d.node.opened:
		st, c := d.node.cluster.State(), d.node.cluster.Status()
		out.Index, out.Term, out.LeaderID, out.RegionTime = st.Index(), c.Term, c.LeaderID, d.node.cluster.Now()
		_, out.Leader = d.node.cluster.Leading()
		if r.URL.Query().Has("hash") {
			h := fsm.Hash(st)
			out.Hash = hex.EncodeToString(h[:])
		}
	default:
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (d *disturbance) votes() bool { return !d.settings.NoVote }

func (d *disturbance) now() time.Time { return time.Now().Add(time.Duration(d.offset.Load())) }

func (d *disturbance) module(m hsm.Module) hsm.Module {
	if !d.active {
		return m
	}
	return &disturbedModule{Module: m, points: &d.points}
}

func (d *disturbance) sink(f sinkFunc) sinkFunc {
	if !d.active {
		return f
	}
	return func(index uint64, record []byte) error {
		if err := d.points.pass(context.Background(), "audit.sink"); err != nil {
			return err
		}
		if planted.Bug(planted.DropAudit) && d.records.Add(1)%8 == 0 {
			return nil
		}
		return f(index, record)
	}
}

func (d *disturbance) cluster(cc *cluster.Config, machine *fsm.FSM) {
	if !d.active {
		return
	}
	cc.Clock = d.now
	cc.FSM = &disturbedMachine{machine, &d.points}
	if open := cc.Transport; open != nil {
		cc.Transport = func(id cluster.Identity) (raft.Transport, error) {
			t, err := open(id)
			if err != nil {
				return nil, err
			}
			return &repeatingTransport{t, &d.points}, nil
		}
	}
	cc.WrapStorage = func(s cluster.Storage) cluster.Storage {
		if planted.Bug(planted.AckBeforeSync) {
			s = newLateStorage(s)
		}
		return &disturbedStorage{s, &d.points}
	}
	if d.settings.SnapshotEntries > 0 {
		cc.SnapshotThreshold = d.settings.SnapshotEntries
	}
	if d.interval > 0 {
		cc.SnapshotInterval = d.interval
	}
	if d.settings.MinFree != 0 {
		cc.MinFree = d.settings.MinFree
	}
	if d.settings.Ballast != 0 {
		cc.Ballast = d.settings.Ballast
	}
}

func (d *disturbance) handler(h http.Handler) http.Handler {
	if !d.active {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.points.pass(r.Context(), "request") != nil {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(&lateWriter{ResponseWriter: w, r: r, points: &d.points}, r)
	})
}

// lateWriter passes the point before the first byte of an answer.
type lateWriter struct {
	http.ResponseWriter
	r      *http.Request
	points *failpoints
	passed bool
}

func (w *lateWriter) pass() {
	if !w.passed {
		w.passed = true
		if w.points.pass(w.r.Context(), "answer") != nil {
			panic(http.ErrAbortHandler) // the answer is lost, the effect stays
		}
	}
}

func (w *lateWriter) WriteHeader(code int) { w.pass(); w.ResponseWriter.WriteHeader(code) }

func (w *lateWriter) Write(b []byte) (int, error) { w.pass(); return w.ResponseWriter.Write(b) }

// Restore implements raft.FSM.
func (m *disturbedMachine) Restore(r io.ReadCloser) error {
	if err := m.points.pass(context.Background(), "snapshot.restore"); err != nil {
		return err
	}
	return m.FSM.Restore(r)
}

// disturbedMachine is the state machine with failpoints.
type disturbedMachine struct {
	*fsm.FSM
	points *failpoints
}

// ApplyBatch implements raft.BatchingFSM.
func (m *disturbedMachine) ApplyBatch(entries []*raft.Log) []any {
	_ = m.points.pass(context.Background(), "apply.before")
	out := m.FSM.ApplyBatch(entries)
	_ = m.points.pass(context.Background(), "apply.after")
	return out
}

// Snapshot implements raft.FSM.
func (m *disturbedMachine) Snapshot() (raft.FSMSnapshot, error) {
	if err := m.points.pass(context.Background(), "snapshot.persist"); err != nil {
		return nil, err
	}
	return m.FSM.Snapshot()
}
