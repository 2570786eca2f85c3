package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/region"
)

// adminFlags are the flags of every command that talks to a running node.
type adminFlags struct {
	config, socket, endpoint string
	format                   format
}

func (f *adminFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "trent.hcl", "configuration file of the node on this machine")
	cmd.Flags().StringVar(&f.socket, "socket", "", "the node's admin socket, instead of what the configuration says")
	cmd.Flags().StringVar(&f.endpoint, "endpoint", "", "URL of any node's API, instead of this machine's socket; signs with the environment's credentials ("+endpointEnv+")")
	formatFlag(cmd, &f.format)
}

// path is the socket to talk to.
func (f *adminFlags) path() (string, error) {
	if f.socket != "" {
		return f.socket, nil
	}
	cfg, err := config.Load(f.config)
	if err != nil {
		return "", usageError{fmt.Errorf("%w; name the configuration with --config, the node's socket with --socket (that of trent dev is trent-data/admin.sock), or its API with --endpoint", err)}
	}
	return cfg.AdminSocket, nil
}

// open sends a request to the node and returns the answer of a success. The caller closes it.
func (f *adminFlags) open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var send bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&send).Encode(body); err != nil {
			return nil, err
		}
	}
	if url := f.remote(); url != "" {
		return openRemote(ctx, url, method, path, send.Bytes())
	}
	socket, err := f.path()
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://node"+path, &send)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the node does not answer on %s; is it running, and do you have its user's rights? %w", socket, err)
	}
	return adminAnswer(resp)
}

// adminAnswer is the body of a success, or what the node says of a failure.
func adminAnswer(resp *http.Response) (io.ReadCloser, error) {
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var failure adminError
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&failure); err != nil || failure.Error == "" {
		return nil, fmt.Errorf("the node answered %s", resp.Status)
	}
	if resp.StatusCode == http.StatusConflict {
		return nil, heldError{errors.New(failure.Error)}
	}
	return nil, errors.New(failure.Error)
}

// call sends a request and decodes the answer.
func (f *adminFlags) call(ctx context.Context, method, path string, body, out any) error {
	from, err := f.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	return json.NewDecoder(from).Decode(out)
}

// print writes the answer as JSON, or as text for people.
func (f *adminFlags) print(w io.Writer, v any, text func(io.Writer) error) error {
	if f.format == formatJSON {
		return json.NewEncoder(w).Encode(v)
	}
	return text(w)
}

// showing completes a command that gets something from the node and prints it, and changes nothing.
func showing[T any](cmd *cobra.Command, path string, text func(io.Writer, T) error) *cobra.Command {
	var f adminFlags
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var v T
		if err := f.call(cmd.Context(), http.MethodGet, path, nil, &v); err != nil {
			return err
		}
		return f.print(cmd.OutOrStdout(), v, func(w io.Writer) error { return text(w, v) })
	}
	f.add(cmd)
	return cmd
}

// table prints columns under their headings; in both, tabs separate columns. Flush has the error of whatever could not be written.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer, headings string) table {
	t := table{tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)}
	t.row("%s", headings)
	return t
}

func (t table) row(format string, a ...any) { _, _ = fmt.Fprintf(t, format+"\n", a...) }

func joinTokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "join-token", Short: "Tokens by which nodes join the region"}
	var f adminFlags
	var life time.Duration
	create := &cobra.Command{
		Use: "create", Short: "Make a token by which one node can join, once", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLife(life); err != nil {
				return err
			}
			var given joinTokenGiven
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/join-tokens", joinTokenWish{life.String()}, &given); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), given, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, given.Token)
				return err
			})
		},
	}
	f.add(create)
	create.Flags().DurationVar(&life, "life", region.DefaultTokenLife, "how long the token can be used")
	cmd.AddCommand(create)
	return cmd
}

// checkLife refuses a --life that is none, as a mistake in the command line; the node bounds it from above.
func checkLife(life time.Duration) error {
	if life <= 0 {
		return usageError{fmt.Errorf("--life %s is not a time such as 30m", life)}
	}
	return nil
}

func membersCommand() *cobra.Command {
	return showing(&cobra.Command{
		Use: "members", Short: "List the nodes of the region as its leader sees them", Args: arguments(cobra.NoArgs),
	}, "/v1/members", printMembers)
}

func printMembers(out io.Writer, all []region.MemberInfo) error {
	t := newTable(out, "NODE\tADDRESS\tROLE\tAPPLIED\tLAST CONTACT\tLEVEL\tJOINED")
	for _, m := range all {
		contact, applied := "now", strconv.FormatUint(m.Applied, 10)
		if !m.Reachable {
			contact, applied = "never", "?"
			if !m.LastContact.IsZero() {
				contact = time.Since(m.LastContact).Round(time.Second).String() + " ago"
			}
		}
		t.row("%s\t%s\t%s\t%s\t%s\t%d\t%s", m.ID, m.Address, memberRole(&m), applied, contact, m.FeatureLevel, m.JoinedAt.Format(time.RFC3339))
	}
	return t.Flush()
}

func memberRole(m *region.MemberInfo) string {
	switch {
	case m.Pending:
		return "admitted"
	case m.Leader:
		return "leader"
	case m.Voter:
		return "voter"
	}
	return "catching up"
}

// removal is what remove did, or would do.
type removal struct {
	Node   string `json:"node"`
	DryRun bool   `json:"dryRun,omitempty"`
}

func removeCommand() *cobra.Command {
	var f adminFlags
	var done removal
	cmd := &cobra.Command{
		Use: "remove NODE", Short: "Take a node out of the region for good", Args: arguments(cobra.ExactArgs(1)),
		Long: "Take a node out of the region for good: its id is never used again. It is refused if the nodes that stay would have no\n" +
			"majority. The node's HSM still holds the region's domain key.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var none struct{}
			done.Node = args[0]
			path, text := "/v1/members/"+url.PathEscape(args[0]), "Node %s is removed. Its HSM still holds the domain key: destroy the key there.\n"
			if done.DryRun {
				path, text = path+"?dry-run=1", "Node %s would be removed for good. Its HSM would still hold the domain key. Nothing was done.\n"
			}
			if err := f.call(cmd.Context(), http.MethodDelete, path, nil, &none); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), done, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, text, args[0])
				return err
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&done.DryRun, "dry-run", false, "say whether it would be refused and do nothing")
	return cmd
}

func stepDownCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "step-down", Short: "Have the leader give leadership to another node", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var none struct{}
			return f.call(cmd.Context(), http.MethodPost, "/v1/step-down", nil, &none)
		},
	}
	f.add(cmd)
	return cmd
}

func statusCommand() *cobra.Command {
	var f adminFlags
	var digest bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show the condition of the node on this machine", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s adminStatus
			path := "/v1/status"
			if digest {
				path += "?digest=1"
			}
			if err := f.call(cmd.Context(), http.MethodGet, path, nil, &s); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), s, func(w io.Writer) error { return printStatus(w, &s) })
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&digest, "digest", false, "add the digest of the state: nodes that have applied the same index have the same")
	return cmd
}

func printStatus(w io.Writer, s *adminStatus) error {
	until := "none"
	if !s.CertUntil.IsZero() {
		until = s.CertUntil.UTC().Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(w, `region       %s
node         %s
cluster      %s
version      %s
state        %s, term %d, voter %t of %d
leader       %s
log          %d applied of %d
region time  %s
certificate  until %s
health       %s
domain key   version %d%s
`, s.Region, s.NodeID, s.ClusterID, s.Version, s.State, s.Term, s.Voter, s.Voters, leaderWord(s.LeaderID), s.AppliedIndex, s.LastIndex,
		s.RegionTime.Format(time.RFC3339Nano), until, s.Health, s.DomainKey, rotationWord(s.Rotation))
	if err == nil && s.IdentityHome != "" {
		refused := ""
		if s.IdentityLimit > 0 && *s.IdentitySeconds > s.IdentityLimit {
			refused = fmt.Sprintf(": over identity_max_staleness (%.0fs), so requests that they sign are refused", s.IdentityLimit)
		}
		_, err = fmt.Fprintf(w, "identities   decided in %s, %.0fs old%s\n", s.IdentityHome, *s.IdentitySeconds, refused)
	}
	if err == nil && len(s.Regions) > 0 {
		if _, err = fmt.Fprintln(w); err == nil {
			err = printRegions(w, s.Regions)
		}
	}
	if err == nil && s.Digest != "" {
		_, err = fmt.Fprintf(w, "digest       %s\n", s.Digest)
	}
	return err
}
