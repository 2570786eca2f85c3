package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/hsm"
)

// Several nodes of one region in one process. Each has its own data directory, embedded HSM, log, ports and certificate, and
// they meet over TLS as nodes on several machines do.

const (
	devElection = time.Second
	// clusterPorts is how far above the API's ports the nodes' own ports are.
	clusterPorts = 100
	maxDevNodes  = 9
	// groupTimeout bounds the start of all nodes.
	groupTimeout = 2 * time.Minute
)

// endpoint is one row of endpoints.json.
type endpoint struct {
	Region string `json:"region"`
	Node   string `json:"node"`
	URL    string `json:"url"`
}

// writeEndpoints tells tools where the nodes are.
func writeEndpoints(dataDir string, all []endpoint) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(dataDir, "endpoints.json"), append(b, '\n'))
}

// devDir is the data directory of node i: the first one's holds those of the others, so that a region of one can grow.
func devDir(base string, i int) string {
	if i == 0 {
		return base
	}
	return filepath.Join(base, fmt.Sprint("node-", i+1))
}

// devNodesIn counts the nodes that a data directory holds.
func devNodesIn(base string) (n int, err error) {
	for n < maxDevNodes {
		has, err := cluster.HasNode(filepath.Join(devDir(base, n), "raft"))
		if err != nil || !has {
			return n, err
		}
		n++
	}
	return n, nil
}

// nodeConfig is the configuration of node i.
func (o *devOptions) nodeConfig(i int) (*config.File, error) {
	c := *o
	c.data = devDir(o.data, i)
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return nil, usageError{fmt.Errorf("--listen: %w", err)}
	}
	first, err := strconv.Atoi(port)
	if err != nil || first+clusterPorts+maxDevNodes > 65535 {
		return nil, usageError{fmt.Errorf("--listen: port %q leaves no room for the ports of the nodes", port)}
	}
	address := ""
	if first != 0 {
		c.listen = net.JoinHostPort(host, fmt.Sprint(first+i))
		address = net.JoinHostPort("127.0.0.1", fmt.Sprint(first+clusterPorts+i))
	}
	f, err := c.config()
	if err != nil {
		return nil, err
	}
	// A node that began at another address stays there: its region knows it by that.
	if kept := filepath.Join(f.DataDir, addressFile); address == "" || exists(kept) {
		if address, err = keptAddress(kept); err != nil {
			return nil, err
		}
	}
	f.Cluster = &config.Cluster{Address: address, Timeout: devElection}
	return f, nil
}

// addressFile holds the address of a node's own port, in the data directory, where it was drawn.
const addressFile = "cluster-address"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keptAddress is a loopback address that was free at the first start and stays the node's.
func keptAddress(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		return "", err
	}
	return address, writeDurably(path, []byte(address+"\n"))
}

// devGroup are the nodes of this process.
type devGroup struct {
	o     *devOptions
	nodes []*node
	log   *slog.Logger
	// modules are the open HSMs of nodes that are to join, by the node's number; to open one takes long.
	modules map[int]hsm.Module
	// prepared ends when the first node has tried to make what its region is described by; nil without other regions.
	prepared chan struct{}
}

func (g *devGroup) close() {
	for _, n := range g.nodes {
		n.close(context.Background())
	}
	for _, m := range g.modules {
		_ = m.Close()
	}
}

// runNodes runs a region of several nodes.
func (o *devOptions) runNodes(cmd *cobra.Command) error {
	if o.hsm != "embedded" {
		return usageError{errors.New("--nodes needs the embedded HSM: one process cannot be logged in to several tokens")}
	}
	g := &devGroup{o: o}
	ctx, cancel := context.WithTimeout(cmd.Context(), groupTimeout)
	defer cancel()
	env, listeners, err := g.start(ctx)
	if err != nil {
		g.close()
		return err
	}
	defer clear(env.secret)
	first := g.nodes[0].cfg
	var path string
	if err = writeEndpoints(first.DataDir, g.endpoints(listeners)); err == nil {
		path, err = env.write(first.DataDir)
	}
	if err != nil {
		g.close()
		return err
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "Trent %s serves region %s, account %s with %d nodes; the first is on %s\n\n%s\nThe same is in %s:\n\n  . %s\n  aws kms create-key\n\n",
		version, first.Region, first.Account, len(g.nodes), env.endpoint, env.lines(), path, path)
	g.work()
	return g.run(cmd.Context(), listeners)
}

// work starts what the nodes do without being asked.
func (g *devGroup) work() {
	for _, n := range g.nodes {
		n.work()
	}
}

// start starts the nodes that are there, makes the region if it is new, and lets those that are missing join.
func (g *devGroup) start(ctx context.Context) (env clientEnv, listeners []*listener, err error) {
	have, err := devNodesIn(g.o.data)
	if err != nil {
		return env, nil, err
	}
	made := g.openHSMs(ctx, max(have, 1))
	defer made() // nothing goes on in the data directories after a failure
	for i := range max(have, 1) {
		if err := g.open(i, have == 0); err != nil {
			return env, nil, err
		}
	}
	if env, err = g.region(ctx); err != nil {
		return env, nil, err
	}
	if g.o.regions != "" {
		g.prepared = make(chan struct{})
		go func() {
			defer close(g.prepared)
			_ = g.nodes[0].regions.Prepare(ctx) // what fails here fails again when the regions federate
		}()
	}
	made()
	for i := len(g.nodes); i < g.o.nodes; i++ {
		if err := g.join(ctx, i); err != nil {
			return env, nil, fmt.Errorf("node %d: %w", i+1, err)
		}
	}
	for i, n := range g.nodes {
		l, err := g.serve(ctx, n)
		if err != nil {
			return env, nil, fmt.Errorf("node %d: %w", i+1, err)
		}
		listeners = append(listeners, l)
	}
	env.endpoint, env.host = endpointURL(listeners[0].Addr(), g.o.tls)
	return env, listeners, g.awaitVoters(ctx)
}

// open opens node i, which is there or begins a region.
func (g *devGroup) open(i int, bootstrap bool) error {
	cfg, err := g.o.nodeConfig(i)
	if err != nil {
		return err
	}
	module := g.modules[i]
	delete(g.modules, i) // it is the node's from here on
	n, err := openNodeWith(cfg, filepath.Join(cfg.DataDir, "raft"), newLogger(cfg.Log).With("dev", g.o.name(i)), bootstrap, module)
	if err != nil {
		return err
	}
	g.log = n.log
	g.nodes = append(g.nodes, n)
	n.keepMembership()
	return nil
}

// name is what node i is called in the log of a process with several.
func (o *devOptions) name(i int) string {
	if o.regions == "" {
		return fmt.Sprint(i + 1)
	}
	return fmt.Sprintf("%s/%d", o.region, i+1)
}

// openHSMs opens the HSMs of nodes that are to join and has them make their transport keys, side by side and while the first node starts:
// it takes the longest of what a new node does. What fails here fails again when the node joins. The function that it returns waits.
func (g *devGroup) openHSMs(ctx context.Context, from int) (wait func()) {
	var work sync.WaitGroup
	var mu sync.Mutex
	g.modules = map[int]hsm.Module{}
	for i := from; i < g.o.nodes; i++ {
		work.Go(func() {
			cfg, err := g.o.nodeConfig(i)
			if err != nil || os.MkdirAll(cfg.DataDir, 0o700) != nil {
				return
			}
			module, err := openHSM(cfg, true, newLogger(cfg.Log))
			if err != nil {
				return
			}
			_, _ = module.Transport(ctx)
			mu.Lock()
			defer mu.Unlock()
			g.modules[i] = module
		})
	}
	return work.Wait
}

// region makes the region if it is new, and finds the credentials.
func (g *devGroup) region(ctx context.Context) (env clientEnv, err error) {
	n := g.nodes[0]
	if err := n.readable(ctx); err != nil {
		return env, err
	}
	env.region = n.cfg.Region
	if env.keyID, env.secret, err = g.o.credentials(ctx, n); err != nil {
		return env, err
	}
	if g.o.tls {
		env.caFile = filepath.Join(n.cfg.DataDir, "ca.pem")
		if g.o.madeTLS != nil {
			env.caFile = g.o.madeTLS.caFile
		}
	}
	return env, nil
}

// join makes node i a node of the region, as trent operator join does.
func (g *devGroup) join(ctx context.Context, i int) error {
	cfg, err := g.o.nodeConfig(i)
	if err != nil {
		return err
	}
	first := g.nodes[0]
	if err := first.awaitCertificate(ctx); err != nil {
		return err
	}
	text, _, err := first.members.NewToken(ctx, 0)
	if err != nil {
		return err
	}
	token, err := transport.ParseJoinToken(text)
	if err != nil {
		return err
	}
	module := g.modules[i]
	if module == nil {
		if module, err = openHSM(cfg, true, newLogger(cfg.Log)); err != nil {
			return err
		}
		g.modules[i] = module
	}
	if err := joinRegionWith(ctx, cfg, module, token, first.wire.Advertise(), false); err != nil {
		return err
	}
	return g.open(i, false)
}

// awaitCertificate waits until the node can be talked to.
func (n *node) awaitCertificate(ctx context.Context) error {
	return poll(ctx, "the node got no certificate", func() bool { return n.wire.Credentials() != nil })
}

// poll waits for a condition that other goroutines bring about.
func poll(ctx context.Context, otherwise string, ok func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", otherwise, ctx.Err())
		}
	}
	return nil
}

// serve opens the API of one node.
func (g *devGroup) serve(ctx context.Context, n *node) (*listener, error) {
	if err := n.ready(ctx); err != nil {
		return nil, err
	}
	if err := n.serveAdmin(); err != nil {
		n.log.Warn("trent operator cannot reach this node", "error", err)
	}
	return open(n.cfg.Listeners[0], n.devHandler(), n.log)
}

// awaitVoters waits until every node has its vote, so that any of them can be killed.
func (g *devGroup) awaitVoters(ctx context.Context) error {
	return poll(ctx, "not every node got its vote", func() bool {
		for _, n := range g.nodes {
			if st := n.cluster.Status(); !st.Voter || st.Voters < len(g.nodes) {
				return false
			}
		}
		return true
	})
}

func (g *devGroup) endpoints(listeners []*listener) (all []endpoint) {
	for i, n := range g.nodes {
		url, _ := endpointURL(listeners[i].Addr(), g.o.tls)
		all = append(all, endpoint{n.cfg.Region, n.cluster.Identity().NodeID, url})
	}
	return all
}

// run serves all nodes until the context ends or one fails.
func (g *devGroup) run(ctx context.Context, listeners []*listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(g.nodes))
	for i, n := range g.nodes {
		go func() { ended <- n.run(ctx, listeners[i]) }()
	}
	var errs []error
	for range g.nodes {
		err := <-ended
		if err != nil {
			cancel() // one that failed must not go on, and the region of this process ends with it
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
