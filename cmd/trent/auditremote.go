package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/api/audit"
)

// auditFlags are the flags by which records are selected.
type auditFlags struct {
	admin    adminFlags
	filter   audit.Filter
	from, to string
}

func (f *auditFlags) add(cmd *cobra.Command) {
	f.admin.add(cmd)
	_ = cmd.Flags().MarkHidden("format") // records are JSON, one a line
	flags := cmd.Flags()
	flags.StringVar(&f.filter.Key, "key", "", "key id or key ARN")
	flags.StringVar(&f.filter.EventName, "event", "", "event name, such as Decrypt")
	flags.StringVar(&f.filter.EventSource, "source", "", "event source, such as kms.amazonaws.com")
	flags.StringVar(&f.filter.EventID, "event-id", "", "event id")
	flags.StringVar(&f.filter.Principal, "principal", "", "ARN of the caller, or of the role behind a session")
	flags.StringVar(&f.filter.UserName, "user", "", "user name, session name, or root")
	flags.StringVar(&f.filter.AccessKeyID, "access-key-id", "", "access key id of the caller")
	flags.StringVar(&f.filter.AccountID, "account", "", "account whose record it is")
	flags.StringVar(&f.filter.ErrorCode, "error", "", "error code, such as AccessDenied")
	flags.StringVar(&f.from, "from", "", "not before this time (2026-01-31T12:00:00Z)")
	flags.StringVar(&f.to, "to", "", "before this time")
}

func auditLookupCommand() *cobra.Command {
	var (
		f     auditFlags
		limit int
	)
	cmd := &cobra.Command{
		Use: "lookup", Short: "Find records in the logs of all nodes; newest first, each once, one JSON record a line", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usageError{fmt.Errorf("--limit is %d; it is at least 1", limit)}
			}
			for cursor := ""; ; {
				var page foundRecords
				query := auditQuery(&f.filter, f.from, f.to, "cursor", cursor, "limit", strconv.Itoa(min(limit, 100)))
				if err := f.admin.call(cmd.Context(), http.MethodGet, "/v1/audit"+query, nil, &page); err != nil {
					return err
				}
				for _, r := range page.Records {
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", r); err != nil {
						return err
					}
				}
				for id, why := range page.Silent {
					_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "node %s did not answer, what only it has is missing: %s\n", id, why)
				}
				if limit -= len(page.Records); limit <= 0 || page.Next == "" {
					return nil
				}
				cursor = page.Next
			}
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "records at most")
	return cmd
}

func auditTailCommand() *cobra.Command {
	var (
		f      auditFlags
		oldest bool
	)
	cmd := &cobra.Command{
		Use: "tail", Short: "Follow the records of all nodes as they come, each once, one JSON record a line", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			begin := ""
			if oldest {
				begin = "oldest"
			}
			from, err := f.admin.open(cmd.Context(), http.MethodGet, "/v1/audit/tail"+auditQuery(&f.filter, f.from, f.to, "begin", begin), nil)
			if err != nil {
				return err
			}
			defer func() { _ = from.Close() }()
			_, err = io.Copy(cmd.OutOrStdout(), bufio.NewReader(from))
			if cmd.Context().Err() != nil || errors.Is(err, context.Canceled) {
				return nil // the reader has had enough
			}
			return errors.Join(errors.New("the node has ended the stream; follow another one"), err)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&oldest, "oldest", false, "begin with the oldest record there is, instead of the next one")
	return cmd
}
