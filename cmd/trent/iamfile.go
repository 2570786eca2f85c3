package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// identityFile is what trent iam export writes and import reads: an account's identities without credentials.
type identityFile struct {
	// Account is the account that the file comes from; import puts the account of its credentials in the place of it in ARNs
	// of policies and in the trust policies of roles.
	Account string `json:"account"`
	// Providers are those of OpenID Connect.
	Providers []fileProvider `json:"providers,omitempty"`
	Policies  []filePolicy   `json:"policies,omitempty"`
	Groups    []fileIdentity `json:"groups,omitempty"`
	Roles     []fileIdentity `json:"roles,omitempty"`
	Users     []fileIdentity `json:"users,omitempty"`
}

type filePolicy struct {
	Name        string          `json:"name"`
	Path        string          `json:"path"`
	Description string          `json:"description,omitempty"`
	Document    json.RawMessage `json:"document"`
}

type fileIdentity struct {
	Name  string          `json:"name"`
	Path  string          `json:"path"`
	Trust json.RawMessage `json:"trust,omitempty"` // roles
	// Description and MaxSession (seconds) are those of roles.
	Description string                     `json:"description,omitempty"`
	MaxSession  int                        `json:"maxSession,omitempty"`
	Inline      map[string]json.RawMessage `json:"inline,omitempty"`
	Attached    []string                   `json:"attached,omitempty"` // ARNs
	Boundary    string                     `json:"boundary,omitempty"` // ARN
	Groups      []string                   `json:"groups,omitempty"`   // users
	Tags        map[string]string          `json:"tags,omitempty"`
}

// exportIdentities writes the account's identities as JSON.
func exportIdentities(ctx context.Context, c *iamClient, out io.Writer) error {
	account, err := c.account(ctx)
	if err != nil {
		return err
	}
	all, err := c.details(ctx)
	if err != nil {
		return err
	}
	f := identityFile{Account: account}
	for _, p := range all.Policies {
		i := slices.IndexFunc(p.Versions, func(v policyVersion) bool { return v.IsDefault })
		if i < 0 {
			return fmt.Errorf("policy %s has no version in force", p.ARN)
		}
		f.Policies = append(f.Policies, filePolicy{p.Name, p.Path, p.Description, json.RawMessage(p.Versions[i].Document)})
	}
	for _, list := range []struct {
		from []identityDetail
		to   *[]fileIdentity
	}{{all.Groups, &f.Groups}, {all.Roles, &f.Roles}, {all.Users, &f.Users}} {
		for i := range list.from {
			*list.to = append(*list.to, fileOf(&list.from[i]))
		}
	}
	for i := range f.Roles {
		if err := describeRole(ctx, c, &f.Roles[i]); err != nil {
			return err
		}
	}
	providers, err := c.providers(ctx)
	if err != nil {
		return err
	}
	for i := range providers {
		f.Providers = append(f.Providers, fileOfProvider(&providers[i]))
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(f)
}

// describeRole adds what the list of everything leaves out.
func describeRole(ctx context.Context, c *iamClient, f *fileIdentity) error {
	var r struct {
		Description string `xml:"Role>Description"`
		MaxSession  int    `xml:"Role>MaxSessionDuration"`
	}
	err := c.iam(ctx, "GetRole", url.Values{"RoleName": {f.Name}}, &r)
	f.Description, f.MaxSession = r.Description, r.MaxSession
	return err
}

func fileOf(d *identityDetail) fileIdentity {
	f := fileIdentity{
		Name: d.UserName + d.GroupName + d.RoleName, Path: d.Path, Attached: d.Attached, Boundary: d.Boundary, Groups: d.Groups,
		Trust: json.RawMessage(d.Trust),
	}
	for _, p := range slices.Concat(d.UserInline, d.GroupInline, d.RoleInline) {
		if f.Inline == nil {
			f.Inline = make(map[string]json.RawMessage)
		}
		f.Inline[p.Name] = json.RawMessage(p.Document)
	}
	for _, t := range d.Tags {
		if f.Tags == nil {
			f.Tags = make(map[string]string)
		}
		f.Tags[t.Key] = t.Value
	}
	return f
}

// importer brings a file into an account. It adds and replaces; it removes nothing.
type importer struct {
	c             *iamClient
	out           io.Writer
	from, account string
}

func importIdentities(ctx context.Context, c *iamClient, in io.Reader, out io.Writer) error {
	var f identityFile
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return usageError{fmt.Errorf("the file is not what trent iam export writes: %w", err)}
	}
	account, err := c.account(ctx)
	if err != nil {
		return err
	}
	m := &importer{c, out, f.Account, account}
	for i := range f.Providers {
		if err := m.provider(ctx, &f.Providers[i]); err != nil {
			return fmt.Errorf("provider %s: %w", f.Providers[i].URL, err)
		}
	}
	for i := range f.Policies {
		if err := m.policy(ctx, &f.Policies[i]); err != nil {
			return fmt.Errorf("policy %s: %w", f.Policies[i].Name, err)
		}
	}
	for _, list := range []struct {
		kind string
		all  []fileIdentity
	}{{"Group", f.Groups}, {"User", f.Users}, {"Role", f.Roles}} { // trust policies name users
		for i := range list.all {
			if err := m.identity(ctx, list.kind, &list.all[i]); err != nil {
				return fmt.Errorf("%s %s: %w", strings.ToLower(list.kind), list.all[i].Name, err)
			}
		}
	}
	return nil
}

func (m *importer) say(format string, args ...any) { _, _ = fmt.Fprintf(m.out, format+"\n", args...) }

// local is an ARN with this account in the place of the file's.
func (m *importer) local(arn string) string {
	return strings.Replace(arn, "::"+m.from+":", "::"+m.account+":", 1)
}

// trust is a role's trust policy with this account's principals in the place of the file's.
func (m *importer) trust(f *fileIdentity) string {
	return strings.ReplaceAll(string(f.Trust), ":iam::"+m.from+":", ":iam::"+m.account+":")
}

// policy makes a managed policy, or puts the file's document in force if another is.
func (m *importer) policy(ctx context.Context, p *filePolicy) error {
	in := url.Values{"PolicyName": {p.Name}, "Path": {p.Path}, "PolicyDocument": {string(p.Document)}}
	if p.Description != "" {
		in.Set("Description", p.Description)
	}
	err := m.c.iam(ctx, "CreatePolicy", in, nil)
	if err == nil {
		m.say("created policy %s", p.Name)
		return nil
	}
	if !isCode(err, "EntityAlreadyExists") {
		return err
	}
	all, err := m.c.details(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all.Policies, func(d policyDetail) bool { return strings.EqualFold(d.Name, p.Name) })
	if i < 0 {
		return fmt.Errorf("it exists and is not in the list of policies")
	}
	return m.newVersion(ctx, &all.Policies[i], p)
}

func (m *importer) newVersion(ctx context.Context, have *policyDetail, want *filePolicy) error {
	oldest := ""
	for _, v := range have.Versions {
		if v.IsDefault && sameJSON(string(v.Document), string(want.Document)) {
			return nil
		}
		if !v.IsDefault {
			oldest = v.ID
		}
	}
	if len(have.Versions) >= 5 {
		if err := m.c.iam(ctx, "DeletePolicyVersion", url.Values{"PolicyArn": {have.ARN}, "VersionId": {oldest}}, nil); err != nil {
			return err
		}
	}
	in := url.Values{"PolicyArn": {have.ARN}, "PolicyDocument": {string(want.Document)}, "SetAsDefault": {"true"}}
	if err := m.c.iam(ctx, "CreatePolicyVersion", in, nil); err != nil {
		return err
	}
	m.say("changed policy %s", have.Name)
	return nil
}

// sameJSON compares documents without regard to white space.
func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}

// identity makes a group, user or role, and gives it what the file says.
func (m *importer) identity(ctx context.Context, kind string, f *fileIdentity) error {
	name := url.Values{kind + "Name": {f.Name}}
	with := func(more ...string) url.Values {
		v := url.Values{kind + "Name": {f.Name}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	in := with("Path", f.Path)
	if kind == "Role" {
		in.Set("AssumeRolePolicyDocument", m.trust(f))
		in.Set("Description", f.Description)
		in.Set("MaxSessionDuration", strconv.Itoa(max(f.MaxSession, 3600)))
	}
	err := m.c.iam(ctx, "Create"+kind, in, nil)
	switch {
	case err == nil:
		m.say("created %s %s", strings.ToLower(kind), f.Name)
	case !isCode(err, "EntityAlreadyExists"):
		return err
	case kind == "Role":
		if err := m.c.iam(ctx, "UpdateAssumeRolePolicy", with("PolicyDocument", m.trust(f)), nil); err != nil {
			return err
		}
		in := with("Description", f.Description, "MaxSessionDuration", strconv.Itoa(max(f.MaxSession, 3600)))
		if err := m.c.iam(ctx, "UpdateRole", in, nil); err != nil {
			return err
		}
	}
	for policy, document := range f.Inline {
		if err := m.c.iam(ctx, "Put"+kind+"Policy", with("PolicyName", policy, "PolicyDocument", string(document)), nil); err != nil {
			return err
		}
	}
	for _, policy := range f.Attached {
		if err := m.c.iam(ctx, "Attach"+kind+"Policy", with("PolicyArn", m.local(policy)), nil); err != nil {
			return err
		}
	}
	return m.rest(ctx, kind, f, name, with)
}

func (m *importer) rest(ctx context.Context, kind string, f *fileIdentity, name url.Values, with func(...string) url.Values) error {
	if f.Boundary != "" {
		if err := m.c.iam(ctx, "Put"+kind+"PermissionsBoundary", with("PermissionsBoundary", m.local(f.Boundary)), nil); err != nil {
			return err
		}
	}
	for _, group := range f.Groups {
		if err := m.c.iam(ctx, "AddUserToGroup", with("GroupName", group), nil); err != nil {
			return err
		}
	}
	if len(f.Tags) == 0 {
		return nil
	}
	maps.Copy(name, tagValues(f.Tags))
	return m.c.iam(ctx, "Tag"+kind, name, nil)
}
