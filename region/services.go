package region

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// serviceSuffix ends the names of services in every partition (spec 09 SVC-08).
const serviceSuffix = ".amazonaws.com"

// ServiceFacts are about a call that a registered service signed (spec 05 VIA). They are never the claim of any other client.
type ServiceFacts struct {
	// Name is the service's short name, like ssm.
	Name string
	// Via is the service's name in kms:ViaService if the call is on behalf of the caller, "" if the service calls for itself.
	Via string
	// SourceARN and SourceAccount are the resource for which a service calls for itself, "" if it did not say.
	SourceARN, SourceAccount string
	// Reads are the documents that the service's standing was read from.
	Reads []fsm.Read
}

// ServicePrincipal is the name of a service in policies, ServiceName its name in this region.
func ServicePrincipal(name string) string { return name + serviceSuffix }

// ServiceName is described with ServicePrincipal.
func (s *Service) ServiceName(name string) string {
	return name + "." + s.cfg.Region + serviceSuffix
}

var serviceNamePattern = regexp.MustCompile(`^[a-z][a-z0-9]*([.-][a-z0-9]+)*$`)

// maxServiceName bounds the name of a service, in bytes.
const maxServiceName = 64

// ServiceOf is the name of the service that an access key is, "" for others.
func ServiceOf(k *fsm.AccessKey) string {
	name, _ := strings.CutPrefix(k.Principal, fsm.ServicePrefix)
	if name == k.Principal {
		return ""
	}
	return name
}

// OperatorAccount is the account that the region was made with: its identities look after the region. It is "" before that.
func (s *Service) OperatorAccount(st *fsm.State) string {
	r := st.Region()
	if r == nil {
		return ""
	}
	if r.Operator != "" {
		return r.Operator
	}
	for a := range st.Accounts("") {
		if a.CreatedAt == r.CreatedAt {
			return a.ID
		}
	}
	return ""
}

// RegisteredService is a service with its access keys.
type RegisteredService struct {
	Name       string             `json:"name"`
	Principal  string             `json:"principal"`
	AccessKeys []ServiceAccessKey `json:"accessKeys"`
}

// ServiceAccessKey is an access key of a service; the secret is shown once, when it is made.
type ServiceAccessKey struct {
	AccessKeyID     string    `json:"accessKeyId"`
	SecretAccessKey string    `json:"secretAccessKey,omitempty"`
	CreatedAt       time.Time `json:"createdAt"`
}

// ErrServiceName reports a name that no service can have, ErrNoService one that is not registered, ErrServiceKeys a service with as many
// access keys as it can have.
var (
	ErrServiceName = errors.New("the name of a service is made of lower-case letters and digits, in parts joined by '.' or '-', at most 64 bytes, and does not end with the region")
	ErrNoService   = errors.New("no service of this name is registered")
	ErrServiceKeys = fmt.Errorf("the service has %d access keys already; delete it, or one of them, first", fsm.MaxAccessKeys)
)

// RegisterService gives a service an access key of its own, its first or a second one to change over to.
func (s *Service) RegisterService(ctx context.Context, name string) (*RegisteredService, error) {
	// "ssm.us-east-1" would be taken for ssm, whose name in the region it has.
	if len(name) > maxServiceName || !serviceNamePattern.MatchString(name) || strings.HasSuffix(name, "."+s.cfg.Region) {
		return nil, ErrServiceName
	}
	st, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	if st.Home() != nil {
		out := new(RegisteredService)
		return out, s.askHome(ctx, st, &IdentityAct{Name: "CreateService", Service: name}, out)
	}
	return s.registerService(ctx, st, name, origin{})
}

// registerService registers a service in the home of the identities; by is where it was asked for.
func (s *Service) registerService(ctx context.Context, st *fsm.State, name string, by origin) (*RegisteredService, error) {
	if len(name) > maxServiceName || !serviceNamePattern.MatchString(name) || strings.HasSuffix(name, "."+s.cfg.Region) {
		return nil, ErrServiceName
	}
	d := st.ActiveDomainKey()
	if d == nil {
		return nil, errors.New("the region is not initialized")
	}
	account := s.OperatorAccount(st)
	n := 0
	for range st.AccessKeysOf(account, fsm.ServicePrefix+name) {
		n++
	}
	if n >= fsm.MaxAccessKeys {
		return nil, ErrServiceKeys
	}
	id, secret, err := s.newCredentials(ctx, "AKIA")
	if err != nil {
		return nil, err
	}
	defer secret.Wipe()
	row, err := s.sealAccessKey(ctx, d, account, id, secret, s.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	row.Principal = fsm.ServicePrefix + name
	if err := s.proposeOperator(ctx, st, &fsm.PutServiceKey{AccessKey: *row}, s.serviceEvent("CreateService", name, id, by)); err != nil {
		return nil, err
	}
	return &RegisteredService{name, ServicePrincipal(name), []ServiceAccessKey{{id, string(secret.Bytes()), millis(row.CreatedAt)}}}, nil
}

// Services lists the registered services, ordered by their oldest access key's id.
func (s *Service) Services(ctx context.Context) ([]RegisteredService, error) {
	st, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	all := []RegisteredService{}
	at := make(map[string]int)
	for k := range st.AccessKeys(s.OperatorAccount(st), "") {
		name := ServiceOf(k)
		if name == "" {
			continue
		}
		i, ok := at[name]
		if !ok {
			i = len(all)
			at[name] = i
			all = append(all, RegisteredService{Name: name, Principal: ServicePrincipal(name)})
		}
		all[i].AccessKeys = append(all[i].AccessKeys, ServiceAccessKey{AccessKeyID: k.ID, CreatedAt: millis(k.CreatedAt)})
	}
	return all, nil
}

// DeleteService removes an access key of a service, or all of them. Once it is acknowledged they sign nothing.
func (s *Service) DeleteService(ctx context.Context, name, accessKeyID string) error {
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	if st.Home() != nil {
		return s.askHome(ctx, st, &IdentityAct{Name: "DeleteService", Service: name, AccessKeyID: accessKeyID}, nil)
	}
	return s.deleteService(ctx, st, name, accessKeyID, origin{})
}

// deleteService is DeleteService in the home of the identities; by is where it was asked for.
func (s *Service) deleteService(ctx context.Context, st *fsm.State, name, accessKeyID string, by origin) error {
	found := false
	for k := range st.AccessKeysOf(s.OperatorAccount(st), fsm.ServicePrefix+name) {
		if accessKeyID != "" && k.ID != accessKeyID {
			continue
		}
		found = true
		if err := s.proposeOperator(ctx, st, &fsm.DeleteAccessKey{ID: k.ID}, s.serviceEvent("DeleteService", name, k.ID, by)); err != nil {
			return err
		}
	}
	if !found {
		return ErrNoService
	}
	return nil
}

func (s *Service) serviceEvent(event, name, accessKeyID string, by origin) OperatorEvent {
	return OperatorEvent{Name: event, At: s.Now(), Details: by.notes([]Note{{"service", name}, {"accessKeyId", accessKeyID}})}
}

// Registered tells whether a policy names a registered service, by its principal plain or with the region.
func (s *Service) Registered(st *fsm.State, principal string) bool {
	name, ok := strings.CutSuffix(principal, serviceSuffix)
	if !ok {
		return false
	}
	name = strings.TrimSuffix(name, "."+s.cfg.Region)
	for range st.AccessKeysOf(s.OperatorAccount(st), fsm.ServicePrefix+name) {
		return true
	}
	return false
}

// managedAliases are the services whose AWS managed key has another name than their own (spec 09 section 3).
var managedAliases = map[string]string{"ebs": "ec2"}

// missingManagedKey tells whether an alias that does not exist is that of an AWS managed key that this call makes: its own service
// does, on behalf of somebody of the account.
func (s *Service) missingManagedKey(c *Call, alias string) bool {
	of, ok := strings.CutPrefix(alias, arn.ReservedAliasPrefix)
	if !ok || c.Service == nil || c.Service.Via == "" || c.DryRun {
		return false
	}
	if service := managedAliases[of]; service != "" {
		of = service
	}
	return of == c.Service.Name
}

// ManagedKeyError tells that a call names an AWS managed key that does not exist yet: MakeManagedKey makes it, then decide again.
type ManagedKeyError struct{ Account, Alias, Service string }

// Error names the alias.
func (e *ManagedKeyError) Error() string {
	return fmt.Sprintf("account %s has no %s yet", e.Account, e.Alias)
}

// MakeManagedKey makes an AWS managed key and its alias. Its id follows from region, account and alias, so that two calls at a time, on
// whatever nodes, make one key, and a call goes on where another one was cut off.
func (s *Service) MakeManagedKey(ctx context.Context, e *ManagedKeyError) error {
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	k := &fsm.Key{
		Account: e.Account, ID: managedKeyID(st.Region().ClusterID, e.Account, e.Alias), Spec: string(shape.KeySpecSymmetricDefault),
		Usage: string(shape.KeyUsageEncryptDecrypt), Origin: string(shape.OriginAWSKMS), Manager: string(shape.KeyManagerAWS),
		Description: "Default key of " + e.Service + " for this account", Enabled: true, CreatedAt: s.Now().UnixMilli(),
		Policy: managedKeyPolicy(s.cfg.Partition, e.Account, e.Service, s.ServiceName(e.Service)), Current: -1,
	}
	if st.Key(k.Account, k.ID) == nil {
		m, err := s.generate(ctx, st, k)
		if err != nil {
			return err
		}
		k.Materials, k.Current = []fsm.Material{m}, 0
		const year = 365
		k.Rotation = &fsm.Rotation{Enabled: true, PeriodDays: year, NextAt: k.CreatedAt + (year * 24 * time.Hour).Milliseconds()}
		ev := InternalEvent{Name: "CreateKey", Key: k, KeyARN: s.KeyARN(k), At: millis(k.CreatedAt)}
		if err := s.proposeInternal(ctx, &fsm.CreateKey{Key: *k}, ev); err != nil {
			return fault.Unavailable(err)
		}
	}
	if st.Alias(k.Account, e.Alias) == nil {
		if _, err := s.proposeOwn(ctx, &fsm.CreateAlias{Account: k.Account, Name: e.Alias, KeyID: k.ID}); err != nil {
			return fault.Unavailable(err)
		}
	}
	return nil
}

// managedKeyPolicy is the policy of an AWS managed key, which nobody can change (spec 09 SVC-11).
func managedKeyPolicy(partition, account, service, via string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "auto-` + service + `-1",
  "Statement" : [ {
    "Sid" : "Allow access through ` + service + ` for all principals in the account that are authorized to use it",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "*"
    },
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {
      "StringEquals" : {
        "kms:CallerAccount" : "` + account + `",
        "kms:ViaService" : "` + via + `"
      }
    }
  }, {
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "` + arn.Root(partition, account) + `"
    },
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant" ],
    "Resource" : "*"
  } ]
}`
}

// managedKeyID is the id of the AWS managed key behind an alias.
func managedKeyID(clusterID, account, alias string) string {
	sum := sha256.Sum256([]byte("trent/managed-key/1\x00" + clusterID + "\x00" + account + "\x00" + alias))
	return arn.NewKeyID([16]byte(sum[:16]), false)
}

// OperatorARN is the resource of the operator API's actions: the region, which belongs to the operator's account.
func (s *Service) OperatorARN(account string) string {
	return arn.ARN{Partition: s.cfg.Partition, Service: "trent", Region: s.cfg.Region, Account: account, Resource: "region"}.String()
}
