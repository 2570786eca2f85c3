//go:build linux

package nemesis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

// Damage at rest: a node is killed, something of what it keeps is damaged, and it is started again. It must refuse to start, or go on
// as if nothing had been: with what was damaged unused, or made again from what is whole. What it must not do is to serve, vote or
// acknowledge on a state that is not what it was; that shows in what clients see and in the digests of the states.
func damageFaults() []Fault {
	var all []Fault
	for _, p := range []lab.Part{lab.PartLog, lab.PartSnapshot, lab.PartAudit, lab.PartToken} {
		f := Fault{Name: "damaged-" + string(p), Group: "damage", Needs: []string{"failpoints", "others"}, Least: 100 * time.Millisecond, Most: time.Second, inject: damaged(p)}
		if p == lab.PartToken {
			f.Needs = append(f.Needs, "embedded")
		}
		all = append(all, f)
	}
	return all
}

// refusals are what a node must say that does not start; the rest of the line says what is wrong.
var refusals = [][]byte{[]byte("is damaged"), []byte("damaged:"), []byte("lost its log"), []byte("snapshots"), []byte("token"), []byte("audit:")}

func damaged(part lab.Part) func(context.Context, *env) (*active, error) {
	return func(ctx context.Context, e *env) (*active, error) {
		n := e.target
		n.Kill()
		what, err := n.Damage(part, e.rng)
		if err != nil {
			return nil, errors.Join(err, n.Start())
		}
		before, err := size(n.LogFile())
		if err == nil {
			err = n.Start()
		}
		if err != nil {
			return nil, err
		}
		limit, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		err = n.Await(limit)
		switch {
		case err == nil && part != lab.PartAudit:
			return shown("%s of %s, %s: it serves, which the checks judge", part, n.Name, what), nil
		case err == nil:
			// An audit log decides nothing that is served: the node goes on, says what it found, and its verification fails.
			return shown("%s of %s, %s: %s", part, n.Name, what, auditSays(ctx, n)), replace(ctx, e)
		case n.Running():
			return nil, fmt.Errorf("%s neither serves nor ends (%s, %s): %w", n.Name, part, what, err)
		}
		said := refusal(n.LogFile(), before)
		if said == "" {
			e.broken("%s ended without saying why (%s, %s)", n.Name, part, what)
		}
		return shown("%s of %s, %s: it refused to start: %s", part, n.Name, what, said), replace(ctx, e)
	}
}

func shown(format string, args ...any) *active {
	text := fmt.Sprintf(format, args...)
	return &active{effect: func(context.Context) string { return text }}
}

// replace does what the operator of a node does whose disk is bad.
func replace(ctx context.Context, e *env) error {
	voters := len(e.region.Members())
	if err := e.region.Replace(ctx, e.target); err != nil {
		return fmt.Errorf("replace %s: %w", e.target.Name, err)
	}
	return e.region.AwaitVoters(ctx, voters)
}

func size(path string) (int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// refusal is the last line that a node wrote, if it says why it does not start.
func refusal(path string, from int64) string {
	b, err := os.ReadFile(path)
	if err != nil || int64(len(b)) < from {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b[from:])), "\n")
	last := lines[len(lines)-1]
	for _, r := range refusals {
		if bytes.Contains([]byte(last), r) {
			return last[:min(len(last), 240)]
		}
	}
	return ""
}

// auditSays is what the operator's verification says of a node's log.
func auditSays(ctx context.Context, n *lab.Node) string {
	out, err := exec.CommandContext(ctx, n.Region.Binary(), "audit", "verify", n.AuditDir()).CombinedOutput()
	if err == nil {
		return "its log verifies: what was damaged is not in a record"
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return "its log does not verify: " + lines[len(lines)-1]
}
