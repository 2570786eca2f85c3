package cluster

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
)

// The environment that turns a run of this test binary into the process that is killed.
const (
	crashDir  = "TRENT_TEST_CRASH_DIR"
	crashFrom = "TRENT_TEST_CRASH_FROM"
)

// TestKill kills a process with 64 concurrent proposers with SIGKILL, several times on the same directory, with
// snapshots under way, and wants every acknowledged write back.
func TestKill(t *testing.T) {
	if os.Getenv(crashDir) != "" {
		proposeUntilKilled(t)
		return
	}
	const rounds, least = 5, 200
	dir := t.TempDir()
	n := newRegion(t, dir)
	n.Close()
	acked := map[int]bool{}
	for round := range rounds {
		before := len(acked)
		killChild(t, dir, (round+1)*1_000_000, least+rand.IntN(least), acked)
		if got := len(acked) - before; got < least {
			t.Fatalf("round %d: only %d acknowledged writes, %d wanted for the run to mean anything", round, got, least)
		}
	}
	n = openNode(t, dir)
	s := mustView(t, n)
	lost := 0
	for i := range acked {
		if s.Account(accountID(i)) == nil {
			lost++
		}
	}
	if lost > 0 {
		t.Fatalf("%d of %d acknowledged writes are gone", lost, len(acked))
	}
	t.Logf("%d acknowledged writes over %d kills, snapshot at %d, log from %d", len(acked), rounds, n.Status().SnapshotIndex, n.Status().FirstIndex)
}

// killChild runs the proposing process and kills it right after it has acknowledged enough.
func killChild(t *testing.T, dir string, from, enough int, acked map[int]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashFrom+"="+strconv.Itoa(from))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer limit.Stop()
	seen := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var i int
		if n, err := fmt.Sscanf(lines.Text(), "acknowledged %12d.", &i); n != 1 || err != nil {
			continue // the last line may be cut
		}
		acked[i] = true
		if seen++; seen == enough {
			cmd.Process.Kill() // what is still in the pipe was acknowledged too and is read on
		}
	}
	cmd.Wait()
}

// proposeUntilKilled writes a line only after the write was acknowledged.
func proposeUntilKilled(t *testing.T) {
	from, err := strconv.Atoi(os.Getenv(crashFrom))
	if err != nil {
		t.Fatal(err)
	}
	n := openNode(t, os.Getenv(crashDir), trailing(50), func(c *Config) {
		c.SnapshotInterval, c.SnapshotThreshold = 20*time.Millisecond, 100
	})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := from + int(next.Add(1))
				if res, err := n.Propose(ctx, account(i)); err == nil && res.Code == fsm.OK {
					os.Stdout.WriteString("acknowledged " + accountID(i) + ".\n")
				}
			}
		})
	}
	wg.Wait()
}
