package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// providerDetail is an OpenID Connect provider as GetOpenIDConnectProvider shows it.
type providerDetail struct {
	ARN         string
	URL         string      `xml:"Url"` // without https://
	ClientIDs   []string    `xml:"ClientIDList>member"`
	Thumbprints []string    `xml:"ThumbprintList>member"`
	KeySet      string      `xml:"OfflineKeySet"`
	Tags        []tagDetail `xml:"Tags>member"`
}

// providerARN is the ARN of the account's provider of an issuer.
func (c *iamClient) providerARN(ctx context.Context, issuer string) (string, error) {
	arns, err := c.providerARNs(ctx)
	if err != nil {
		return "", err
	}
	for _, arn := range arns {
		if strings.HasSuffix(arn, ":oidc-provider/"+strings.TrimPrefix(issuer, "https://")) {
			return arn, nil
		}
	}
	return "", errors.New("it exists and is not in the list of providers")
}

func (c *iamClient) providerARNs(ctx context.Context) ([]string, error) {
	var list struct {
		ARNs []string `xml:"OpenIDConnectProviderList>member>Arn"`
	}
	err := c.iam(ctx, "ListOpenIDConnectProviders", nil, &list)
	return list.ARNs, err
}

// providers reads all OpenID Connect providers of the account.
func (c *iamClient) providers(ctx context.Context) ([]providerDetail, error) {
	arns, err := c.providerARNs(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]providerDetail, len(arns))
	for i, arn := range arns {
		if err := c.iam(ctx, "GetOpenIDConnectProvider", url.Values{"OpenIDConnectProviderArn": {arn}}, &all[i]); err != nil {
			return nil, err
		}
		all[i].ARN = arn
	}
	return all, nil
}

func iamProvidersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "providers", Short: "List the OpenID Connect providers and where their keys come from", Args: arguments(cobra.NoArgs),
		RunE: withIAM(func(ctx context.Context, c *iamClient, out io.Writer) error {
			all, err := c.providers(ctx)
			if err != nil {
				return err
			}
			t := newTable(out, "PROVIDER\tCLIENT IDS\tKEYS")
			for _, p := range all {
				keys := "fetched from the issuer"
				if p.KeySet != "" {
					keys = "from a file"
				}
				t.row("%s\t%s\t%s", p.ARN, list(p.ClientIDs), keys)
			}
			return t.Flush()
		}),
	}
}

// maxKeySetFile bounds a file of keys, in bytes: the service's own limit and white space.
const maxKeySetFile = 1 << 20

func iamProviderKeysCommand() *cobra.Command {
	var fetch bool
	cmd := &cobra.Command{
		Use: "provider-keys ARN [FILE]", Short: "Give an OpenID Connect provider its keys as a file, or have them fetched again",
		Long: "Give an OpenID Connect provider the key set of its issuer (a JSON Web Key Set) as a file, for sites from which the\n" +
			"issuer cannot be reached: nothing is fetched from then on, and new keys of the issuer need a new file.\n" +
			"With --fetch the keys come from the issuer again.",
		Args: arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if fetch == (len(args) == 2) {
				return usageError{errors.New("give either a FILE or --fetch")}
			}
			in := url.Values{"OpenIDConnectProviderArn": {args[0]}, "KeySet": {""}}
			if !fetch {
				text, err := readKeySet(args[1])
				if err != nil {
					return usageError{err}
				}
				in.Set("KeySet", text)
			}
			return withIAM(func(ctx context.Context, c *iamClient, _ io.Writer) error {
				return c.iam(ctx, "PutOpenIDConnectProviderKeys", in, nil)
			})(cmd, nil)
		},
	}
	cmd.Flags().BoolVar(&fetch, "fetch", false, "have the keys fetched from the issuer")
	return cmd
}

func readKeySet(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxKeySetFile+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxKeySetFile:
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxKeySetFile)
	}
	return strings.TrimSpace(string(b)), nil
}

// fileProvider is an OpenID Connect provider in an identity file.
type fileProvider struct {
	URL         string            `json:"url"`
	ClientIDs   []string          `json:"clientIds,omitempty"`
	Thumbprints []string          `json:"thumbprints,omitempty"`
	KeySet      string            `json:"keySet,omitempty"` // public keys, where none are fetched
	Tags        map[string]string `json:"tags,omitempty"`
}

func fileOfProvider(p *providerDetail) fileProvider {
	f := fileProvider{URL: "https://" + p.URL, ClientIDs: p.ClientIDs, Thumbprints: p.Thumbprints, KeySet: p.KeySet}
	for _, t := range p.Tags {
		if f.Tags == nil {
			f.Tags = make(map[string]string)
		}
		f.Tags[t.Key] = t.Value
	}
	return f
}

// provider makes an OpenID Connect provider, or gives one that exists what the file says.
func (m *importer) provider(ctx context.Context, p *fileProvider) error {
	var arn string
	on := func(operation string, more url.Values) error {
		more.Set("OpenIDConnectProviderArn", arn)
		return m.c.iam(ctx, operation, more, nil)
	}
	err := m.c.iam(ctx, "CreateOpenIDConnectProvider", url.Values{"Url": {p.URL}}, nil)
	switch {
	case err == nil:
		m.say("created provider %s", p.URL)
	case !isCode(err, "EntityAlreadyExists"):
		return err
	}
	if arn, err = m.c.providerARN(ctx, p.URL); err != nil {
		return err
	}
	for _, id := range p.ClientIDs {
		if err := on("AddClientIDToOpenIDConnectProvider", url.Values{"ClientID": {id}}); err != nil {
			return err
		}
	}
	if len(p.Thumbprints) > 0 {
		in := url.Values{}
		for i, t := range p.Thumbprints {
			in.Set(fmt.Sprint("ThumbprintList.member.", i+1), t)
		}
		if err := on("UpdateOpenIDConnectProviderThumbprint", in); err != nil {
			return err
		}
	}
	if p.KeySet != "" {
		if err := on("PutOpenIDConnectProviderKeys", url.Values{"KeySet": {p.KeySet}}); err != nil {
			return err
		}
	}
	if len(p.Tags) == 0 {
		return nil
	}
	return on("TagOpenIDConnectProvider", tagValues(p.Tags))
}

// tagValues are tags as parameters.
func tagValues(tags map[string]string) url.Values {
	in := url.Values{}
	for key, value := range tags {
		n := len(in)/2 + 1
		in.Set(fmt.Sprintf("Tags.member.%d.Key", n), key)
		in.Set(fmt.Sprintf("Tags.member.%d.Value", n), value)
	}
	return in
}
