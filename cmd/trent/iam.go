package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func iamCommand() *cobra.Command {
	cmd := group("iam", "Look at users, groups, roles and policies, move them, and ask why a call is allowed or denied",
		iamUsersCommand(), iamKeysCommand(), iamProvidersCommand(), iamProviderKeysCommand(), iamServiceCommand(), iamExportCommand(), iamImportCommand(),
		iamSimulateCommand())
	cmd.Long = cmd.Short + ". The commands call the same API\n" +
		"as the AWS CLI and read the same environment: AWS_ENDPOINT_URL_IAM, AWS_REGION, AWS_ACCESS_KEY_ID,\n" +
		"AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_CA_BUNDLE."
	return cmd
}

// withIAM runs a command with the client that the environment describes.
func withIAM(run func(context.Context, *iamClient, io.Writer) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		c, err := newIAMClient()
		if err != nil {
			return err
		}
		return run(cmd.Context(), c, cmd.OutOrStdout())
	}
}

func iamUsersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "users", Short: "List the users with their groups, policies and boundaries", Args: arguments(cobra.NoArgs),
		RunE: withIAM(func(ctx context.Context, c *iamClient, out io.Writer) error {
			all, err := c.details(ctx)
			if err != nil {
				return err
			}
			t := newTable(out, "USER\tGROUPS\tPOLICIES\tBOUNDARY")
			for _, u := range all.Users {
				var policies []string
				for _, p := range u.UserInline {
					policies = append(policies, p.Name+" (inline)")
				}
				for _, p := range u.Attached {
					policies = append(policies, p[strings.LastIndexByte(p, '/')+1:])
				}
				t.row("%s%s\t%s\t%s\t%s", u.Path[1:], u.UserName, list(u.Groups), list(policies), list(nonEmpty(u.Boundary)))
			}
			return t.Flush()
		}),
	}
}

func list(items []string) string {
	if len(items) == 0 {
		return "-"
	}
	return strings.Join(items, ", ")
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func iamKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keys", Short: "List the access keys of all users", Args: arguments(cobra.NoArgs),
		RunE: withIAM(func(ctx context.Context, c *iamClient, out io.Writer) error {
			all, err := c.details(ctx)
			if err != nil {
				return err
			}
			t := newTable(out, "USER\tACCESS KEY\tSTATUS\tCREATED")
			for _, u := range all.Users {
				var page struct {
					Keys []struct{ AccessKeyId, Status, CreateDate string } `xml:"AccessKeyMetadata>member"`
				}
				if err := c.iam(ctx, "ListAccessKeys", url.Values{"UserName": {u.UserName}}, &page); err != nil {
					return err
				}
				for _, k := range page.Keys {
					t.row("%s\t%s\t%s\t%s", u.UserName, k.AccessKeyId, k.Status, k.CreateDate)
				}
			}
			return t.Flush()
		}),
	}
}

func iamExportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "Write users, groups, roles, policies and providers as JSON, without credentials", Args: arguments(cobra.NoArgs),
		RunE: withIAM(exportIdentities),
	}
}

func iamImportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Bring users, groups, roles, policies and providers from a file of trent iam export; nothing is removed",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return usageError{err}
			}
			defer func() { _ = f.Close() }()
			return withIAM(func(ctx context.Context, c *iamClient, out io.Writer) error {
				return importIdentities(ctx, c, f, out)
			})(cmd, nil)
		},
	}
}

// simulated is the answer of SimulatePrincipalPolicy.
type simulated struct {
	Results []simulatedResult `xml:"EvaluationResults>member" json:"results"`
}

type simulatedResult struct {
	Action     string             `xml:"EvalActionName" json:"action"`
	Resource   string             `xml:"EvalResourceName" json:"resource"`
	Decision   string             `xml:"EvalDecision" json:"decision"`
	Statements []matchedStatement `xml:"MatchedStatements>member" json:"statements"`
	Missing    []string           `xml:"MissingContextValues>member" json:"missingContextKeys"`
	Steps      []simulatedStep    `xml:"EvalSteps>member" json:"steps"`
}

type matchedStatement struct {
	Policy string `xml:"SourcePolicyId" json:"policy"`
	Effect string `xml:"Effect" json:"effect"`
	Sid    string `xml:"Sid" json:"sid,omitempty"`
}

type simulatedStep struct {
	Question string `xml:"Question" json:"question"`
	Holds    bool   `xml:"Holds" json:"holds"`
}

// errNotAllowed makes the exit code of a simulation tell what it found.
var errNotAllowed = errors.New("not everything is allowed")

func iamSimulateCommand() *cobra.Command {
	var principal string
	var as format
	var actions, resources, assumed []string
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Explain step by step whether a user or role may do something",
		Example: "  trent iam simulate --principal arn:aws:iam::111122223333:user/ann --action kms:Decrypt \\\n" +
			"    --resource arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab \\\n" +
			"    --context kms:EncryptionContext:tenant=acme",
		Args: arguments(cobra.NoArgs),
		RunE: withIAM(func(ctx context.Context, c *iamClient, out io.Writer) error {
			in, err := simulation(principal, actions, resources, assumed)
			if err != nil {
				return usageError{err}
			}
			var s simulated
			if err := c.iam(ctx, "SimulatePrincipalPolicy", in, &s); err != nil {
				return err
			}
			return s.print(out, as)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&principal, "principal", "", "ARN of a user, group or role")
	f.StringSliceVar(&actions, "action", nil, "action, such as kms:Decrypt; more than one if repeated")
	f.StringSliceVar(&resources, "resource", nil, "ARN of a resource, * if not given; more than one if repeated")
	f.StringArrayVar(&assumed, "context", nil, "condition key and value, as KEY=VALUE; more than one if repeated")
	formatFlag(cmd, &as)
	return cmd
}

func simulation(principal string, actions, resources, assumed []string) (url.Values, error) {
	if principal == "" || len(actions) == 0 {
		return nil, errors.New("--principal and --action are needed")
	}
	in := url.Values{"PolicySourceArn": {principal}}
	for i, a := range actions {
		in.Set(fmt.Sprint("ActionNames.member.", i+1), a)
	}
	for i, r := range resources {
		in.Set(fmt.Sprint("ResourceArns.member.", i+1), r)
	}
	for i, entry := range assumed {
		key, value, ok := strings.Cut(entry, "=")
		if !ok {
			return nil, fmt.Errorf("--context %s is not KEY=VALUE", entry)
		}
		at := fmt.Sprint("ContextEntries.member.", i+1)
		in.Set(at+".ContextKeyName", key)
		in.Set(at+".ContextKeyType", "string")
		in.Set(at+".ContextKeyValues.member.1", value)
	}
	return in, nil
}

// print shows a simulation. The error tells that not everything is allowed.
func (s *simulated) print(out io.Writer, as format) (err error) {
	for _, r := range s.Results {
		if r.Decision != "allowed" {
			err = errNotAllowed
		}
	}
	if as == formatJSON {
		return errors.Join(json.NewEncoder(out).Encode(s), err)
	}
	for _, r := range s.Results {
		_, _ = fmt.Fprintf(out, "%s on %s: %s\n", r.Action, r.Resource, r.Decision)
		for _, step := range r.Steps {
			answer := "no"
			if step.Holds {
				answer = "yes"
			}
			_, _ = fmt.Fprintf(out, "  %s: %s\n", step.Question, answer)
		}
		for _, m := range r.Statements {
			_, _ = fmt.Fprintf(out, "  statement: %s %s in %s\n", m.Effect, quoted(m.Sid), m.Policy)
		}
		for _, key := range r.Missing {
			_, _ = fmt.Fprintf(out, "  not known: %s (give it with --context)\n", key)
		}
	}
	return err
}

func quoted(sid string) string {
	if sid == "" {
		return "without Sid"
	}
	return fmt.Sprintf("%q", sid)
}
