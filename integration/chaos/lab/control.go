//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Failpoint is what happens where a node of a chaos build passes a point; cmd/trent says which there are.
type Failpoint struct {
	Point  string  `json:"point"`
	Do     string  `json:"do"` // kill, stop, sleep, hold, fail, repeat
	For    string  `json:"for,omitempty"`
	Errno  string  `json:"errno,omitempty"`
	Skip   int     `json:"skip,omitempty"`
	Times  int     `json:"times,omitempty"`
	Chance float64 `json:"chance,omitempty"`
}

// Status is what a node says of itself.
type Status struct {
	NodeID, State, LeaderID string
	Term                    uint64
	AppliedIndex, LastIndex uint64
	Voters                  int
}

// State is what a node of a chaos build says of itself.
type State struct {
	Index, Term uint64
	Leader      bool
	LeaderID    string
	Hash        string
	RegionTime  time.Time
	Hits        map[string]int // failpoints that were met: "store.before sleep"
}

// Status asks the node's admin socket.
func (n *Node) Status(ctx context.Context) (s Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s, n.admin(ctx, http.MethodGet, "/v1/status", &s)
}

// StepDown has the leader give leadership away, by way of this node.
func (n *Node) StepDown(ctx context.Context) error {
	var none struct{}
	return n.admin(ctx, http.MethodPost, "/v1/step-down", &none)
}

// errUnknownPath is what an admin socket answers that does not know a request.
var errUnknownPath = errors.New("the node does not know the request")

// HaveDomainKeyRotation says why the region's domain key cannot be rotated, nil if it can.
func (n *Node) HaveDomainKeyRotation(ctx context.Context) error {
	var any any
	if err := n.admin(ctx, http.MethodGet, "/v1/domain-key/rotation", &any); errors.Is(err, errUnknownPath) {
		return err
	}
	return nil
}

// RotateDomainKey begins a rotation of the region's domain key, by way of this node.
func (n *Node) RotateDomainKey(ctx context.Context) error {
	var plan any
	return ask(ctx, n.adminSocket, http.MethodPost, "/v1/domain-key/rotation", struct{}{}, &plan)
}

func (n *Node) admin(ctx context.Context, method, path string, out any) error {
	return ask(ctx, n.adminSocket, method, path, nil, out)
}

// controlTimeout bounds a request to a chaos socket, which is answered at once by a process that runs.
const controlTimeout = 15 * time.Second

// control asks the node's chaos socket.
func (n *Node) control(ctx context.Context, method, path string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	return ask(ctx, n.chaosSocket, method, path, body, out)
}

// Arm arms a failpoint.
func (n *Node) Arm(ctx context.Context, p Failpoint) error {
	return n.control(ctx, http.MethodPost, "/failpoints", p, nil)
}

// ArmAtStart arms a failpoint at the node's next start.
func (n *Node) ArmAtStart(p Failpoint) { n.settings.Failpoints = append(n.settings.Failpoints, p) }

// Disarm disarms the failpoints of a point, all of them if it is "", and lets go who is held there.
func (n *Node) Disarm(ctx context.Context, point string) error {
	return n.control(ctx, http.MethodDelete, "/failpoints?point="+url.QueryEscape(point), nil, nil)
}

// SetClock sets how far the node's clock is off, also for its next starts.
func (n *Node) SetClock(ctx context.Context, off time.Duration) error {
	n.settings.ClockOffset = off.String()
	return n.control(ctx, http.MethodPost, "/clock?offset="+off.String(), nil, nil)
}

// State asks the node's chaos socket; hash asks for the digest of its state too.
func (n *Node) State(ctx context.Context, hash bool) (s State, err error) {
	path := "/state"
	if hash {
		path += "?hash=1"
	}
	return s, n.control(ctx, http.MethodGet, path, nil, &s)
}

// ask sends one request to a Unix socket.
func ask(ctx context.Context, socket, method, path string, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://node"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	resp, err := (&http.Client{Transport: t}).Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusNotFound && !bytes.HasPrefix(bytes.TrimSpace(answer), []byte("{")) {
		return errUnknownPath
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// Await waits until the node serves: its API answers and it knows of a leader. It does not wait for a process that has ended.
func (n *Node) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	return eventually(ctx, n.Name+" serves", func() error {
		if !n.Running() {
			cancel() // waiting changes nothing
			return errors.New("its process has ended")
		}
		c, err := net.DialTimeout("tcp", n.apiAddr, time.Second)
		if err != nil {
			return err
		}
		_ = c.Close()
		st, err := n.Status(ctx)
		if err != nil {
			return err
		}
		if st.LeaderID == "" {
			return errors.New("it knows of no leader")
		}
		return nil
	})
}
