//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Region is one region and its nodes.
type Region struct {
	Name  string
	Nodes []*Node // those that were removed stay, with Retired set
	// AccessKeyID and Secret are the root credentials.
	AccessKeyID, Secret string
	// Upgrade counts the stages of the region's upgrade to Config.Next that have been made.
	Upgrade int
	// LB is the URL of the load balancer, "" if there is none.
	LB string

	lab      *Lab
	number   int
	balancer *process
}

var regionNames = []string{"eu-central-1", "eu-west-1", "us-east-1"}

func (l *Lab) newRegion(ctx context.Context, number int) (_ *Region, err error) {
	if number >= len(regionNames) {
		return nil, fmt.Errorf("there are at most %d regions", len(regionNames))
	}
	r := &Region{Name: regionNames[number], lab: l, number: number}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	first, err := r.newNode(ctx)
	if err != nil {
		return nil, err
	}
	out, err := first.trent(ctx, "operator", "init", "--format", "json", "--config", first.config)
	if err != nil {
		return nil, err
	}
	var made struct{ NodeID, AccessKeyID, SecretAccessKey string }
	if err := json.Unmarshal(out, &made); err != nil {
		return nil, err
	}
	first.ID, r.AccessKeyID, r.Secret = made.NodeID, made.AccessKeyID, made.SecretAccessKey
	if err := first.Start(); err != nil {
		return nil, err
	}
	if err := first.Await(ctx); err != nil {
		return nil, err
	}
	for len(r.Nodes) < l.Config.Nodes {
		if _, err := r.Join(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.AwaitVoters(ctx, l.Config.Nodes); err != nil {
		return nil, err
	}
	if l.Config.Balancer {
		err = r.startBalancer()
	}
	return r, err
}

func (r *Region) close() error {
	var errs []error
	if r.balancer != nil {
		r.balancer.kill()
	}
	for _, n := range r.Nodes {
		errs = append(errs, n.close())
	}
	return errors.Join(errs...)
}

// Members are the nodes that have not been removed.
func (r *Region) Members() []*Node {
	var all []*Node
	for _, n := range r.Nodes {
		if !n.Retired {
			all = append(all, n)
		}
	}
	return all
}

// Running are the members whose process runs and is not stopped.
func (r *Region) Running() []*Node {
	var all []*Node
	for _, n := range r.Members() {
		if n.Running() && !n.Paused() {
			all = append(all, n)
		}
	}
	return all
}

// Join adds a node by way of a running one and waits until it serves. It gets its vote by itself.
func (r *Region) Join(ctx context.Context) (*Node, error) { return r.add(ctx, false) }

// JoinWithoutVote is Join for a node that never gets a vote. Chaos builds only.
func (r *Region) JoinWithoutVote(ctx context.Context) (*Node, error) { return r.add(ctx, true) }

func (r *Region) add(ctx context.Context, noVote bool) (*Node, error) {
	var via *Node
	for _, n := range r.Running() {
		via = n
	}
	if via == nil {
		return nil, errors.New("no node runs that a new one could join")
	}
	n, err := r.newNode(ctx)
	if err != nil {
		return nil, err
	}
	n.settings.NoVote = noVote
	if err := r.join(ctx, n, via); err != nil {
		n.Retired = true
		return nil, err
	}
	return n, nil
}

func (r *Region) join(ctx context.Context, n, via *Node) error {
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var token []byte
	// On a loaded machine the first node of a region may not have its certificate yet, which the answer says after a while.
	err := eventually(limit, "there is a token to join with", func() (err error) {
		token, err = n.trent(limit, "operator", "join-token", "create", "--config", via.config)
		return err
	})
	if err != nil {
		return err
	}
	file := filepath.Join(n.Dir, "token")
	if err := os.WriteFile(file, token, 0o600); err != nil {
		return err
	}
	if _, err := n.trent(ctx, "operator", "join", "--config", n.config, "--token-file", file, "--via", via.clusterAddr); err != nil {
		return err
	}
	id, err := os.ReadFile(filepath.Join(n.DataDir(), "node-id"))
	if err != nil {
		return err
	}
	n.ID = strings.TrimSpace(string(id))
	if err := n.Start(); err != nil {
		return err
	}
	return n.Await(ctx)
}

// Member is a row of the leader's list of nodes.
type Member struct {
	ID           string
	Voter        bool
	Leader       bool
	Reachable    bool
	FeatureLevel int
}

// List asks the leader, by way of any running node, for the region's nodes.
func (r *Region) List(ctx context.Context) (all []Member, err error) {
	err = errors.New("no node runs")
	for _, n := range r.Running() {
		if err = n.admin(ctx, "GET", "/v1/members", &all); err == nil {
			return all, nil
		}
	}
	return nil, err
}

// AwaitVoters waits until n nodes vote and can be reached.
func (r *Region) AwaitVoters(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	return eventually(ctx, fmt.Sprintf("%d nodes vote", n), func() error {
		all, err := r.List(ctx)
		if err != nil {
			return err
		}
		voters := 0
		for _, m := range all {
			if m.Voter && m.Reachable {
				voters++
			}
		}
		if voters != n {
			return fmt.Errorf("%d voters can be reached", voters)
		}
		return nil
	})
}

// Remove takes a node out of the region for good and stops it.
func (r *Region) Remove(ctx context.Context, n *Node) error {
	err := errors.New("no other node runs")
	for _, via := range r.Running() {
		if via == n {
			continue
		}
		var none struct{}
		if err = via.admin(ctx, "DELETE", "/v1/members/"+n.ID, &none); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	n.Retired = true
	n.Kill()
	return nil
}

// Leader is the running node that leads and has opened its term; with several that believe so, the one of the highest term. nil
// if there is none now.
func (r *Region) Leader(ctx context.Context) *Node {
	var leader *Node
	var term uint64
	for _, n := range r.Running() {
		st, err := n.Status(ctx)
		if err == nil && st.LeaderID == n.ID && strings.EqualFold(st.State, "leader") && st.Term >= term {
			leader, term = n, st.Term
		}
	}
	return leader
}

// AwaitLeader waits for a leader that is none of those given.
func (r *Region) AwaitLeader(ctx context.Context, not ...*Node) (found *Node, err error) {
	err = eventually(ctx, "there is a leader", func() error {
		found = r.Leader(ctx)
		if found == nil {
			return errors.New("none")
		}
		for _, n := range not {
			if n == found {
				return fmt.Errorf("%s still", n.Name)
			}
		}
		return nil
	})
	return found, err
}

// Replace removes a node for good, takes its disk away and has it join again at the same address, under a new id. What was on the
// disk is kept beside it.
func (r *Region) Replace(ctx context.Context, n *Node) error {
	if err := r.Remove(ctx, n); err != nil {
		return err
	}
	n.Retired = false
	for _, dir := range []string{n.DataDir(), n.AuditDir()} {
		if err := os.Rename(dir, fmt.Sprintf("%s.%d", dir, n.starts)); err != nil {
			return err
		}
	}
	n.Replaced = true
	var via *Node
	for _, o := range r.Running() {
		if o != n {
			via = o
		}
	}
	if via == nil {
		return errors.New("no other node runs")
	}
	return r.join(ctx, n, via)
}
