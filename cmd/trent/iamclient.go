package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

// iamClient calls IAM and STS as the environment says: the variables are those of the AWS CLI and SDKs.
type iamClient struct {
	endpoint string
	region   string
	http     *http.Client
	cred     sigv4.Credentials
}

// newIAMClient reads the environment, as . env.sh sets it.
func newIAMClient() (*iamClient, error) {
	return newClient(cmp.Or(os.Getenv("AWS_ENDPOINT_URL_IAM"), os.Getenv("AWS_ENDPOINT_URL_KMS"), os.Getenv("AWS_ENDPOINT_URL")))
}

// newClient reads the environment, the endpoint apart.
func newClient(endpoint string) (*iamClient, error) {
	c := &iamClient{
		endpoint: endpoint,
		region:   cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		cred: sigv4.Credentials{
			AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: []byte(os.Getenv("AWS_SECRET_ACCESS_KEY")),
			SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
		},
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_IAM": c.endpoint, "AWS_REGION": c.region, "AWS_ACCESS_KEY_ID": c.cred.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": string(c.cred.SecretAccessKey),
	} {
		if value == "" {
			return nil, usageError{fmt.Errorf("%s is not set; source the env.sh of the node's data directory", name)}
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if file := os.Getenv("AWS_CA_BUNDLE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, usageError{fmt.Errorf("%s (AWS_CA_BUNDLE) has no certificates", file)}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	c.http = &http.Client{Transport: transport, Timeout: time.Minute}
	return c, nil
}

// apiError is an error answer.
type apiError struct{ Code, Message string }

// Error returns code and message.
func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// isCode tells whether an error is an answer with a code.
func isCode(err error, code string) bool {
	var e *apiError
	return errors.As(err, &e) && e.Code == code
}

// iam calls an operation of IAM; out is what is in the element <Operation>Result, nil if nothing is wanted.
func (c *iamClient) iam(ctx context.Context, operation string, in url.Values, out any) error {
	return c.call(ctx, "iam", "2010-05-08", operation, in, out)
}

// maxAnswer bounds an answer that is read, in bytes.
const maxAnswer = 64 << 20

func (c *iamClient) call(ctx context.Context, service, version, operation string, in url.Values, out any) error {
	form := url.Values{"Action": {operation}, "Version": {version}}
	for name, values := range in {
		form[name] = values
	}
	body := []byte(form.Encode())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.endpoint, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	signer, err := sigv4.NewSigner(c.cred, c.region, service)
	if err != nil {
		return err
	}
	if err := signer.Sign(r, sha256.Sum256(body), time.Now()); err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errorOf(resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return decodeResult(answer, operation+"Result", out)
}

func errorOf(status string, answer []byte) error {
	var e struct{ Error apiError }
	if err := xml.Unmarshal(answer, &e); err != nil || e.Error.Code == "" {
		return fmt.Errorf("HTTP %s: %.200s", status, answer)
	}
	return &e.Error
}

// decodeResult decodes the element of a name within the answer.
func decodeResult(answer []byte, name string, out any) error {
	for d := xml.NewDecoder(bytes.NewReader(answer)); ; {
		token, err := d.Token()
		if err != nil {
			return fmt.Errorf("the answer has no %s: %w", name, err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == name {
			return d.DecodeElement(out, &start)
		}
	}
}

// policyText is a policy document, which answers carry percent-encoded.
type policyText string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *policyText) UnmarshalText(b []byte) error {
	s, err := url.PathUnescape(string(b))
	*p = policyText(s)
	return err
}

// Parts of the answer of GetAccountAuthorizationDetails.
type (
	inlineDetail struct {
		Name     string     `xml:"PolicyName"`
		Document policyText `xml:"PolicyDocument"`
	}
	tagDetail struct {
		Key   string `xml:"Key"`
		Value string `xml:"Value"`
	}
	identityDetail struct {
		Path        string         `xml:"Path"`
		UserName    string         `xml:"UserName"`
		GroupName   string         `xml:"GroupName"`
		RoleName    string         `xml:"RoleName"`
		ARN         string         `xml:"Arn"`
		Trust       policyText     `xml:"AssumeRolePolicyDocument"`
		UserInline  []inlineDetail `xml:"UserPolicyList>member"`
		GroupInline []inlineDetail `xml:"GroupPolicyList>member"`
		RoleInline  []inlineDetail `xml:"RolePolicyList>member"`
		Groups      []string       `xml:"GroupList>member"`
		Attached    []string       `xml:"AttachedManagedPolicies>member>PolicyArn"`
		Boundary    string         `xml:"PermissionsBoundary>PermissionsBoundaryArn"`
		Tags        []tagDetail    `xml:"Tags>member"`
	}
	policyVersion struct {
		ID        string     `xml:"VersionId"`
		Document  policyText `xml:"Document"`
		IsDefault bool       `xml:"IsDefaultVersion"`
	}
	policyDetail struct {
		Name        string          `xml:"PolicyName"`
		ARN         string          `xml:"Arn"`
		Path        string          `xml:"Path"`
		Description string          `xml:"Description"`
		Versions    []policyVersion `xml:"PolicyVersionList>member"`
	}
	accountDetails struct {
		Users    []identityDetail `xml:"UserDetailList>member"`
		Groups   []identityDetail `xml:"GroupDetailList>member"`
		Roles    []identityDetail `xml:"RoleDetailList>member"`
		Policies []policyDetail   `xml:"Policies>member"`
		More     bool             `xml:"IsTruncated"`
		Marker   string           `xml:"Marker"`
	}
)

// details reads all identities and customer managed policies of the account.
func (c *iamClient) details(ctx context.Context) (*accountDetails, error) {
	all := &accountDetails{}
	in := url.Values{"MaxItems": {"1000"}}
	for i, filter := range []string{"User", "Group", "Role", "LocalManagedPolicy"} {
		in.Set(fmt.Sprint("Filter.member.", i+1), filter)
	}
	for {
		var page accountDetails
		if err := c.iam(ctx, "GetAccountAuthorizationDetails", in, &page); err != nil {
			return nil, err
		}
		all.Users, all.Groups = append(all.Users, page.Users...), append(all.Groups, page.Groups...)
		all.Roles, all.Policies = append(all.Roles, page.Roles...), append(all.Policies, page.Policies...)
		if !page.More {
			return all, nil
		}
		in.Set("Marker", page.Marker)
	}
}

// account is the account of the credentials.
func (c *iamClient) account(ctx context.Context) (string, error) {
	var me struct{ Account string }
	err := c.call(ctx, "sts", "2011-06-15", "GetCallerIdentity", nil, &me)
	return me.Account, err
}
