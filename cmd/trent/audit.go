package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/api/audit"
)

func auditCommand() *cobra.Command {
	return group("audit", "Read and verify audit logs", auditVerifyCommand(), auditSearchCommand(), auditLookupCommand(), auditTailCommand())
}

// errFindings is the failure of a verification that found something.
var errFindings = errors.New("the audit log was changed, cut off or damaged; see the findings")

func auditVerifyCommand() *cobra.Command {
	var (
		form      format
		key, head string
	)
	cmd := &cobra.Command{
		Use:   "verify DIRECTORY",
		Short: "Verify the hash chain and the signed heads of an audit log, offline",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			check, err := auditVerifier(key, args[0])
			if err != nil {
				return usageError{err}
			}
			heads, err := committedHeads(head, args[0])
			if err != nil {
				return usageError{err}
			}
			r, err := audit.Verify(cmd.Context(), args[0], audit.VerifyOptions{VerifyHead: check, Heads: heads})
			if err != nil {
				return err
			}
			if form == formatJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				err = printReport(cmd.OutOrStdout(), &r)
			}
			if check == nil && r.HeadsChecked > 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "signatures were not checked: there is no "+auditKeyFile+" beside the log; name it with --audit-key")
			}
			if heads == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "a cut-off end would not be found: there is no "+auditHeadFile+" beside the log; name it with --audit-head")
			}
			if err == nil && !r.OK() {
				err = errFindings
			}
			return err
		},
	}
	formatFlag(cmd, &form)
	cmd.Flags().StringVar(&key, "audit-key", "", "public key of the region's audit heads (default: "+auditKeyFile+" beside DIRECTORY)")
	cmd.Flags().StringVar(&head, "audit-head", "", "newest head that the node has committed; finds a cut-off end (default: "+auditHeadFile+" beside DIRECTORY)")
	return cmd
}

func auditSearchCommand() *cobra.Command {
	var f audit.Filter
	cmd := &cobra.Command{
		Use:   "search DIRECTORY",
		Short: "Find records by key, event, principal or id; newest first, one JSON record a line",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.Limit < 1 {
				return usageError{fmt.Errorf("--limit is %d; it is at least 1", f.Limit)}
			}
			page, err := audit.Search(cmd.Context(), args[0], f)
			if err != nil {
				return err
			}
			for _, e := range page.Entries {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", e.Line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Key, "key", "", "key id or key ARN")
	flags.StringVar(&f.EventName, "event", "", "event name, such as Decrypt")
	flags.StringVar(&f.Principal, "principal", "", "ARN or user name of the caller")
	flags.StringVar(&f.EventID, "event-id", "", "event id")
	flags.IntVar(&f.Limit, "limit", 50, "records at most")
	return cmd
}

// printReport prints a verification for people.
func printReport(out io.Writer, r *audit.Report) error {
	_, err := fmt.Fprintf(out, "node %s: %d segments, %d records (%d to %d), %d heads and %d signatures checked, sealed up to %d\n",
		r.Node, r.Segments, r.Records, r.FirstSeq, r.LastSeq, r.HeadsChecked, r.SignaturesChecked, r.SealedSeq)
	for _, f := range r.Findings {
		_, e := fmt.Fprintln(out, "finding:", f)
		err = errors.Join(err, e)
	}
	for _, name := range r.TornFiles {
		_, e := fmt.Fprintln(out, "set aside by a recovery:", name)
		err = errors.Join(err, e)
	}
	return err
}
