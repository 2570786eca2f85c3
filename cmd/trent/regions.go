package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/region"
)

// Other regions in the admin API, and the commands of trent operator for them.

// maxRegionToken bounds a token to federate by, in bytes.
const maxRegionToken = 32 << 10

// regionTokenWish is the body of POST /v1/regions/tokens; the answer is a joinTokenGiven.
type regionTokenWish struct {
	Region string `json:"region"`
	Life   string `json:"life,omitempty"` // a duration such as 30m
}

// regionAcceptWish is the body of POST /v1/regions/accept.
type regionAcceptWish struct {
	Token  string `json:"token"`
	DryRun bool   `json:"dryRun,omitempty"`
}

// regionDone is the region that confirm or unfederate was about, with --format json.
type regionDone struct {
	Region string `json:"region"`
}

// regionForgetWish is the body of POST /v1/regions/{name}/forget.
type regionForgetWish struct {
	DryRun bool `json:"dryRun,omitempty"`
	Force  bool `json:"force,omitempty"`
}

// regionHomeWish is the body of POST /v1/regions/{name}/home.
type regionHomeWish struct {
	DryRun  bool `json:"dryRun,omitempty"`
	Replace bool `json:"replace,omitempty"`
}

var errNoRegions = errors.New("this node has no cluster block in its configuration: nodes of other regions cannot meet it")

func (n *node) routeRegions(mux *adminMux) {
	route := func(pattern string, f func(ctx context.Context, name string, body []byte) (any, error)) {
		mux.HandleFunc(pattern, n.admin(func(ctx context.Context, r *http.Request) (any, error) {
			if n.regions == nil {
				return nil, errNoRegions
			}
			body, err := io.ReadAll(io.LimitReader(r.Body, 2*maxRegionToken))
			if err != nil {
				return nil, err
			}
			defer clear(body)
			return f(ctx, r.PathValue("name"), body)
		}))
	}
	route("GET /v1/regions", func(ctx context.Context, _ string, _ []byte) (any, error) { return n.regions.List(ctx) })
	route("POST /v1/regions/tokens", func(ctx context.Context, _ string, body []byte) (any, error) {
		var wish regionTokenWish
		if err := json.Unmarshal(body, &wish); err != nil {
			return nil, fmt.Errorf("the request: %w", err)
		}
		var life time.Duration
		if wish.Life != "" {
			var err error
			if life, err = time.ParseDuration(wish.Life); err != nil || life <= 0 {
				return nil, fmt.Errorf("%q is not a duration such as 30m", wish.Life)
			}
		}
		token, expires, err := n.regions.NewToken(ctx, wish.Region, life)
		return joinTokenGiven{token, expires}, err
	})
	route("POST /v1/regions/accept", func(ctx context.Context, _ string, body []byte) (any, error) {
		var wish regionAcceptWish
		if err := json.Unmarshal(body, &wish); err != nil {
			return nil, errors.New("the request cannot be read")
		}
		return n.regions.Accept(ctx, wish.Token, wish.DryRun)
	})
	route("POST /v1/regions/{name}/confirm", func(ctx context.Context, name string, _ []byte) (any, error) {
		return struct{}{}, n.regions.Confirm(ctx, name)
	})
	route("DELETE /v1/regions/{name}", func(ctx context.Context, name string, _ []byte) (any, error) {
		return struct{}{}, n.regions.Unfederate(ctx, name)
	})
	route("POST /v1/regions/{name}/forget", func(ctx context.Context, name string, body []byte) (any, error) {
		var wish regionForgetWish
		if err := json.Unmarshal(body, &wish); err != nil {
			return nil, fmt.Errorf("the request: %w", err)
		}
		return n.regions.ForgetRegion(ctx, name, wish.DryRun, wish.Force)
	})
	route("POST /v1/regions/{name}/share", func(ctx context.Context, name string, _ []byte) (any, error) {
		return struct{}{}, n.service.ShareIdentities(ctx, name, true)
	})
	route("DELETE /v1/regions/{name}/share", func(ctx context.Context, name string, _ []byte) (any, error) {
		return struct{}{}, n.service.ShareIdentities(ctx, name, false)
	})
	route("POST /v1/regions/{name}/home", func(ctx context.Context, name string, body []byte) (any, error) {
		var wish regionHomeWish
		if err := json.Unmarshal(body, &wish); err != nil {
			return nil, fmt.Errorf("the request: %w", err)
		}
		return n.service.AdoptHome(ctx, name, wish.DryRun, wish.Replace)
	})
}

func federateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "federate", Short: "Federate with another region, so that multi-Region keys can be shared",
		Long: "Federate with another region. Both operators consent: 'federate token REGION' in one region makes a token for the\n" +
			"other one, and 'federate accept' there uses it. A region that is federated already introduces the newcomer to its\n" +
			"other regions, whose operators consent with 'federate confirm'.",
	}
	cmd.AddCommand(federateTokenCommand(), federateAcceptCommand(), federateConfirmCommand())
	return cmd
}

func federateTokenCommand() *cobra.Command {
	var f adminFlags
	var life time.Duration
	cmd := &cobra.Command{
		Use: "token REGION", Short: "Make a token by which the region of that name can federate with this one, once", Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLife(life); err != nil {
				return err
			}
			var given joinTokenGiven
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/regions/tokens", regionTokenWish{args[0], life.String()}, &given); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), given, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, given.Token)
				return err
			})
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&life, "life", region.DefaultTokenLife, "how long the token can be used")
	return cmd
}

func federateAcceptCommand() *cobra.Command {
	var f adminFlags
	var file string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "accept [TOKEN]", Short: "Federate with the region that a token is of", Args: arguments(cobra.MaximumNArgs(1)),
		Long: "Federate with the region that a token is of, and consent to the regions that it is federated with: they become federated\n" +
			"once their operators confirm. With --dry-run it only shows them. Others can see a token on the command line in the list\n" +
			"of processes: prefer --token-file.",
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := regionToken(args, file, cmd.InOrStdin())
			if err != nil {
				return usageError{err}
			}
			var out region.Accepted
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/regions/accept", regionAcceptWish{token, dryRun}, &out); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), out, func(w io.Writer) error { return printAccepted(w, &out) })
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&file, "token-file", "", "file with the token, - for standard input")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show with whom this region would be federated")
	return cmd
}

func regionToken(args []string, file string, stdin io.Reader) (string, error) {
	if (len(args) == 0) == (file == "") {
		return "", errors.New("give the token, or its file with --token-file")
	}
	if file == "" {
		return args[0], nil
	}
	from := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		defer func() { _ = opened.Close() }()
		from = opened
	}
	b, err := io.ReadAll(io.LimitReader(from, maxRegionToken))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer clear(b)
	return string(bytes.TrimSpace(b)), nil
}

func printAccepted(out io.Writer, a *region.Accepted) error {
	first := "This region is federated with:"
	if a.DryRun {
		first = "Nothing is changed. With this token the region would be federated with:"
	}
	_, _ = fmt.Fprintln(out, first)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "REGION\tSTATE\tADDRESSES\tAUTHORITY")
	for _, r := range a.Regions {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Region, r.State, strings.Join(r.Addresses, " "), r.Authority)
	}
	return w.Flush()
}

func federateConfirmCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "confirm REGION", Short: "Consent to a region that another one has introduced", Args: arguments(cobra.ExactArgs(1)),
		Long: "Consent to a region that another one has introduced. 'trent operator regions' shows it with the fingerprint of its\n" +
			"authority; compare that with what the region's own operator sees before you consent.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var none struct{}
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/regions/"+args[0]+"/confirm", nil, &none); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), regionDone{args[0]}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "This region consents to region %s: it becomes federated as soon as the two meet.\n", args[0])
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

func unfederateCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "unfederate REGION", Short: "End the federation with a region that no multi-Region key is shared with", Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var none struct{}
			if err := f.call(cmd.Context(), http.MethodDelete, "/v1/regions/"+args[0], nil, &none); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), regionDone{args[0]}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Region %s is no longer federated with this one. Do the same there.\n", args[0])
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

func regionsCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "regions", Short: "List this region and those that it knows", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []region.RegionInfo
			if err := f.call(cmd.Context(), http.MethodGet, "/v1/regions", nil, &all); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), all, func(w io.Writer) error { return printRegions(w, all) })
		},
	}
	f.add(cmd)
	return cmd
}

func regionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "region", Short: "What is done to another region, and where identities are decided"}
	var f adminFlags
	var wish regionForgetWish
	forget := &cobra.Command{
		Use: "forget REGION", Short: "Give up a region that is lost for good", Args: arguments(cobra.ExactArgs(1)),
		Long: "Give up a region that is lost for good: nothing waits for it any more, and where it was primary another region of the\n" +
			"set takes over. What it alone had is lost. Do it in every remaining region: they agree on the fence by themselves. It\n" +
			"cannot be undone; the region comes back as a new incarnation only. With --dry-run it only tells what it would mean.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out region.Forgetting
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/regions/"+args[0]+"/forget", wish, &out); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), out, func(w io.Writer) error { return printForgetting(w, &out) })
		},
	}
	f.add(forget)
	forget.Flags().BoolVar(&wish.DryRun, "dry-run", false, "only tell what it would mean")
	forget.Flags().BoolVar(&wish.Force, "force", false, "forget the region although it is reachable")
	cmd.AddCommand(forget, regionHomeCommand(), regionShareCommand())
	return cmd
}

func printForgetting(w io.Writer, o *region.Forgetting) error {
	verb := "is forgotten"
	if o.DryRun {
		verb = "would be forgotten; nothing is changed"
	}
	_, err := fmt.Fprintf(w, "Region %s %s.\nfence                %d\nshared keys          %d, of which %d have their primary there\n",
		o.Region, verb, o.Fence, o.KeysShared, o.PrimariesThere)
	if err == nil && o.IdentityHome {
		_, err = fmt.Fprintln(w, "Identities were decided there; then they are decided in this region, as it has them.")
	}
	if err == nil && o.Reachable {
		_, err = fmt.Fprintln(w, "It is reachable: it is not lost.")
	}
	switch {
	case err != nil:
	case len(o.Elsewhere) > 0:
		_, err = fmt.Fprintf(w, "Not done yet: it has still to be forgotten in %s, by their operators:\n\n  trent operator region forget %s\n\n"+
			"Until then no region takes over the keys whose primary it was. 'trent operator regions' shows who has still to do it.\n",
			strings.Join(o.Elsewhere, ", "), o.Region)
	case !o.DryRun:
		_, err = fmt.Fprintln(w, "No other region has still to forget it.")
	}
	return err
}
