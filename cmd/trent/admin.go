package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
)

// The node's admin API: HTTP on a Unix socket that only the node's own user and root can open. trent operator is its client.

// adminTimeout bounds one request.
const adminTimeout = 60 * time.Second

// maxSocketPath is the longest path of a Unix socket on all systems (104 bytes with the end on the BSDs).
const maxSocketPath = 103

// joinTokenWish is the body of POST /v1/join-tokens.
type joinTokenWish struct {
	Life string `json:"life,omitempty"` // a duration such as 30m
}

// joinTokenGiven is its answer; the token is shown once.
type joinTokenGiven struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// adminStatus is the answer of GET /v1/status.
type adminStatus struct {
	Region       string `json:"region"`
	NodeID       string `json:"nodeId"`
	ClusterID    string `json:"clusterId"`
	Version      string `json:"version"`
	State        string `json:"state"`
	Term         uint64 `json:"term"`
	LeaderID     string `json:"leaderId"`
	Voter        bool   `json:"voter"`
	Voters       int    `json:"voters"`
	AppliedIndex uint64 `json:"appliedIndex"`
	Digest       string `json:"digest,omitempty"` // of the state at appliedIndex, if it was asked for
	// IdentityDigest is that of the identities alone, with Digest: regions that follow one home have it in common, when they are in step.
	IdentityDigest string    `json:"identityDigest,omitempty"`
	LastIndex      uint64    `json:"lastIndex"`
	RegionTime     time.Time `json:"regionTime"`
	CertUntil      time.Time `json:"certificateUntil,omitzero"`
	Health         string    `json:"health"`
	// IdentityHome is the region in which identities are decided, if that is another one, IdentitySeconds how old they may be.
	IdentityHome    string   `json:"identityHome,omitempty"`
	IdentitySeconds *float64 `json:"identityStalenessSeconds,omitempty"`
	// IdentityLimit is identity_max_staleness in seconds, 0 without one: when they are older, requests that identities sign are refused.
	IdentityLimit float64 `json:"identityMaxStalenessSeconds,omitempty"`
	// Regions are the other regions that this node knows, by state and contact.
	Regions []region.RegionInfo `json:"regions,omitempty"`
	// DomainKey is the version that wraps, Rotation the latest rotation of the domain key.
	DomainKey uint32                 `json:"domainKey,omitempty"`
	Rotation  *region.RotationStatus `json:"rotation,omitempty"`
}

// adminError is the body of every failure.
type adminError struct {
	Error string `json:"error"`
}

// serveAdmin opens the socket and serves it until the node ends. A socket that a crash has left behind is replaced; one
// that answers belongs to a running node.
func (n *node) serveAdmin() error {
	path := n.cfg.AdminSocket
	if len(path) > maxSocketPath {
		return fmt.Errorf("the path of the admin socket is longer than %d bytes; set admin_socket to a shorter one: %s", maxSocketPath, path)
	}
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return fmt.Errorf("another process serves %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("admin socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("admin socket: %w", err), ln.Close())
	}
	srv := &http.Server{
		Handler: n.adminHandler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context {
			return region.WithAsker(context.Background(), region.Asker{By: "admin socket of node " + n.cluster.Status().NodeID})
		},
	}
	context.AfterFunc(n.life, func() { _ = srv.Close() })
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			n.log.Warn("the admin socket is closed", "error", err)
		}
	}()
	return nil
}

func (n *node) adminHandler() *adminMux {
	mux := &adminMux{ServeMux: http.NewServeMux()}
	mux.HandleFunc("GET /v1/status", n.admin(n.adminStatusWith))
	mux.HandleFunc("GET /v1/members", n.admin(func(ctx context.Context, _ *http.Request) (any, error) { return n.members.List(ctx) }))
	mux.HandleFunc("DELETE /v1/members/{id}", n.admin(func(ctx context.Context, r *http.Request) (any, error) {
		if r.FormValue("dry-run") != "" {
			return struct{}{}, n.members.MayRemove(ctx, r.PathValue("id"))
		}
		return struct{}{}, n.members.Remove(ctx, r.PathValue("id"))
	}))
	mux.HandleFunc("POST /v1/join-tokens", n.admin(n.adminToken))
	mux.HandleFunc("POST /v1/step-down", n.admin(func(ctx context.Context, _ *http.Request) (any, error) { return struct{}{}, n.members.StepDown(ctx) }))
	mux.HandleFunc("POST /v1/snapshot", n.adminSnapshot)
	n.routeRegions(mux)
	n.handleDomainKeys(mux)
	n.routeAccounts(mux)
	n.routeServices(mux)
	n.routeAudit(mux)
	n.routeQuotas(mux)
	return mux
}

// admin runs one request and writes it to the operator's log: what changes something loudly, what only reads quietly.
func (n *node) admin(f func(context.Context, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
		defer cancel()
		out, err := f(ctx, r)
		n.noteAdmin(r, out, err)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(adminStatusCode(err))
			out = adminError{err.Error()}
		}
		_ = json.NewEncoder(w).Encode(out)
	}
}

func adminStatusCode(err error) int {
	if code := max(accountStatusCode(err), serviceStatusCode(err), quotaStatusCode(err)); code != 0 {
		return code
	}
	switch {
	case errors.Is(err, cluster.ErrNoSuchMember), errors.Is(err, region.ErrUnknownRegion):
		return http.StatusNotFound
	case errors.Is(err, cluster.ErrQuorum), errors.Is(err, cluster.ErrRemoved), errors.Is(err, cluster.ErrMember),
		errors.Is(err, region.ErrVanish), errors.Is(err, region.ErrHeld):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

// dryRun is an answer that tells whether anything was changed.
type dryRun interface{ OnlyTold() bool }

// noteAdmin names a dry run, which changes nothing, as one.
func (n *node) noteAdmin(r *http.Request, out any, err error) {
	level, path := slog.LevelWarn, r.URL.Path
	if d, ok := out.(dryRun); err == nil && (ok && d.OnlyTold() || r.URL.Query().Get("dry-run") != "") {
		level, path = slog.LevelInfo, path+" (dry run)"
	}
	if r.Method == http.MethodGet {
		level = slog.LevelInfo
	}
	n.log.Log(r.Context(), level, "operator request", "method", r.Method, "path", path, "outcome", word(err))
}

func (n *node) adminStatus(ctx context.Context) adminStatus {
	st := n.cluster.Status()
	s := adminStatus{
		Region: n.cfg.Region, NodeID: st.NodeID, ClusterID: st.ClusterID, Version: version, State: st.State, Term: st.Term, LeaderID: st.LeaderID,
		Voter: st.Voter, Voters: st.Voters, AppliedIndex: st.AppliedIndex, LastIndex: st.LastIndex, RegionTime: st.RegionTime.UTC(),
		Health: word(n.cluster.Healthy()), Rotation: n.members.RotationHere(),
	}
	if d := n.cluster.State().ActiveDomainKey(); d != nil {
		s.DomainKey = d.Version
	}
	if here := n.cluster.State(); here.Home() != nil {
		age := n.service.IdentityStaleness(here).Seconds()
		s.IdentityHome, s.IdentitySeconds = here.Home().Name, &age
		if n.cfg.Federation != nil {
			s.IdentityLimit = n.cfg.Federation.MaxStaleness.Seconds()
		}
	}
	if n.wire != nil {
		if c := n.wire.Credentials(); c != nil {
			s.CertUntil = c.Leaf().NotAfter
		}
		limit, cancel := context.WithTimeout(ctx, healthTimeout)
		defer cancel()
		if all, err := n.regions.List(limit); err == nil { // without a quorum the rest is still worth showing
			s.Regions = all[1:]
		}
	}
	return s
}

// adminStatusWith adds the digest of the state, if the request asks for it with ?digest=1: nodes that have applied the same index
// have the same digest. It is the digest that operator snapshot inspect shows, and costs as much as a snapshot in memory. That of the
// identities compares regions that share them.
func (n *node) adminStatusWith(ctx context.Context, r *http.Request) (any, error) {
	s := n.adminStatus(ctx)
	if r.FormValue("digest") == "" {
		return s, nil
	}
	st, err := n.service.View(ctx)
	if err != nil {
		return nil, fmt.Errorf("no digest without a read round: %w", err)
	}
	s.AppliedIndex, s.Digest, s.IdentityDigest = st.Index(), fmt.Sprintf("%x", fsm.Hash(st)), fmt.Sprintf("%x", st.IdentityDigest())
	return s, nil
}

func (n *node) adminToken(ctx context.Context, r *http.Request) (any, error) {
	var wish joinTokenWish
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&wish); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the request: %w", err)
	}
	var life time.Duration
	if wish.Life != "" {
		var err error
		if life, err = time.ParseDuration(wish.Life); err != nil || life <= 0 {
			return nil, fmt.Errorf("%q is not a duration such as 30m", wish.Life)
		}
	}
	token, expires, err := n.members.NewToken(ctx, life)
	return joinTokenGiven{token, expires}, err
}

// snapshotTimeout bounds the sending of a snapshot.
const snapshotTimeout = 30 * time.Minute

// adminSnapshot sends the region's state, encrypted. What it sends carries its own digest, so that a cut-off answer is found by
// reading it.
func (n *node) adminSnapshot(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), snapshotTimeout)
	defer cancel()
	err := n.sendSnapshot(ctx, w)
	n.noteAdmin(r, nil, err)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(adminError{err.Error()})
	}
}

// sendSnapshot fails before it has sent anything, or cuts the connection.
func (n *node) sendSnapshot(ctx context.Context, w http.ResponseWriter) error {
	if err := n.readable(ctx); err != nil {
		return err
	}
	// The record stands before the snapshot in the log, so that the audit trail since then reaches back to it.
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := n.service.RecordEvent(limit, region.OperatorEvent{Name: "SaveSnapshot"}); err != nil {
		n.log.Warn("a snapshot is saved without an audit record", "error", err)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := n.service.Backup(ctx, w, version); err != nil {
		n.log.Warn("a snapshot was not sent whole", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}
