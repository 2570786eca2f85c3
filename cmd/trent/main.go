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
	exitHeld   = 3 // refused: something has to be done or confirmed first; the message says what
)

// heldError marks a refusal that the operator can lift.
type heldError struct{ error }

// usageError marks a mistake in the command line or the configuration.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the first signal drains, a second one ends the process at once
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "trent:", err)
		os.Exit(exitCode(err))
	}
}

func exitCode(err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	var held heldError
	if errors.As(err, &held) {
		return exitHeld
	}
	return exitFailed
}

func root() *cobra.Command {
	cmd := group("trent", "A self-hosted key management service that speaks the AWS KMS API",
		devCommand(), serverCommand(), operatorCommand(), auditCommand(), iamCommand(), versionCommand())
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

// group is a command that only holds others: alone it prints its help, and any other word after it is a mistake, which cobra by
// itself would pass over.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// arguments makes wrong arguments a mistake in the command line.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// format is the flag --format: text for people, json for programs.
type format string

const (
	formatText format = "text"
	formatJSON format = "json"
)

func formatFlag(cmd *cobra.Command, f *format) {
	*f = formatText
	cmd.Flags().Var(f, "format", "text or json")
}

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "string" }

// Set implements pflag.Value.
func (f *format) Set(v string) error {
	if *f = format(v); *f != formatText && *f != formatJSON {
		return errors.New("it is text or json")
	}
	return nil
}
