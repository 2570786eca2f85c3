// Command trent is the whole of Trent in one binary: trent dev (one node, no set-up), trent server (a node of a region),
// and the operator's commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, for scripts.
const (
	exitFailed = 1 // the command failed
	exitUsage  = 2 // the command line or the configuration is wrong
)

// usageError marks a mistake in the command line or the configuration.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "trent:", err)
		var usage usageError
		if errors.As(err, &usage) {
			os.Exit(exitUsage)
		}
		os.Exit(exitFailed)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "trent",
		Short:         "A self-hosted key management service that speaks the AWS KMS API",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(devCommand(), serverCommand(), operatorCommand(), auditCommand(), versionCommand())
	return cmd
}
