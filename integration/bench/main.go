// Command bench measures Trent: what a request costs beside the least that a Go HTTPS server with signatures can cost, what a
// key costs in disk writes and memory, and what each cryptographic operation costs beside its bare primitive.
//
// It guarantees:
//   - the servers are processes of their own, built and started here, and what is reported of them is the kernel's count of
//     their processor time, not the load generator's;
//   - what is compared is measured in interleaved rounds: the median is reported with its range, so that a busy machine shows;
//   - every request is signed by itself over TLS, as the AWS SDKs do, and every answer is checked.
//
// `make bench` runs it; -quick gives a first impression, -parts chooses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	duration time.Duration
	rounds   int
	parts    string
	quick    bool
	conns    string
	manyKeys int
	shared   int
	runs     int
	election time.Duration
	ops      string
	keys     int
	pairs    int
	trent    string
	markdown string
	profile  string
	ceiling  bool
	keyNode  string
}

// part is one group of measurements.
type part struct {
	name string
	what string
	run  func(*bench, context.Context) error
}

var parts = []part{
	{"crypto", "Encrypt, Decrypt and GenerateDataKey beside the ceiling", (*bench).crypto},
	{"create", "CreateKey with its commits and disk writes", (*bench).create},
	{"specs", "every cryptographic operation and key spec beside the bare primitive", (*bench).specs},
	{"memory", "memory and restart with many keys", (*bench).memory},
	{"region", "one node beside three: Encrypt, CreateKey, and how soon a write is seen elsewhere", (*bench).region},
	{"failover", "the leader of three killed and hung: how long until writes and how long without crypto", (*bench).failover},
	{"sync", "multi-Region keys: how soon a change is in another region, how long many take, and what that sends", (*bench).sync},
	{"million", "a million keys in a node's log and state: memory, snapshot, restart, a new node's catching up, and writes meanwhile", (*bench).million},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	if o.ceiling {
		return serveCeiling(ctx, out)
	}
	if o.keyNode != "" {
		return serveKeyNode(ctx, o.keyNode, out)
	}
	b, err := newBench(ctx, o, out)
	if err != nil {
		return err
	}
	defer b.close()
	chosen := strings.Split(o.parts, ",")
	for _, p := range parts {
		if !slices.Contains(chosen, p.name) && o.parts != "all" {
			continue
		}
		b.progress("%s: %s", p.name, p.what)
		if err := p.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b.report.err
}

func parseFlags(args []string) (*options, error) {
	o := &options{}
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.DurationVar(&o.duration, "duration", 60*time.Second, "bound of one measurement: one operation at one number of connections, all rounds")
	f.IntVar(&o.rounds, "rounds", 9, "interleaved rounds of a measurement; the median is reported")
	f.StringVar(&o.parts, "parts", "all", "parts to run, joined by commas: "+strings.Join(names, ", "))
	f.BoolVar(&o.quick, "quick", false, "a first impression: three rounds, six seconds for a measurement, fewer keys")
	f.StringVar(&o.conns, "conns", "", "numbers of connections, joined by commas (1,8,32,64; CreateKey: 1,8,64)")
	f.StringVar(&o.ops, "ops", "", "measure only operations whose names contain this")
	f.IntVar(&o.keys, "keys", 100_000, "keys of the part memory; 100,000 is an account's quota")
	f.IntVar(&o.manyKeys, "million", 1_000_000, "keys of the part million")
	f.IntVar(&o.shared, "shared", 10_000, "multi-Region keys of the part sync")
	f.DurationVar(&o.election, "election", time.Second, "election_timeout of the nodes of the parts region and failover")
	f.IntVar(&o.runs, "runs", 10, "runs of each fault of the part failover")
	f.IntVar(&o.pairs, "pairs", 0, "pairs of the encryption context")
	f.StringVar(&o.trent, "trent", "", "trent program to measure (built from this tree if not given)")
	f.StringVar(&o.markdown, "markdown", "", "file to write the tables to as Markdown")
	f.StringVar(&o.profile, "cpuprofile", "", "file to write a CPU profile of trent to, taken during the parts crypto and sync")
	f.BoolVar(&o.ceiling, "ceiling", false, "be the server that Trent is compared with (used by this program itself)")
	f.StringVar(&o.keyNode, "keynode", "", "be the new node that this file describes (used by this program itself)")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q; see -help", f.Arg(0))
	}
	if o.quick {
		o.duration, o.rounds, o.keys = min(o.duration, 6*time.Second), min(o.rounds, 3), min(o.keys, 20_000)
		o.shared = min(o.shared, 200)
		o.manyKeys, o.runs = min(o.manyKeys, 50_000), min(o.runs, 2)
	}
	if o.rounds < 1 || o.duration < time.Second || o.keys < 1 || o.manyKeys < 1 || o.shared < 1 || o.runs < 1 {
		return nil, errors.New("-rounds, -runs, -keys, -shared and -million must be at least 1, -duration at least 1s")
	}
	for _, name := range strings.Split(o.parts, ",") {
		if name != "all" && !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no part %q; choose from %s", name, strings.Join(names, ", "))
		}
	}
	return o, nil
}
