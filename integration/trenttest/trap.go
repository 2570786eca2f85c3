package trenttest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Trap is a proxy that refuses everything and remembers what was asked of it: what a client sends there was meant for the real
// service.
type Trap struct {
	*httptest.Server
	mu     sync.Mutex
	caught []string
}

// StartTrap starts a trap. The test fails if something is caught.
func StartTrap(tb testing.TB) *Trap {
	tb.Helper()
	t := &Trap{}
	t.Server = httptest.NewServer(t)
	tb.Cleanup(func() {
		t.Close()
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, request := range t.caught {
			tb.Errorf("a request left for another service: %s", request)
		}
	})
	return t
}

// ServeHTTP refuses a request.
func (t *Trap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.caught = append(t.caught, r.Method+" "+r.URL.String()+" "+r.Host)
	w.WriteHeader(http.StatusForbidden)
}
