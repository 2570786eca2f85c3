package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

// pair are two federated regions of one process.
type pair struct {
	here, there *server
	pprof       string // address of its profiler, "" if there is none
}

// startPair starts two regions.
func (b *bench) startPair(ctx context.Context) (*pair, error) {
	data, err := b.fresh("pair")
	if err != nil {
		return nil, err
	}
	flags := []string{"dev", "--tls", "--listen", "127.0.0.1:0", "--data", data, "--regions", regionName + "," + otherRegion,
		"--access-key", accessKey, "--secret-key", secretKey}
	pprof := ""
	if b.profile != "" {
		if pprof, err = freePort(); err != nil {
			return nil, err
		}
		flags = append(flags, "--pprof", pprof)
	}
	p, err := start(ctx, exec.Command(b.trent, flags...), func(line string) bool { return strings.HasPrefix(line, "The same is in ") })
	if err != nil {
		return nil, err
	}
	regions, err := pairOf(p, data)
	if err != nil {
		_ = p.stop()
		return nil, err
	}
	regions.pprof = pprof
	return regions, nil
}

// profileFor is how long the profiles of this part are, in which less than that may happen.
const profileFor = 5 * time.Second

// profiled does f while a CPU profile of both regions is taken, if one is asked for.
func (p *pair) profiled(ctx context.Context, b *bench, what string, f func() error) error {
	if p.pprof == "" {
		return f()
	}
	saved := make(chan error, 1)
	go func() { saved <- saveProfile(ctx, p.pprof, what+"-"+b.profile, profileFor) }()
	return errors.Join(f(), <-saved)
}

func pairOf(p *process, data string) (*pair, error) {
	text, err := os.ReadFile(filepath.Join(data, "endpoints.json"))
	if err != nil {
		return nil, err
	}
	var endpoints []struct{ Region, URL string }
	if err := json.Unmarshal(text, &endpoints); err != nil {
		return nil, err
	}
	out := &pair{}
	for _, e := range endpoints {
		of := *p // the process is the same, the URL is not
		s, err := newServer("Trent in "+e.Region, &of, e.URL, filepath.Join(data, "ca.pem"))
		if err != nil {
			return nil, err
		}
		s.endpoint.signer, err = sigv4.NewSigner(sigv4.Credentials{AccessKeyID: accessKey, SecretAccessKey: []byte(secretKey)}, e.Region, "kms")
		if err != nil {
			return nil, err
		}
		if e.Region == regionName {
			out.here = s
		} else {
			out.there = s
		}
	}
	if out.here == nil || out.there == nil {
		return nil, errors.New("endpoints.json does not name both regions")
	}
	return out, nil
}

// maxCallTries bounds the tries of one call that is answered with 503.
const maxCallTries = 10

// syncConns is how many connections make the changes.
const syncConns = 16

// each does something with every key, on several connections to a server.
func each(ctx context.Context, s *server, keys []string, call func(i int, id string) (*request, error), got func(i int, answer []byte) error) error {
	var (
		next   atomic.Int64
		wg     sync.WaitGroup
		failed atomic.Pointer[error]
	)
	for range min(syncConns, len(keys)) {
		c, err := dial(ctx, s.endpoint)
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer c.close()
			for i := int(next.Add(1)) - 1; i < len(keys) && failed.Load() == nil && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				q, err := call(i, keys[i])
				var answer []byte
				for try := 1; err == nil; try++ {
					// As an SDK does: the region that is asked may be slow to answer on a busy machine.
					if answer, err = c.do(q); err != nil && try < maxCallTries && strings.Contains(err.Error(), "503") && ctx.Err() == nil {
						time.Sleep(time.Duration(try) * 200 * time.Millisecond)
						err = nil
						continue
					}
					break
				}
				if err == nil && got != nil {
					err = got(i, answer)
				}
				if err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}

// settled waits until both regions have taken over what the other one has changed, and nothing waits any more.
func (p *pair) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		done, err := p.inStep()
		if done || err != nil {
			return err
		}
		select {
		case <-time.After(settleEvery):
		case <-ctx.Done():
			return fmt.Errorf("the regions did not come into step: %w", ctx.Err())
		}
	}
}

// Times of waiting until regions are in step. To look costs a count of what is on its way.
const (
	settleEvery   = 100 * time.Millisecond
	settleTimeout = 20 * time.Minute
)

func (p *pair) inStep() (bool, error) {
	for _, s := range []*server{p.here, p.there} {
		m, err := s.metrics()
		if err != nil {
			return false, err
		}
		for name, v := range m {
			for _, prefix := range []string{"trent_federation_untaken_changes{", "trent_federation_missing_changes{", "trent_federation_pending_changes{"} {
				if strings.HasPrefix(name, prefix) && v != 0 {
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// sent counts requests and bytes between the regions from now on.
func (p *pair) sent() (func() (requests, bytes float64, err error), error) {
	count := func() (requests, bytes float64, err error) {
		for _, s := range []*server{p.here, p.there} {
			m, err := s.metrics()
			if err != nil {
				return 0, 0, err
			}
			for name, v := range m {
				switch {
				case strings.HasPrefix(name, "trent_federation_sync_requests_total{"):
					requests += v
				case strings.HasPrefix(name, "trent_federation_sync_bytes_total{"):
					bytes += v
				}
			}
		}
		return requests, bytes, nil
	}
	r0, b0, err := count()
	if err != nil {
		return nil, err
	}
	return func() (float64, float64, error) {
		r1, b1, err := count()
		return r1 - r0, b1 - b0, err
	}, nil
}
