package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/trentkms/trent/api/audit"
)

// healthTimeout bounds one look at the parts of the node.
const healthTimeout = 2 * time.Second

// check is one part of the node as health sees it.
type check struct {
	name string
	err  error
}

// checks looks at the parts that a request needs: read rounds, the HSM, the audit log. That there is no leader does not make a
// node unready, or a load balancer would drain every survivor at each election. For the same reason it waits for no read round of
// its own, which a write in flight holds up until somebody leads: that the node completed one lately is enough.
func (n *node) checks(ctx context.Context) []check {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var auditErr error
	if st := n.audit.Status(); st.Level == audit.Red {
		auditErr = errors.New(strings.Join(st.Reasons, "; "))
	}
	return []check{{"membership", n.membership()}, {"read round", n.cluster.Healthy()}, {"hsm", n.module.Health(ctx)}, {"audit", auditErr}}
}

// opsHandler serves health and metrics.
func (n *node) opsHandler() http.Handler {
	r := mux.NewRouter()
	n.routeOps(r)
	return r
}

func (n *node) routeOps(r *mux.Router) {
	r.Path("/healthz").Methods(http.MethodGet, http.MethodHead).HandlerFunc(n.healthz)
	r.Path("/readyz").Methods(http.MethodGet, http.MethodHead).HandlerFunc(n.readyz)
	r.Path("/metrics").Methods(http.MethodGet).Handler(promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{}))
}

// healthz tells that the process lives; with ?verbose it says how each part is.
func (n *node) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !r.URL.Query().Has("verbose") {
		_, _ = fmt.Fprintln(w, "ok")
		return
	}
	for _, c := range n.checks(r.Context()) {
		_, _ = fmt.Fprintf(w, "%s: %s\n", c.name, word(c.err))
	}
	st := n.cluster.Status()
	_, _ = fmt.Fprintf(w, "leader: %s\napplied index: %d\nuptime: %s\n", leaderWord(st.LeaderID), st.AppliedIndex, time.Since(n.started).Round(time.Second))
}

// readyz is what a load balancer asks.
func (n *node) readyz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	var reasons []string
	if n.draining.Load() {
		reasons = append(reasons, "stopping: the node was told to end")
	}
	for _, c := range n.checks(r.Context()) {
		if c.err != nil {
			reasons = append(reasons, c.name+": "+c.err.Error())
		}
	}
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, strings.Join(reasons, "\n"))
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

func word(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

func leaderWord(id string) string {
	if id == "" {
		return "none"
	}
	return id
}
