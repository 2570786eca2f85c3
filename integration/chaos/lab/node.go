//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/trentkms/trent/integration/ports"
)

// Node is one node: a directory, an address and, while it runs, a process.
type Node struct {
	Name   string // unique over all regions
	ID     string // the node's own
	Region *Region
	// Dir holds the node's configuration, data, audit log and what its processes wrote (log).
	Dir string
	// URL is that of the API.
	URL string
	// Retired tells that the node was removed from its region.
	Retired bool
	// LostDisk tells that a fault took data from the node's disk that it had written.
	LostDisk bool
	// Replaced tells that the node was removed and joined again with an empty disk; what it had is beside its directories.
	Replaced bool

	number                   int
	next                     bool // runs Config.Next from its next start on
	config                   string
	apiAddr, clusterAddr     string
	adminSocket, chaosSocket string
	settings                 settings
	env                      []string
	ns                       *namespace
	disk                     *disk
	proc                     *process
	paused                   atomic.Bool
	starts                   int
}

// settings are what a chaos build reads at its start.
type settings struct {
	Socket           string      `json:"socket"`
	Bugs             []string    `json:"bugs,omitempty"`
	Salt             string      `json:"salt"`
	SnapshotEntries  int         `json:"snapshotEntries,omitempty"`
	SnapshotInterval string      `json:"snapshotInterval,omitempty"`
	MinFree          int64       `json:"minFree,omitempty"`
	Ballast          int64       `json:"ballast,omitempty"`
	NoVote           bool        `json:"noVote,omitempty"`
	ClockOffset      string      `json:"clockOffset,omitempty"`
	Failpoints       []Failpoint `json:"failpoints,omitempty"`
}

// process is a program that runs.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// startProcess runs a program whose output goes to a file. It dies with the harness.
func startProcess(logFile string, env []string, name string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// newNode makes the directory, the address, the disk and the configuration of a further node.
func (r *Region) newNode(ctx context.Context) (_ *Node, err error) {
	c := r.lab.Config
	n := &Node{Region: r, number: len(r.Nodes) + 1}
	n.Name = fmt.Sprintf("r%dn%d", r.number+1, n.number)
	n.Dir = filepath.Join(c.Dir, n.Name)
	n.config = filepath.Join(n.Dir, "node.hcl")
	n.adminSocket, n.chaosSocket = filepath.Join(r.lab.short, n.Name+"-a"), filepath.Join(r.lab.short, n.Name+"-c")
	if err := os.MkdirAll(n.Dir, 0o755); err != nil {
		return nil, err
	}
	r.Nodes = append(r.Nodes, n) // from here on close takes it down
	if r.lab.net != nil {
		if n.ns, err = r.lab.net.add(n.Name); err != nil {
			return nil, err
		}
		n.apiAddr, n.clusterAddr = n.ns.ip+":7600", n.ns.ip+":7610"
	} else if n.apiAddr, n.clusterAddr, err = freeAddresses(); err != nil {
		return nil, err
	}
	n.URL = "http://" + n.apiAddr
	if n.disk, err = newDisk(c, n); err != nil {
		return nil, err
	}
	n.settings = settings{Socket: n.chaosSocket, Salt: n.Name, SnapshotEntries: c.SnapshotEntries}
	if c.SnapshotEntries > 0 {
		n.settings.SnapshotInterval = "250ms"
	}
	if c.Disk != DiskDir {
		n.settings.MinFree, n.settings.Ballast = smallMinFree, smallBallast
	}
	if len(c.BugNodes) == 0 || contains(c.BugNodes, n.number) {
		n.settings.Bugs = c.Bugs
	}
	hsm, err := n.makeHSM(ctx)
	if err != nil {
		return nil, err
	}
	return n, os.WriteFile(n.config, fmt.Appendf(nil, nodeConfig, r.Name, Account, n.DataDir(), n.adminSocket, hsm, n.apiAddr,
		n.clusterAddr, c.ElectionTimeout, n.AuditDir()), 0o600)
}

func contains(all []int, v int) bool {
	for _, x := range all {
		if x == v {
			return true
		}
	}
	return false
}

const nodeConfig = `
region       = %q
account      = %q
data_dir     = %q
admin_socket = %q
%s
listener "api" {
  address    = %q
  plain_http = true
}
cluster {
  address          = %q
  election_timeout = %q
}
audit {
  dir          = %q
  segment_size = 1048576
}
log {
  level = "debug"
}
`

// DataDir and AuditDir are the node's directories, on its disk.
func (n *Node) DataDir() string { return filepath.Join(n.disk.path, "data") }

// AuditDir is the directory of the node's audit log.
func (n *Node) AuditDir() string { return filepath.Join(n.disk.path, "audit") }

// LogFile is what the node's processes wrote to their standard error.
func (n *Node) LogFile() string { return filepath.Join(n.Dir, "log") }

// AdminSocket is the node's admin socket.
func (n *Node) AdminSocket() string { return n.adminSocket }

// freeAddresses are two loopback addresses that nobody listens on.
func freeAddresses() (a, b string, err error) {
	for _, p := range []*string{&a, &b} {
		if *p, err = ports.Address(); err != nil {
			return "", "", err
		}
	}
	return a, b, nil
}

// trent runs a command of the node's binary to its end, in the node's network.
func (n *Node) trent(ctx context.Context, args ...string) ([]byte, error) {
	name, args := n.ns.wrap(n.binary(), args)
	return run(ctx, n.env, name, args...)
}

// Start runs the node's server. It does nothing if that runs.
func (n *Node) Start() error {
	if n.Running() {
		return nil
	}
	env := n.env
	if n.Region.lab.Config.Chaos {
		file := filepath.Join(n.Dir, "chaos.json")
		if err := writeJSON(file, n.settings); err != nil {
			return err
		}
		env = append(env[:len(env):len(env)], "TRENT_CHAOS="+file)
	}
	env = append(env, "GORACE=halt_on_error=1")
	name, args := n.ns.wrap(n.binary(), []string{"server", "--config", n.config})
	p, err := startProcess(n.LogFile(), env, name, args...)
	if err != nil {
		return err
	}
	n.proc = p
	n.starts++
	n.paused.Store(false)
	return nil
}

// binary is the program of the node's next start.
func (n *Node) binary() string {
	if n.next {
		return n.Region.lab.Config.Next
	}
	return n.Region.lab.Config.Binary
}

// Binary is the program that the nodes of the region begin with.
func (r *Region) Binary() string { return r.lab.Config.Binary }

// UseNext has the node run Config.Next, or Config.Binary again, from its next start on.
func (n *Node) UseNext(next bool) { n.next = next }

// Next tells whether the node's next start is of Config.Next.
func (n *Node) Next() bool { return n.next }

// Running tells whether the node's process runs; it may be stopped by Pause.
func (n *Node) Running() bool { return n.proc != nil && n.proc.running() }

// Paused tells whether the node's process is stopped by Pause.
func (n *Node) Paused() bool { return n.paused.Load() }

// Kill ends the process as a crash of the process would (SIGKILL).
func (n *Node) Kill() {
	if n.proc != nil {
		n.proc.kill()
	}
	n.paused.Store(false)
}

// Stop ends the process as an operator would (SIGTERM), and kills it after 30 s.
func (n *Node) Stop() error {
	if !n.Running() {
		return nil
	}
	_ = n.proc.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.proc.ended:
		return nil
	case <-time.After(30 * time.Second):
		n.Kill()
		return fmt.Errorf("%s did not stop within 30 s of SIGTERM", n.Name)
	}
}

// Pause stops the process (SIGSTOP), Resume lets it go on (SIGCONT).
func (n *Node) Pause() error {
	if !n.Running() {
		return fmt.Errorf("%s does not run", n.Name)
	}
	n.paused.Store(true)
	return n.proc.cmd.Process.Signal(syscall.SIGSTOP)
}

// Resume ends a Pause.
func (n *Node) Resume() error {
	if !n.paused.Swap(false) || !n.Running() {
		return nil
	}
	return n.proc.cmd.Process.Signal(syscall.SIGCONT)
}

// Heal ends disturbances of the node itself and starts it if it is down.
func (n *Node) Heal() error {
	if n.Retired {
		return nil
	}
	err := n.Resume()
	if n.disk != nil {
		err = errors.Join(err, n.disk.heal())
	}
	n.settings.Failpoints, n.settings.ClockOffset = nil, ""
	if n.Region.lab.Config.Chaos && n.Running() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		// A node that is just ending or starting has no socket; its next start has no failpoints.
		_ = n.Disarm(ctx, "")
		_ = n.SetClock(ctx, 0)
	}
	return errors.Join(err, n.Start())
}

func (n *Node) close() error {
	n.Kill()
	if n.disk != nil {
		return n.disk.close()
	}
	return nil
}
