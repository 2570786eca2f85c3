//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Snapshot saves the region's state, by way of any running node, and returns the file.
func (r *Region) Snapshot(ctx context.Context) (file string, err error) {
	file = filepath.Join(r.Nodes[0].Dir, fmt.Sprintf("snapshot-%d", time.Now().UnixNano()))
	err = errors.New("no node runs")
	for _, n := range r.Running() {
		if _, err = n.trent(ctx, "operator", "snapshot", "save", file, "--config", n.config); err == nil {
			return file, nil
		}
	}
	return "", err
}

// Kill ends all nodes of the region at once.
func (r *Region) Kill() {
	for _, n := range r.Members() {
		n.Kill()
	}
}

// Restore begins a region of which no node runs anew from a snapshot, as an operator does: the first node, with the HSM that it had and fresh
// directories, restores it with the audit logs of all nodes; the others join, empty and under new ids. What was on the disks is kept
// beside them. It says whether the audit logs were complete.
func (r *Region) Restore(ctx context.Context, file string) (complete bool, err error) {
	members := r.Members()
	args := []string{"operator", "snapshot", "restore", file}
	for _, n := range members {
		trail, err := n.clear()
		if err != nil {
			return false, err
		}
		args = append(args, "--audit-trail", trail)
	}
	first := members[0]
	hsm := filepath.Join(first.DataDir(), "hsm") // an embedded HSM; any other is elsewhere
	if _, err := os.Stat(first.former(first.DataDir(), "hsm")); err == nil {
		if err := errors.Join(os.Mkdir(first.DataDir(), 0o700), os.Rename(first.former(first.DataDir(), "hsm"), hsm)); err != nil {
			return false, err
		}
	}
	args = append(args, "--config", first.config)
	_, err = first.trent(ctx, args...)
	var exit *exec.ExitError
	if complete = err == nil; errors.As(err, &exit) && exit.ExitCode() == 3 { // such as a last record that a kill has torn
		r.lab.Config.Log("%s is restored without a complete audit trail: %v", r.Name, err)
		_, err = first.trent(ctx, append(args, "--accept-revival")...)
	}
	if err != nil {
		return false, err
	}
	id, err := os.ReadFile(filepath.Join(first.DataDir(), "node-id"))
	if err != nil {
		return false, err
	}
	first.ID = strings.TrimSpace(string(id))
	if err := errors.Join(first.Start(), first.Await(ctx)); err != nil {
		return false, err
	}
	for _, n := range members[1:] {
		if err := r.join(ctx, n, first); err != nil {
			return false, err
		}
	}
	return complete, r.AwaitVoters(ctx, len(members))
}

// clear puts the node's directories aside and returns where its audit log is.
func (n *Node) clear() (audit string, err error) {
	for _, dir := range []string{n.DataDir(), n.AuditDir()} {
		if err := os.Rename(dir, n.former(dir)); err != nil {
			return "", err
		}
	}
	n.Replaced = true
	return n.former(n.AuditDir()), nil
}

// former is where a directory of the node is, or something in it, after it was put aside.
func (n *Node) former(dir string, in ...string) string {
	return filepath.Join(append([]string{fmt.Sprintf("%s.%d", dir, n.starts)}, in...)...)
}
