package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/region"
)

// accountWish is the body of POST /v1/accounts.
type accountWish struct {
	ID string `json:"id"`
}

// routeAccounts adds the admin API's part about accounts.
func (n *node) routeAccounts(mux *adminMux) {
	mux.HandleFunc("GET /v1/accounts", n.admin(func(ctx context.Context, _ *http.Request) (any, error) { return n.service.Accounts(ctx) }))
	mux.HandleFunc("POST /v1/accounts", n.admin(func(ctx context.Context, r *http.Request) (any, error) {
		var wish accountWish
		if err := decodeAdmin(r, &wish); err != nil {
			return nil, err
		}
		return n.service.CreateAccount(ctx, wish.ID)
	}))
}

// accountStatusCode is the status of an error about accounts, 0 for others.
func accountStatusCode(err error) int {
	switch {
	case errors.Is(err, region.ErrAccountID):
		return http.StatusBadRequest
	case errors.Is(err, region.ErrAccountExists):
		return http.StatusConflict
	}
	return 0
}

func accountCommand() *cobra.Command {
	return group("account", "Accounts of the region: each has keys, identities and quotas of its own", accountCreateCommand(), accountListCommand())
}

func accountCreateCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "create ID", Short: "Make an account; the credentials of its root user are shown once", Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var a region.NewAccount
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/accounts", accountWish{args[0]}, &a); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), a, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Account %s is made. The credentials of its root user are shown once:\n\n  AWS_ACCESS_KEY_ID=%s\n  AWS_SECRET_ACCESS_KEY=%s\n",
					a.ID, a.AccessKeyID, a.SecretAccessKey)
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

func accountListCommand() *cobra.Command {
	return showing(&cobra.Command{
		Use: "list", Short: "List the accounts with the number of their customer managed keys", Args: arguments(cobra.NoArgs),
	}, "/v1/accounts", func(out io.Writer, all []region.AccountInfo) error {
		t := newTable(out, "ACCOUNT\tKEYS\tCREATED\tOPERATOR")
		for _, a := range all {
			t.row("%s\t%d\t%s\t%t", a.ID, a.Keys, a.CreatedAt.Format(time.RFC3339), a.Operator)
		}
		return t.Flush()
	})
}
