package region

import (
	"context"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// PolicyKind is what a policy document of an identity is.
type PolicyKind uint8

// Kinds of documents that operations on identities take.
const (
	InlinePolicy  PolicyKind = iota + 1 // inline policy of a user, group or role
	ManagedPolicy                       // version of a managed policy
	TrustPolicy                         // a role's AssumeRolePolicyDocument
	SessionPolicy                       // policy of a session
)

// IAMConditions are the request's values of the condition keys of IAM and STS operations. Zero values are absent.
type IAMConditions struct {
	PolicyARN           string // iam:PolicyARN
	PermissionsBoundary string // iam:PermissionsBoundary
	ExternalID          string // sts:ExternalId
	RoleSessionName     string // sts:RoleSessionName
	SourceIdentity      string // sts:SourceIdentity
	TransitiveTagKeys   []string
}

// BuiltInPolicy is a managed policy that every account can attach and none can change (spec 04 IDP-08).
type BuiltInPolicy struct {
	ID, Name, Path, ARN, Description, Document string
	// ServiceRole: it belongs to a service-linked role and cannot be attached elsewhere.
	ServiceRole bool
}

// The longest documents, in bytes with white space: what lies above IAM's own limits is white space. It bounds the rows of the
// replicated state, which hold several documents.
const (
	maxDocument  = 32 << 10
	maxDocuments = 96 << 10 // all inline policies of an identity
)

// identityKind has the words that differ between users, groups and roles.
type identityKind struct {
	title, resource, prefix string
	inlineLimit             int // characters of all inline policies (spec 04 IDP-02)
	quota                   string
}

var identityKinds = [...]identityKind{
	fsm.IdentityUser:  {"User", "user", "AIDA", 2048, "PoliciesPerUser"},
	fsm.IdentityGroup: {"Group", "group", "AGPA", 5120, "PoliciesPerGroup"},
	fsm.IdentityRole:  {"Role", "role", "AROA", 10240, "PoliciesPerRole"},
}

// Quotas of one identity (spec 04 IDP-02).
const (
	maxAttached      = 10
	maxUserGroups    = 10
	maxIdentityTags  = 50
	trustPolicyLimit = 2048
	managedLimit     = 6144
)

// IdentityARN is the ARN of a user, group or role.
func (s *Service) IdentityARN(i *fsm.Identity) string {
	return s.identityARN(i.Account, i.Type, i.Path+i.Name)
}

func (s *Service) identityARN(account string, of fsm.IdentityType, pathName string) string {
	return s.iamARN(account, identityKinds[of].resource+pathName)
}

// PolicyARN is the ARN of a customer managed policy.
func (s *Service) PolicyARN(p *fsm.ManagedPolicy) string {
	return s.iamARN(p.Account, "policy"+p.Path+p.Name)
}

func (s *Service) iamARN(account, resource string) string {
	return "arn:" + s.cfg.Partition + ":iam::" + account + ":" + resource
}

// FindIdentity returns the user or role of an ARN, nil if there is none or it has another path or case.
func (s *Service) FindIdentity(st *fsm.State, name string) *fsm.Identity {
	p, ok := arn.ParsePrincipal(name)
	if !ok || p.Partition != s.cfg.Partition {
		return nil
	}
	of := fsm.IdentityUser
	switch p.Kind {
	case arn.User:
	case arn.Role, arn.AssumedRole:
		of = fsm.IdentityRole
	default:
		return nil
	}
	i := st.IdentityNamed(p.Account, of, p.Name)
	if i == nil || i.Name != p.Name || p.Kind != arn.AssumedRole && i.Path != p.Path {
		return nil
	}
	return i
}

// newUniqueID draws the id of an identity or policy: four letters and 17 more in base 32.
func (s *Service) newUniqueID(ctx context.Context, prefix string, length int) (string, error) {
	random := make([]byte, 16)
	if err := s.cfg.HSM.Random(ctx, random); err != nil {
		return "", hsmFault(err)
	}
	return prefix + base32.StdEncoding.EncodeToString(random)[:length], nil
}

const (
	uniqueIDLength  = 17
	accessKeyLength = 16
)

// subject adds the identity of an IAM operation as a target. One that does not exist is a target all the same: whether it does
// is told to those who may know (see identityOf).
func (r *Resolver) subject(of fsm.IdentityType, name string, cond Conditions) error {
	me := r.Call.Caller.Account
	t := Target{Permission: r.Permission, Account: me, Conditions: cond}
	if t.Identity = r.Call.State.IdentityNamed(me, of, name); t.Identity != nil {
		t.ARN = r.svc.IdentityARN(t.Identity)
	} else {
		t.ARN = r.svc.identityARN(me, of, "/"+name)
	}
	r.Call.Targets = append(r.Call.Targets, t)
	return nil
}

// iam adds a resource of the caller's account that is named by the request alone.
func (r *Resolver) iam(resource string, cond Conditions) error {
	me := r.Call.Caller.Account
	r.Call.Targets = append(r.Call.Targets, Target{Permission: r.Permission, Account: me, ARN: r.svc.iamARN(me, resource), Conditions: cond})
	return nil
}

// Principal adds a user, group or role of the caller's account by its ARN.
func (r *Resolver) Principal(name string) error {
	p, ok := arn.ParsePrincipal(name)
	of := map[arn.PrincipalKind]fsm.IdentityType{arn.User: fsm.IdentityUser, arn.Group: fsm.IdentityGroup, arn.Role: fsm.IdentityRole}[p.Kind]
	if !ok || of == 0 || p.Account != r.Call.Caller.Account {
		return iamfault.InvalidInput("Invalid Entity Arn: %s does not clearly define entity type and name.", name)
	}
	return r.subject(of, p.Name, Conditions{})
}

// identityOf is the identity of the call's first target, or the error that it does not exist.
func identityOf(c *Call, of fsm.IdentityType, name string) (*fsm.Identity, error) {
	i := c.Targets[0].Identity
	if i == nil {
		return nil, noIdentity(of, name)
	}
	return i, nil
}

func noIdentity(of fsm.IdentityType, name string) error {
	return iamfault.NoSuchEntity("The %s with name %s cannot be found.", identityKinds[of].resource, name)
}

// putIdentity proposes an identity's row in the place of the one that the call saw, nil for a new one.
func (s *Service) putIdentity(ctx context.Context, c *Call, was *fsm.Identity, next fsm.Identity, out any) (repeat bool, err error) {
	body := &fsm.PutIdentity{Identity: next}
	if was != nil {
		body.Was = was.Version
	}
	res, err := s.propose(ctx, c, body, out)
	c.Objects = res.Objects
	return res.Repeat, err
}

// changeIdentity proposes a changed copy of the identity that the call is about.
func (s *Service) changeIdentity(ctx context.Context, c *Call, i *fsm.Identity, change func(*fsm.Identity)) (*None, error) {
	next := *i
	change(&next)
	if _, err := s.putIdentity(ctx, c, i, next, nil); err != nil {
		return nil, err
	}
	return &None{}, nil
}

// nameFree refuses a name that another identity of the type has in whatever case.
func nameFree(c *Call, of fsm.IdentityType, name string, self *fsm.Identity) error {
	if other := c.State.IdentityNamed(c.Caller.Account, of, name); other != nil && (self == nil || other.ID != self.ID) {
		return iamfault.EntityAlreadyExists("%s with name %s already exists.", identityKinds[of].title, name)
	}
	return nil
}

// madeIdentity is the identity that the first attempt of a repeated operation made.
func (s *Service) madeIdentity(c *Call) (*fsm.Identity, error) {
	if len(c.Objects) != 1 {
		return nil, fault.Internal(fmt.Errorf("a remembered %s names %d objects", c.Operation, len(c.Objects)))
	}
	i := s.cfg.Cluster.State().Identity(c.Objects[0])
	if i == nil {
		return nil, iamfault.NoSuchEntity("The identity with id %s cannot be found.", c.Objects[0])
	}
	return i, nil
}

// policySize counts a document as IAM does: characters, white space left out (spec 04 IDP-02).
func policySize(document string) int {
	n := 0
	for _, r := range document {
		if !strings.ContainsRune(" \t\r\n", r) {
			n++
		}
	}
	return n
}

func checkDocumentSize(document string, limit int, quota string) error {
	if policySize(document) > limit || len(document) > maxDocument {
		return iamfault.LimitExceeded("Cannot exceed quota for %s: %d", quota, limit)
	}
	return nil
}

// IAMTag is a tag of a user, role or policy.
type IAMTag struct {
	Key   string `wire:"Key,required" len:"1..128" pattern:"[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+"`
	Value string `wire:"Value,required" len:"0..256" pattern:"[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*"`
}

// iamTags checks and sorts the tags of a request.
func iamTags(tags []IAMTag) ([]fsm.Tag, error) {
	if len(tags) > maxIdentityTags {
		return nil, iamfault.LimitExceeded("The number of tags has reached the maximum limit.")
	}
	rows := make([]fsm.Tag, len(tags))
	for i, t := range tags {
		if reservedTag(t.Key) {
			return nil, iamfault.InvalidInput("Tag keys that begin with aws: are reserved.")
		}
		rows[i] = fsm.Tag{Key: t.Key, Value: t.Value}
	}
	slices.SortFunc(rows, func(a, b fsm.Tag) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(rows); i++ {
		if strings.EqualFold(rows[i-1].Key, rows[i].Key) {
			return nil, iamfault.InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
	}
	return rows, nil
}

func requestTags(tags []IAMTag) []fsm.Tag {
	rows := make([]fsm.Tag, len(tags))
	for i, t := range tags {
		rows[i] = fsm.Tag{Key: t.Key, Value: t.Value}
	}
	return rows
}

func showTags(rows []fsm.Tag) []IAMTag {
	if len(rows) == 0 {
		return nil
	}
	tags := make([]IAMTag, len(rows))
	for i, t := range rows {
		tags[i] = IAMTag{Key: t.Key, Value: t.Value}
	}
	return tags
}

// AttachedBoundary is a permissions boundary as users and roles show it.
type AttachedBoundary struct {
	PermissionsBoundaryType string `wire:"PermissionsBoundaryType"`
	PermissionsBoundaryARN  string `wire:"PermissionsBoundaryArn"`
}

func (s *Service) boundary(st *fsm.State, i *fsm.Identity) *AttachedBoundary {
	if i.Boundary == "" {
		return nil
	}
	return &AttachedBoundary{"Policy", s.policyName(st, i.Boundary)}
}

// policyName is the ARN of a managed policy as identities refer to it.
func (s *Service) policyName(st *fsm.State, ref string) string {
	if strings.HasPrefix(ref, arn.Prefix) {
		return ref
	}
	if p := st.ManagedPolicy(ref); p != nil {
		return s.PolicyARN(p)
	}
	return ref
}

func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC().Truncate(time.Second) }

// page is what lists of IAM have in common.
type page struct {
	marker   shape.Opt[string]
	maxItems shape.Opt[int32]
}

func (p page) limit() int { return int(p.maxItems.Or(100)) }
