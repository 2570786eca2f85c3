package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/region"
)

// shownQuota is a quota in the shape of Service Quotas (spec 03 QUO-02).
type shownQuota struct {
	ServiceCode string  `json:"ServiceCode"`
	QuotaName   string  `json:"QuotaName"`
	Value       float64 `json:"Value"`
	Unit        string  `json:"Unit"`
	Adjustable  bool    `json:"Adjustable"`
	GlobalQuota bool    `json:"GlobalQuota"`
}

type shownQuotas struct {
	Quotas []shownQuota `json:"Quotas"`
}

// quotaWish is the body of PUT /v1/quotas.
type quotaWish struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
}

// routeQuotas adds the admin API's part about quotas.
func (n *node) routeQuotas(mux *adminMux) {
	mux.HandleFunc("GET /v1/quotas", n.admin(func(ctx context.Context, _ *http.Request) (any, error) { return n.showQuotas(ctx) }))
	mux.HandleFunc("PUT /v1/quotas", n.admin(func(ctx context.Context, r *http.Request) (any, error) {
		var wish quotaWish
		if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&wish); err != nil {
			return nil, fmt.Errorf("%w: %w", region.ErrQuota, err)
		}
		return struct{}{}, n.service.SetResourceQuota(ctx, wish.Name, wish.Value)
	}))
}

// showQuotas lists the resource quotas, then the request quotas of accounts without a profile of their own, as this node has them.
func (n *node) showQuotas(ctx context.Context) (shownQuotas, error) {
	all, err := n.service.ResourceQuotas(ctx)
	if err != nil {
		return shownQuotas{}, err
	}
	var out shownQuotas
	for _, q := range all {
		out.Quotas = append(out.Quotas, shownQuota{"kms", q.Name, float64(q.Value), "None", q.Adjustable, false})
	}
	if q := n.cfg.Limits.Quotas; q != nil {
		for _, name := range slices.Sorted(maps.Keys(q.Default)) {
			out.Quotas = append(out.Quotas, shownQuota{"kms", name, q.Default[name].Rate(), "None", true, false})
		}
	}
	return out, nil
}

// quotaStatusCode is the status of an error about quotas, 0 for others.
func quotaStatusCode(err error) int {
	if errors.Is(err, region.ErrQuota) {
		return http.StatusBadRequest
	}
	return 0
}

func quotasCommand() *cobra.Command {
	cmd := showing(&cobra.Command{
		Use: "quotas", Short: "List the quotas of the region's accounts", Args: arguments(cobra.NoArgs),
	}, "/v1/quotas", func(out io.Writer, all shownQuotas) error {
		t := newTable(out, "QUOTA\tVALUE\tADJUSTABLE")
		for _, q := range all.Quotas {
			t.row("%s\t%v\t%t", q.QuotaName, q.Value, q.Adjustable)
		}
		return t.Flush()
	})
	var s adminFlags
	set := &cobra.Command{
		Use: "set NAME VALUE", Short: "Set a resource quota for every account; request quotas are set in the configuration", Args: arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := strconv.Atoi(args[1])
			if err != nil {
				return usageError{fmt.Errorf("%q is not a number", args[1])}
			}
			return s.call(cmd.Context(), http.MethodPut, "/v1/quotas", quotaWish{args[0], value}, &struct{}{})
		},
	}
	s.add(set)
	cmd.AddCommand(set)
	return cmd
}
