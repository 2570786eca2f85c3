package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/multiregion"
)

// certificateFile holds the node's certificate and its sealed key, in the data directory.
const certificateFile = "cluster.json"

// openPort opens the port on which the node meets the others, and gives the group its way to them.
func (n *node) openPort(id string, machine *fsm.FSM, cc *cluster.Config) (err error) {
	c := n.cfg.Cluster
	n.wire, err = transport.Listen(transport.Config{
		Listen: c.Address, Advertise: c.Advertise, Logger: n.log,
		Refused:   func(peer string) error { return region.Refused(machine.State(), peer) },
		Dismissed: n.dismiss,
	})
	if err != nil {
		return err
	}
	creds, err := loadCertificate(context.Background(), n.cfg.DataDir, n.module, id)
	if err != nil {
		return err
	}
	if creds != nil {
		n.wire.SetCredentials(creds)
	}
	cc.Address, cc.Peers, cc.Forwarder, cc.UnfitThere = n.wire.Advertise(), n.wire, n.wire, n.wire.Unfit
	// The lease bears on no read; a short one makes leaders of loaded machines give up.
	cc.HeartbeatTimeout, cc.ElectionTimeout, cc.LeaseTimeout = c.Timeout, c.Timeout, c.Timeout
	cc.Transport = func(cluster.Identity) (raft.Transport, error) {
		// What the transport logs is about single connections; Raft itself says which peer it does not reach.
		return n.wire.Raft(hclog.NewNullLogger()), nil
	}
	return nil
}

// servePort begins to answer the other nodes.
func (n *node) servePort() {
	if n.wire == nil {
		return
	}
	n.wire.Handle(transport.Handlers{
		Answer: n.cluster.Answer, Propose: n.cluster.ProposeHere, Hold: n.cluster.HoldHere, Release: n.cluster.ReleaseHere,
		Unfit: n.cluster.Unfit, Call: n.members.Call, Join: n.members.Join, Member: n.members.Member,
	})
}

// dismiss notes that this node was removed from the region, as another node of it says.
func (n *node) dismiss(reason error) {
	err := error(heldError{fmt.Errorf("this node was removed from the region for good: destroy the domain key in its HSM, or the token, "+
		"unless it stays in use; to come back, empty %s and join as a new node with 'trent operator join' (%w)", n.cfg.DataDir, reason)})
	if n.removed.CompareAndSwap(nil, &err) {
		n.log.Error("removed from the region", "error", err)
		close(n.dismissed)
	}
}

// membership is nil unless the node has been told that it was removed.
func (n *node) membership() error {
	if p := n.removed.Load(); p != nil {
		return *p
	}
	return nil
}

// openRegions lets nodes of other regions meet this one.
func (n *node) openRegions() error {
	if n.wire == nil {
		return nil
	}
	var c region.RegionsConfig
	if f := n.cfg.Federation; f != nil {
		c = region.RegionsConfig{Advertise: f.Advertise, OwnAddress: f.Advertise != "", Seeds: f.Seeds}
	}
	n.regions = region.NewRegions(n.members, n.wire, c)
	tookOver, carried := syncMetrics(n.metrics)
	n.engine = multiregion.New(multiregion.Config{
		Cluster: n.cluster, Link: n.disturb.link(n.regions.Link()), Materials: n.service, Sessions: n.service, Logger: n.log,
		Ask: func(ctx context.Context, from string, question []byte) ([]byte, error) {
			return n.server.AnswerRegion(ctx, from, question)
		},
		Synchronized: api.SynchronizedRecord(n.cfg.Partition, n.cfg.Region, n.cluster.Now),
		TookOver:     tookOver, Carried: carried,
		Identities: n.service,
		Decide: func(ctx context.Context, from string, request []byte) ([]byte, error) {
			return n.server.DecideForwarded(ctx, from, request)
		},
		IdentitiesSynchronized: api.SynchronizedIdentitiesRecord(n.cfg.Region, n.cluster.Now),
	})
	n.service.Federate(n.engine)
	n.regions.SetLag(n.lags)
	if f := n.cfg.Federation; f != nil && f.Listen != "" {
		if _, err := n.wire.ListenAlso(f.Listen); err != nil {
			return fmt.Errorf("federation: %w", err)
		}
	}
	return nil
}

// maxPending bounds the counting of keys about which something waits.
const maxPending = 100_000

// lags are how far the synchronization with the other regions is, as the leader knows it.
func (n *node) lags() map[string]region.Lag {
	st := n.cluster.State()
	all := map[string]region.Lag{}
	for _, s := range n.engine.Status() {
		if s.State != fsm.RegionFederated {
			continue
		}
		all[s.Region] = region.Lag{Behind: s.Behind, Delay: s.Delay, Missing: s.Missing, Untaken: s.Untaken, UntakenAge: s.UntakenAge}
	}
	counted := 0
	for k := range st.Unsettled(fsm.KeyRef{}) {
		if counted++; counted > maxPending {
			break
		}
		for _, m := range k.Set.Members {
			if lag, ok := all[m.Region]; ok {
				lag.Pending++
				all[m.Region] = lag
			}
		}
	}
	return all
}

// keepMembership looks after the node's place among the others for as long as it lives.
func (n *node) keepMembership() {
	if n.wire != nil {
		go n.members.Keep(n.life, n.saveCertificate)
	}
}

func (n *node) saveCertificate(ctx context.Context, c *transport.Credentials, key crypto.Signer) error {
	domain := n.members.ActiveDomain()
	if domain == "" {
		return errors.New("the region is not initialized")
	}
	return saveCertificate(ctx, n.cfg.DataDir, n.module, domain, c, key)
}

func saveCertificate(ctx context.Context, dataDir string, module hsm.Module, domain string, c *transport.Credentials, key crypto.Signer) error {
	f, err := region.SealNode(ctx, module, domain, c, key)
	if err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(dataDir, certificateFile), b)
}

// loadCertificate reads what saveCertificate wrote, nil if the node has no certificate yet.
func loadCertificate(ctx context.Context, dataDir string, module hsm.Module, id string) (*transport.Credentials, error) {
	path := filepath.Join(dataDir, certificateFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var f region.NodeFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	var c *transport.Credentials
	if err == nil {
		c, err = region.OpenNode(ctx, module, id, &f)
	}
	if err != nil {
		return nil, fmt.Errorf("the node's certificate in %s: %w", path, err)
	}
	return c, nil
}
