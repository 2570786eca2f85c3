package main

import (
	"context"
	"net/http"
	"time"
)

// drain takes the node out of service so that no client notices: /readyz turns red and leadership goes to another node,
// while everything is served on for a while, one request per connection; when the load balancer has seen the red, the
// listeners close, requests under way are finished, and health is answered to the last. The error is that of storage which
// fails meanwhile: nothing may be answered then.
func (n *node) drain(listeners []*listener) error {
	n.draining.Store(true)
	delay := time.Duration(0)
	if n.cfg.Cluster != nil {
		delay = n.cfg.Cluster.Drain
	}
	n.log.Info("stopping: /readyz is red, requests are still served", "for", delay)
	began := time.Now()
	n.cluster.HandOver()
	select {
	case <-time.After(delay - time.Since(began)):
	case err := <-n.failed:
		return err
	}
	n.endStreams()
	limit, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	for _, ops := range []bool{false, true} {
		for _, l := range listeners {
			if l.ops == ops {
				if err := l.shutdown(limit); err != nil {
					n.log.Warn("requests were cut off", "error", err)
				}
			}
		}
	}
	return nil
}

// parting has every answer of a node that drains end its connection, so that clients go to another node with their next request.
func (n *node) parting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
