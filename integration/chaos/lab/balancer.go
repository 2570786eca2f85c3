//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// startBalancer runs HAProxy before the nodes of the region, as docs/operations recommends it: it asks each node's port.
func (r *Region) startBalancer() error {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		return errors.New("HAProxy is not installed; .ci/tools installs it")
	}
	addr, _, err := freeAddresses()
	if err != nil {
		return err
	}
	var servers strings.Builder
	for _, n := range r.Nodes {
		fmt.Fprintf(&servers, "  server %s %s check inter 500ms\n", n.Name, n.apiAddr)
	}
	conf := filepath.Join(r.lab.Config.Dir, r.Name+"-haproxy.cfg")
	text := fmt.Sprintf("defaults\n  mode http\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\nfrontend api\n  bind %s\n  default_backend nodes\nbackend nodes\n  balance roundrobin\n%s", addr, servers.String())
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	r.balancer, err = startProcess(filepath.Join(r.lab.Config.Dir, r.Name+"-haproxy.log"), nil, path, "-db", "-f", conf)
	r.LB = "http://" + addr
	return err
}
