package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/region"
)

func regionHomeCommand() *cobra.Command {
	var f adminFlags
	var wish regionHomeWish
	cmd := &cobra.Command{
		Use: "home REGION", Short: "Have the identities of this region decided in another one, or in this one again", Args: arguments(cobra.ExactArgs(1)),
		Long: "Have the identities of this region (accounts, users, groups, roles, policies, providers, access keys, services) decided in another\n" +
			"region, their home: this region takes over what the home has and follows it. Keys, grants and aliases stay. Identities that\n" +
			"the home does not have are removed, which has to be confirmed with --replace; --dry-run lists them. With the name of this\n" +
			"region it is the home of its identities again, with those that it has.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var out region.HomeChange
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/regions/"+args[0]+"/home", wish, &out); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), out, func(w io.Writer) error { return printHomeChange(w, &out) })
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&wish.DryRun, "dry-run", false, "only tell what it would mean")
	cmd.Flags().BoolVar(&wish.Replace, "replace", false, "remove the identities that the home does not have")
	return cmd
}

func printHomeChange(w io.Writer, c *region.HomeChange) error {
	verb := "Identities are decided in region %s from now on.\n"
	if c.DryRun {
		verb = "Identities would be decided in region %s; nothing is changed.\n"
	}
	_, err := fmt.Fprintf(w, verb, c.Home)
	if err == nil && c.Rows > 0 {
		_, err = fmt.Fprintf(w, "taken over           %d\n", c.Rows)
	}
	if err == nil && len(c.Vanish) > 0 {
		err = printVanish(w, c)
	}
	return err
}

// maxVanishShown is how many identities of one kind are printed.
const maxVanishShown = 20

// printVanish prints what is removed, kind by kind.
func printVanish(w io.Writer, c *region.HomeChange) error {
	total := 0
	for _, n := range c.VanishCounts {
		total += n
	}
	_, err := fmt.Fprintf(w, "removed              %d\n", total)
	for i, n := 0, 0; i < len(c.Vanish) && err == nil; i++ {
		v := &c.Vanish[i]
		if n++; n <= maxVanishShown {
			_, err = fmt.Fprintf(w, "  %s\n", v)
		}
		if i+1 < len(c.Vanish) && c.Vanish[i+1].Kind == v.Kind {
			continue
		}
		if more := c.VanishCounts[v.Kind] - min(n, maxVanishShown); more > 0 && err == nil {
			_, err = fmt.Fprintf(w, "  %s: %d more\n", v.Kind, more)
		}
		n = 0
	}
	return err
}

// regionShared is what share did, with --format json.
type regionShared struct {
	Region string `json:"region"`
	Shared bool   `json:"shared"`
}

func regionShareCommand() *cobra.Command {
	var f adminFlags
	var stop bool
	cmd := &cobra.Command{
		Use: "share REGION", Short: "Let a federated region have the identities of this one", Args: arguments(cobra.ExactArgs(1)),
		Long: "Let a federated region have the identities of this one: its operator can then say 'trent operator region home'. It gets all of\n" +
			"them, secrets of access keys among them, wrapped for its HSM, and its operators can make accounts and services here. With --stop it\n" +
			"is told nothing any more; what it has, it keeps.",
		RunE: func(cmd *cobra.Command, args []string) error {
			method, verb := http.MethodPost, "may have the identities of this one."
			if stop {
				method, verb = http.MethodDelete, "is told nothing of the identities of this one any more."
			}
			if err := f.call(cmd.Context(), method, "/v1/regions/"+args[0]+"/share", nil, &struct{}{}); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), regionShared{args[0], !stop}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Region %s %s\n", args[0], verb)
				return err
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&stop, "stop", false, "take it back")
	return cmd
}
