package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/arn"
)

// Several regions in one process. Each has its own nodes, data directory, certificate authority and embedded HSM, and they are
// federated as regions of several machines are.

const (
	// regionPorts is how far the ports of one region are above those of the one before.
	regionPorts   = 10
	maxDevRegions = 9
)

// regionNames are the regions of this process.
func (o *devOptions) regionNames() ([]string, error) {
	names := strings.Split(o.regions, ",")
	seen := map[string]bool{}
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if !arn.ValidRegion(names[i]) || seen[names[i]] {
			return nil, usageError{fmt.Errorf("--regions: %q is not the name of a region, or is given twice", names[i])}
		}
		seen[names[i]] = true
	}
	if len(names) > maxDevRegions {
		return nil, usageError{fmt.Errorf("--regions: %d regions; 1 to %d are possible", len(names), maxDevRegions)}
	}
	return names, nil
}

// inRegion are the options of region i: the first region's data directory holds those of the others.
func (o *devOptions) inRegion(i int, name string) (*devOptions, error) {
	c := *o
	c.region = name
	if i > 0 {
		c.data = filepath.Join(o.data, "region-"+name)
	}
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return nil, usageError{fmt.Errorf("--listen: %w", err)}
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return nil, usageError{fmt.Errorf("--listen: port %q is not a number", port)}
	}
	if first != 0 {
		c.listen = net.JoinHostPort(host, fmt.Sprint(first+i*regionPorts))
	}
	return &c, nil
}

// runRegions runs several regions.
func (o *devOptions) runRegions(cmd *cobra.Command) error {
	if o.hsm != "embedded" {
		return usageError{errors.New("--regions needs the embedded HSM: one process cannot be logged in to several tokens")}
	}
	names, err := o.regionNames()
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("region") && o.region != names[0] {
		return usageError{errors.New("--region and --regions exclude each other")}
	}
	if err := o.shareAcrossRegions(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), groupTimeout)
	defer cancel()
	federation, err := o.startRegions(ctx, names)
	defer clear(federation.env.secret)
	if err == nil {
		err = federation.federate(ctx)
	}
	if err == nil {
		err = federation.settle(ctx)
	}
	if err == nil {
		err = federation.announce(cmd)
	}
	if err != nil {
		federation.close()
		return err
	}
	return federation.run(cmd.Context())
}

// shareAcrossRegions makes what all regions of the process have in common: the root credentials, so that one environment works
// everywhere, and the certificate of the listeners.
func (o *devOptions) shareAcrossRegions() (err error) {
	if o.data, err = filepath.Abs(o.data); err != nil {
		return err
	}
	has, err := cluster.HasNode(filepath.Join(o.data, "raft"))
	if err != nil {
		return err
	}
	if !has && o.accessKey == "" {
		id, secret := newCredentials()
		o.accessKey, o.secretKey = id, string(secret)
		clear(secret)
	}
	if o.tls {
		host, _, err := net.SplitHostPort(o.listen)
		if err != nil {
			return usageError{fmt.Errorf("--listen: %w", err)}
		}
		o.madeTLS, err = makeDevTLS(o.data, host)
		return err
	}
	return nil
}

// devFederation are the regions of this process.
type devFederation struct {
	groups    []*devGroup
	listeners [][]*listener
	env       clientEnv // the first region's
}

func (f *devFederation) close() {
	for _, g := range f.groups {
		g.close()
	}
}

// startRegions starts all regions side by side; if the credentials are in the first one's state, it goes ahead.
func (o *devOptions) startRegions(ctx context.Context, names []string) (*devFederation, error) {
	f := &devFederation{groups: make([]*devGroup, len(names)), listeners: make([][]*listener, len(names))}
	for i, name := range names {
		c, err := o.inRegion(i, name)
		if err != nil {
			return f, err
		}
		if _, err := c.several(); err != nil {
			return f, err
		}
		f.groups[i] = &devGroup{o: c}
	}
	start := func(i int) error {
		env, listeners, err := f.groups[i].start(ctx)
		if i == 0 {
			f.env = env
		} else {
			clear(env.secret)
		}
		f.listeners[i] = listeners
		if err != nil {
			err = fmt.Errorf("region %s: %w", names[i], err)
		}
		return err
	}
	from := 0
	if o.accessKey == "" {
		if err := start(0); err != nil {
			return f, err
		}
		for _, g := range f.groups[1:] {
			g.o.accessKey, g.o.secretKey = f.env.keyID, string(f.env.secret)
		}
		from = 1
	}
	var work sync.WaitGroup
	errs := make([]error, len(names))
	for i := from; i < len(names); i++ {
		work.Go(func() { errs[i] = start(i) })
	}
	work.Wait()
	return f, errors.Join(errs...)
}

// federate has every two regions federate that are not yet, as their operators would, with a token of the one for the other.
func (f *devFederation) federate(ctx context.Context) error {
	f.meet()
	for _, g := range f.groups {
		g.work()
	}
	// The keys of a region take the longest; they were begun when its first node was there.
	for _, g := range f.groups {
		<-g.prepared
	}
	for i, a := range f.groups {
		for _, b := range f.groups[i+1:] {
			if err := join2(ctx, a.nodes[0], b.nodes[0]); err != nil {
				return fmt.Errorf("federate %s with %s: %w", a.o.region, b.o.region, err)
			}
		}
	}
	return nil
}

// meet tells the nodes of each region where those of the others are now: all may have moved at once.
func (f *devFederation) meet() {
	for _, g := range f.groups {
		for _, n := range g.nodes {
			for _, other := range f.groups {
				for _, m := range other.nodes {
					if other != g {
						n.regions.Link().AddSeeds(m.wire.Advertise())
					}
				}
			}
		}
	}
}

// join2 federates the regions of two nodes.
func join2(ctx context.Context, a, b *node) (err error) {
	for range 5 { // a row may change while two others federate, and an acceptance may be cut off between the two sides
		switch ab, ba := a.federatedWith(b.cfg.Region), b.federatedWith(a.cfg.Region); {
		case ab && ba:
			return nil
		case ab: // b was begun anew, or could not take its side of the acceptance down
			a, b = b, a
		}
		var token string
		if token, _, err = a.regions.NewToken(ctx, b.cfg.Region, 0); err != nil {
			continue
		}
		if _, err = b.regions.Accept(ctx, token, false); err == nil {
			return nil
		}
	}
	return err
}

// settle makes the first region the home of the others' identities, so that one set of users works everywhere. A region that has a home, or
// identities of its own that the first one lacks, stays as it is.
func (f *devFederation) settle(ctx context.Context) error {
	home := f.groups[0].nodes[0]
	if home.cluster.State().Home() != nil {
		return nil
	}
	for _, g := range f.groups[1:] {
		n := g.nodes[0]
		if n.cluster.State().Home() != nil {
			continue
		}
		if err := home.service.ShareIdentities(ctx, n.cfg.Region, true); err != nil {
			return fmt.Errorf("share identities with %s: %w", n.cfg.Region, err)
		}
		change, err := n.service.AdoptHome(ctx, home.cfg.Region, false, false)
		for tries := 0; err != nil && !errors.Is(err, region.ErrVanish) && tries < 5; tries++ { // the regions have met a moment ago
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			change, err = n.service.AdoptHome(ctx, home.cfg.Region, false, false)
		}
		switch {
		case errors.Is(err, region.ErrVanish):
			n.log.Warn("the region keeps identities of its own, which the first region does not have; 'trent operator region home' changes that",
				"home", home.cfg.Region, "own", change.Vanish)
		case err != nil:
			return fmt.Errorf("region %s: follow the identities of %s: %w", n.cfg.Region, home.cfg.Region, err)
		}
	}
	return nil
}

func (n *node) federatedWith(name string) bool {
	o := n.cluster.State().OtherRegion(name)
	return o != nil && o.State == fsm.RegionFederated
}

// announce tells people and tools where the regions are.
func (f *devFederation) announce(cmd *cobra.Command) error {
	first := f.groups[0].nodes[0].cfg
	var all []endpoint
	var list strings.Builder
	for i, g := range f.groups {
		some := g.endpoints(f.listeners[i])
		all = append(all, some...)
		for _, e := range some {
			fmt.Fprintf(&list, "  %-16s %s\n", e.Region, e.URL)
		}
	}
	if err := writeEndpoints(first.DataDir, all); err != nil {
		return fmt.Errorf("write endpoints.json: %w", err)
	}
	path, err := f.env.write(first.DataDir) // the last: whoever waits for it finds the rest
	if err != nil {
		return fmt.Errorf("write env.sh: %w", err)
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "Trent %s serves %d federated regions, account %s:\n\n%s\n%s\nThe same is in %s; it leads to %s:\n\n  . %s\n  aws kms create-key --multi-region\n\n",
		version, len(f.groups), first.Account, list.String(), f.env.lines(), path, first.Region, path)
	return nil
}

// run serves all regions until the context ends or one fails.
func (f *devFederation) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(f.groups))
	for i, g := range f.groups {
		go func() { ended <- g.run(ctx, f.listeners[i]) }()
	}
	var errs []error
	for range f.groups {
		err := <-ended
		if err != nil {
			cancel()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
