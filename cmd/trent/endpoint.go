package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/cmd/trent/config"
)

// endpointPolicyEvery is how often the file of an endpoint policy is looked at.
const endpointPolicyEvery = time.Second

// newEndpoint makes what a listener of the API says of its requests. Its policy is read again when the file changes, for as long as
// the context lasts; a file that cannot be read or is no policy leaves the old one in force, loudly.
func newEndpoint(ctx context.Context, l *config.Listener, log *slog.Logger) (*api.Endpoint, error) {
	e := &api.Endpoint{VpceID: l.EndpointID, VpcID: l.VpcID, Secure: l.TLSBefore}
	if l.EndpointPolicyFile == "" {
		return e, nil
	}
	f := policyFile{path: l.EndpointPolicyFile, endpoint: e}
	if err := f.load(); err != nil {
		return nil, fmt.Errorf("listener %q: %w", l.Name, err)
	}
	go f.follow(ctx, log.With("listener", l.Name))
	return e, nil
}

// policyFile is the file of an endpoint policy.
type policyFile struct {
	path     string
	endpoint *api.Endpoint
	changed  time.Time
	size     int64
}

func (f *policyFile) load() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("endpoint policy: %w", err)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("endpoint policy: %w", err)
	}
	if err := f.endpoint.SetPolicy(string(text)); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.changed, f.size = info.ModTime(), info.Size()
	return nil
}

func (f *policyFile) follow(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(endpointPolicyEvery)
	defer tick.Stop()
	var complained error
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		info, err := os.Stat(f.path)
		if err == nil && info.ModTime().Equal(f.changed) && info.Size() == f.size {
			continue
		}
		err = f.load()
		switch {
		case err == nil:
			complained = nil
			log.Info("the endpoint policy was read again", "file", f.path)
		case complained == nil || err.Error() != complained.Error():
			complained = err
			log.Error("the endpoint policy was not replaced: the one before stays in force", "error", err)
		}
	}
}
