package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/region"
)

// serviceWish is the body of POST /v1/services.
type serviceWish struct {
	Name string `json:"name"`
}

// routeServices adds the admin API's part about registered services.
func (n *node) routeServices(mux *adminMux) {
	mux.HandleFunc("GET /v1/services", n.admin(func(ctx context.Context, _ *http.Request) (any, error) { return n.service.Services(ctx) }))
	mux.HandleFunc("POST /v1/services", n.admin(func(ctx context.Context, r *http.Request) (any, error) {
		var wish serviceWish
		if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&wish); err != nil {
			return nil, fmt.Errorf("the request: %w", err)
		}
		return n.service.RegisterService(ctx, wish.Name)
	}))
	mux.HandleFunc("DELETE /v1/services/{name}", n.admin(func(ctx context.Context, r *http.Request) (any, error) {
		return struct{}{}, n.service.DeleteService(ctx, r.PathValue("name"), r.URL.Query().Get("access-key-id"))
	}))
}

// serviceStatusCode is the status of an error about services, 0 for others.
func serviceStatusCode(err error) int {
	switch {
	case errors.Is(err, region.ErrNoService):
		return http.StatusNotFound
	case errors.Is(err, region.ErrServiceKeys):
		return http.StatusConflict
	case errors.Is(err, region.ErrServiceName):
		return http.StatusBadRequest
	}
	return 0
}

func iamServiceCommand() *cobra.Command {
	cmd := group("service", "Services that call on behalf of others, or for themselves", serviceCreateCommand(), serviceListCommand(), serviceDeleteCommand())
	cmd.Long = cmd.Short + ". A registered service has an\naccess key of its own and may say for whom it calls, so that kms:ViaService, aws:SourceArn and the like can be\n" +
		"trusted. The commands talk to the node on this machine, or to --endpoint with credentials."
	return cmd
}

func serviceCreateCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Register a service, or give it a second access key to change over to; the secret is shown once",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s region.RegisteredService
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/services", serviceWish{args[0]}, &s); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), s, func(w io.Writer) error {
				k := s.AccessKeys[0]
				_, err := fmt.Fprintf(w, "%s is registered. Its access key is shown once:\n\n  AWS_ACCESS_KEY_ID=%s\n  AWS_SECRET_ACCESS_KEY=%s\n",
					s.Principal, k.AccessKeyID, k.SecretAccessKey)
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

func serviceListCommand() *cobra.Command {
	return showing(&cobra.Command{
		Use: "list", Short: "List the registered services with their access keys", Args: arguments(cobra.NoArgs),
	}, "/v1/services", func(out io.Writer, all []region.RegisteredService) error {
		t := newTable(out, "SERVICE\tPRINCIPAL\tACCESS KEYS")
		for _, s := range all {
			var keys []string
			for _, k := range s.AccessKeys {
				keys = append(keys, k.AccessKeyID)
			}
			t.row("%s\t%s\t%s", s.Name, s.Principal, strings.Join(keys, ", "))
		}
		return t.Flush()
	})
}

func serviceDeleteCommand() *cobra.Command {
	var (
		f  adminFlags
		id string
	)
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a service, or one of its access keys; it signs nothing any more at once", Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/services/" + url.PathEscape(args[0])
			if id != "" {
				path += "?access-key-id=" + url.QueryEscape(id)
			}
			return f.call(cmd.Context(), http.MethodDelete, path, nil, &struct{}{})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&id, "access-key-id", "", "delete this access key alone")
	return cmd
}
