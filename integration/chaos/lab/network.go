//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// network is a bridge with a namespace for each node. The harness has the first address on the bridge.
type network struct {
	tag    string // four hex digits that name what belongs to this lab
	prefix string // of the addresses
	mu     sync.Mutex
	spaces []*namespace
}

// namespace is a node's own network.
type namespace struct {
	net    *network
	name   string
	ip     string
	queues []*queue
}

// HaveNetwork says why nodes cannot have networks of their own here, nil if they can.
func HaveNetwork() error {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	for _, tool := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed", tool)
		}
	}
	n, err := newNetwork()
	if err != nil {
		return err
	}
	_, err = n.add("probe")
	if err == nil {
		err = n.spaces[0].iptables("-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
	}
	return errors.Join(err, n.close())
}

// ranges is how many labs can have networks on one machine at the same time.
const ranges = 1 << 15

// newNetwork makes a bridge with an address range that no other lab on this machine has. The name of the bridge says which range it
// is, and the kernel gives a name once: labs that run beside each other, also those of other processes, never share one.
func newNetwork() (*network, error) {
	var last error
	for range 20 {
		x := rand.IntN(ranges)
		n := &network{tag: fmt.Sprintf("%04x", x), prefix: fmt.Sprintf("10.%d.%d.", 128+x>>8, x&0xff)}
		bridge := "trc" + n.tag
		if last = ip("", "link add "+bridge+" type bridge"); last != nil {
			continue // it is another's, which must stay
		}
		if err := ip("", "addr add "+n.prefix+"1/24 dev "+bridge, "link set "+bridge+" up"); err != nil {
			return nil, errors.Join(err, n.close())
		}
		return n, nil
	}
	return nil, last
}

// ip has ip carry out lines, as one batch. space is the namespace, "" for the harness's own.
func ip(space string, lines ...string) error {
	args := []string{"-batch", "-"}
	if space != "" {
		args = append([]string{"-n", space}, args...)
	}
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}

// add makes the network of a node.
func (n *network) add(node string) (*namespace, error) {
	n.mu.Lock()
	k := len(n.spaces) + 2
	s := &namespace{net: n, name: fmt.Sprintf("trc%s-%s", n.tag, node), ip: n.prefix + strconv.Itoa(k)}
	n.spaces = append(n.spaces, s)
	n.mu.Unlock()
	outer := fmt.Sprintf("tv%s%d", n.tag, k)
	err := ip("", "netns add "+s.name, "link add "+outer+" type veth peer name eth0 netns "+s.name, "link set "+outer+" master trc"+n.tag+" up")
	if err == nil {
		err = ip(s.name, "addr add "+s.ip+"/24 dev eth0", "link set eth0 up", "link set lo up")
	}
	return s, err
}

func (n *network) close() error {
	var errs []error
	for _, s := range n.spaces {
		errs = append(errs, s.heal())
		if out, err := exec.Command("ip", "netns", "del", s.name).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("ip netns del: %w: %s", err, out))
		}
	}
	if out, err := exec.Command("ip", "link", "del", "trc"+n.tag).CombinedOutput(); err != nil {
		errs = append(errs, fmt.Errorf("ip link del: %w: %s", err, out))
	}
	return errors.Join(errs...)
}

func (n *network) heal() error {
	var errs []error
	for _, s := range n.spaces {
		errs = append(errs, s.heal())
	}
	return errors.Join(errs...)
}

// wrap is the command line that runs a program in the namespace; a nil namespace changes nothing.
func (s *namespace) wrap(name string, args []string) (string, []string) {
	if s == nil {
		return name, args
	}
	return "ip", append([]string{"netns", "exec", s.name, name}, args...)
}

func (s *namespace) iptables(args ...string) error {
	out, err := exec.Command("ip", append([]string{"netns", "exec", s.name, "iptables", "-w"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables %v: %w: %s", args, err, out)
	}
	return nil
}

// heal removes all rules and lets held packets go.
func (s *namespace) heal() error {
	err := s.iptables("-F")
	for _, q := range s.queues {
		err = errors.Join(err, q.close())
	}
	s.queues = nil
	return err
}

// dropped counts the packets that rules have dropped or queued since they were made.
func (s *namespace) dropped() (packets int64) {
	out, err := exec.Command("ip", "netns", "exec", s.name, "iptables", "-w", "-nvxL").Output()
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) > 3 && (f[2] == "DROP" || f[2] == "REJECT" || f[2] == "NFQUEUE") {
			n, _ := strconv.ParseInt(f[0], 10, 64)
			packets += n
		}
	}
	return packets
}

var errNoNetwork = errors.New("the nodes have no networks of their own")

// Cut has a node drop what comes from others: one direction of their links.
func (n *Node) Cut(from ...*Node) error { return n.reject("DROP", nil, from) }

// Refuse is Cut with an answer: connections end at once instead of hanging.
func (n *Node) Refuse(from ...*Node) error {
	return n.reject("REJECT", []string{"--reject-with", "tcp-reset"}, from)
}

func (n *Node) reject(target string, more []string, from []*Node) error {
	if n.ns == nil {
		return errNoNetwork
	}
	for _, f := range from {
		if f == n {
			continue
		}
		if err := n.ns.iptables(append([]string{"-A", "INPUT", "-p", "tcp", "-s", f.ns.ip, "-j", target}, more...)...); err != nil {
			return err
		}
	}
	return nil
}

// CutClients has a node drop what its clients send.
func (n *Node) CutClients() error {
	if n.ns == nil {
		return errNoNetwork
	}
	return n.ns.iptables("-A", "INPUT", "-s", n.ns.net.prefix+"1", "-j", "DROP")
}

// Lose has a node lose a share of the packets that come from others.
func (n *Node) Lose(share float64, from ...*Node) error {
	if n.ns == nil {
		return errNoNetwork
	}
	for _, f := range from {
		if f == n {
			continue
		}
		if err := n.ns.iptables("-A", "INPUT", "-s", f.ns.ip, "-m", "statistic", "--mode", "random", "--probability", fmt.Sprintf("%.4f", share), "-j", "DROP"); err != nil {
			return err
		}
	}
	return nil
}

// HealLinks ends every disturbance of what comes to a node.
func (n *Node) HealLinks() error {
	if n.ns == nil {
		return nil
	}
	return n.ns.heal()
}

// Dropped counts the packets to this node that were dropped or held since its links were last healed.
func (n *Node) Dropped(context.Context) int64 {
	if n.ns == nil {
		return 0
	}
	return n.ns.dropped()
}
