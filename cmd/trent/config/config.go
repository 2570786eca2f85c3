// Package config reads a node's configuration file (HCL) into one checked value. It guarantees that every error names the file
// and the line or the setting, and what to write instead, that unknown settings are refused, and that what Load returns is complete: defaults are
// filled in and relative paths are resolved against the file's folder.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/region/arn"
)

// File is a node's configuration. docs/configuration.md explains every setting.
type File struct {
	Region    string     `hcl:"region"`
	Partition string     `hcl:"partition,optional"`
	DataDir   string     `hcl:"data_dir"`
	Account   string     `hcl:"account"`
	HSM       HSM        `hcl:"hsm,block"`
	Listeners []Listener `hcl:"listener,block"`
	Audit     *Audit     `hcl:"audit,block"`
	Limits    *Limits    `hcl:"limits,block"`
	// QuotaProfiles are the request quotas that Limits can name besides aws and none.
	QuotaProfiles []QuotaProfile `hcl:"quota_profile,block"`
	// Events are the targets of event notifications.
	Events  []Events `hcl:"events,block"`
	Cluster *Cluster `hcl:"cluster,block"`
	// Federation is how nodes of other regions meet this one; without it they do at the address of the cluster block.
	Federation *Federation `hcl:"federation,block"`
	// AdminSocket is the Unix socket of trent operator, admin.sock in the data directory if empty.
	AdminSocket string `hcl:"admin_socket,optional"`
	Log         *Log   `hcl:"log,block"`
}

// HSM says which module the node fronts. Kind is embedded or pkcs11.
type HSM struct {
	Kind            string `hcl:"kind,label"`
	PINFile         string `hcl:"pin_file,optional"`
	PINEnv          string `hcl:"pin_env,optional"`
	Module          string `hcl:"module,optional"` // pkcs11: path of the shared library
	Token           string `hcl:"token,optional"`  // pkcs11: token label
	Sessions        int    `hcl:"sessions,optional"`
	AllowHostUnwrap bool   `hcl:"allow_host_unwrap,optional"`
	// AllowOAEPSHA1Transport lets domain keys travel under OAEP with SHA-1, where a token lacks SHA-256.
	AllowOAEPSHA1Transport bool   `hcl:"allow_oaep_sha1_transport,optional"`
	Serial                 string `hcl:"serial,optional"` // pkcs11: serial number of the token, besides or instead of its label
}

// Listener is an address that the node serves.
type Listener struct {
	Name       string `hcl:"name,label"`
	Address    string `hcl:"address"`
	CertFile   string `hcl:"tls_cert_file,optional"`
	KeyFile    string `hcl:"tls_key_file,optional"`
	MinVersion string `hcl:"tls_min_version,optional"`
	PlainHTTP  bool   `hcl:"plain_http,optional"`
	// Serves is api (the KMS API, with IAM and STS) or ops (health and metrics); by default what the name says, else api.
	Serves string `hcl:"serves,optional"`
	// EndpointID makes the listener a private endpoint, VpcID is its network, EndpointPolicyFile its policy.
	EndpointID         string `hcl:"endpoint_id,optional"`
	VpcID              string `hcl:"vpc_id,optional"`
	EndpointPolicyFile string `hcl:"endpoint_policy_file,optional"`
	// ProxyProtocol is off, optional or required; TrustedProxies are the addresses or networks of the load balancers.
	ProxyProtocol  string   `hcl:"proxy_protocol,optional"`
	TrustedProxies []string `hcl:"trusted_proxies,optional"`
	// TLSBefore tells that TLS ends at the load balancer.
	TLSBefore bool `hcl:"tls_terminated,optional"`

	// Proxies is TrustedProxies parsed.
	Proxies []netip.Prefix
}

// Audit configures the audit log.
type Audit struct {
	Dir         string `hcl:"dir,optional"`
	Fsync       string `hcl:"fsync,optional"`
	Interval    string `hcl:"interval,optional"`
	SegmentSize int64  `hcl:"segment_size,optional"` // bytes
	SegmentAge  string `hcl:"segment_age,optional"`

	// SyncInterval is Interval parsed, MaxAge SegmentAge.
	SyncInterval, MaxAge time.Duration
}

// Limits bounds the work of a node.
type Limits struct {
	MaxInFlight    int    `hcl:"max_in_flight,optional"`
	RequestTimeout string `hcl:"request_timeout,optional"`
	// QuotaProfile names the request quotas of all accounts, AccountQuotaProfiles those of single ones.
	QuotaProfile         string            `hcl:"quota_profile,optional"`
	AccountQuotaProfiles map[string]string `hcl:"account_quota_profiles,optional"`

	// Timeout is RequestTimeout parsed, Quotas the quotas that the profiles give, nil if there are none.
	Timeout time.Duration
	Quotas  *api.Quotas
}

// Cluster is the port on which a node meets the other nodes of its region. Without it the node is alone.
type Cluster struct {
	Address         string `hcl:"address"`
	Advertise       string `hcl:"advertise,optional"`
	AdvertiseEnv    string `hcl:"advertise_env,optional"` // environment variable that holds advertise
	ElectionTimeout string `hcl:"election_timeout,optional"`
	DrainDelay      string `hcl:"drain_delay,optional"`

	// Timeout is ElectionTimeout parsed, Drain DrainDelay.
	Timeout, Drain time.Duration
}

// Federation says where nodes of other regions reach this one, where that is not the address of the cluster block.
type Federation struct {
	Listen    string   `hcl:"listen,optional"`    // a further address, for other regions only
	Advertise string   `hcl:"advertise,optional"` // what they are told: a public name, the outside of a NAT
	Seeds     []string `hcl:"seeds,optional"`     // addresses of their nodes, besides those that they tell
	// IdentityMaxStaleness is how old identities may be that live in another region.
	IdentityMaxStaleness string `hcl:"identity_max_staleness,optional"`

	// MaxStaleness is IdentityMaxStaleness parsed, 0 without a bound.
	MaxStaleness time.Duration
}

// minStaleness is the lowest identity_max_staleness: the log learns every ten seconds how current identities are.
const minStaleness = time.Minute

// Log configures the operator's log.
type Log struct {
	Level  string `hcl:"level,optional"`  // debug, info, warn, error
	Format string `hcl:"format,optional"` // text, json
}

// Load reads and checks a configuration file.
func Load(path string) (*File, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, src)
}

// Parse checks the text of a configuration file; path names it in errors and resolves relative paths.
func Parse(path string, src []byte) (*File, error) {
	p := hclparse.NewParser()
	parsed, diags := p.ParseHCL(src, path)
	if diags.HasErrors() {
		return nil, diagError(p, diags)
	}
	var f File
	if diags := gohcl.DecodeBody(parsed.Body, nil, &f); diags.HasErrors() {
		return nil, diagError(p, diags)
	}
	if err := f.Complete(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &f, nil
}

// diagError renders HCL's diagnostics with file, line and the offending text.
func diagError(p *hclparse.Parser, diags hcl.Diagnostics) error {
	var b bytes.Buffer
	if err := hcl.NewDiagnosticTextWriter(&b, p.Files(), 100, false).WriteDiagnostics(diags); err != nil {
		return diags
	}
	return errors.New(string(bytes.TrimSpace(b.Bytes())))
}

// partitionPattern is what a partition looks like: aws, aws-cn.
var partitionPattern = regexp.MustCompile(`^aws(-[a-z]+)*$`)

// Complete checks what the schema cannot say, fills in defaults and resolves relative paths against base. Load calls it.
func (f *File) Complete(base string) error {
	setDefault(&f.Partition, "aws")
	switch {
	case !arn.ValidRegion(f.Region):
		return fmt.Errorf("region %q does not look like us-east-1", f.Region)
	case !partitionPattern.MatchString(f.Partition):
		return fmt.Errorf("partition %q does not look like aws or aws-cn", f.Partition)
	case !arn.ValidAccount(f.Account):
		return fmt.Errorf("account %q is not 12 digits", f.Account)
	case f.DataDir == "":
		return errors.New("data_dir is empty")
	}
	resolve(base, &f.DataDir)
	if err := f.HSM.complete(base); err != nil {
		return fmt.Errorf("hsm %q: %w", f.HSM.Kind, err)
	}
	if err := f.completeListeners(base); err != nil {
		return err
	}
	if f.Audit == nil {
		f.Audit = &Audit{}
	}
	if err := f.Audit.complete(base, f.DataDir); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if f.Limits == nil {
		f.Limits = &Limits{}
	}
	if f.Limits.MaxInFlight < 0 {
		return fmt.Errorf("limits: max_in_flight is %d; it is a positive number, or absent for the default", f.Limits.MaxInFlight)
	}
	var err error
	if f.Limits.Timeout, err = duration(f.Limits.RequestTimeout, 30*time.Second); err != nil {
		return fmt.Errorf("limits: request_timeout: %w", err)
	}
	if err := f.completeQuotas(); err != nil {
		return err
	}
	if err := f.completeEvents(base); err != nil {
		return err
	}
	if f.Cluster != nil {
		if err := f.Cluster.complete(); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	if f.Federation != nil {
		if f.Cluster == nil {
			return errors.New("federation: a region of one node needs a cluster block too: it is the port on which nodes meet")
		}
		if err := f.Federation.complete(); err != nil {
			return fmt.Errorf("federation: %w", err)
		}
	}
	resolve(base, &f.AdminSocket)
	setDefault(&f.AdminSocket, filepath.Join(f.DataDir, "admin.sock")) // which is resolved already
	if f.Log == nil {
		f.Log = &Log{}
	}
	return f.Log.complete()
}

func (h *HSM) complete(base string) error {
	switch h.Kind {
	case "embedded":
		if h.Module != "" || h.Token != "" || h.Serial != "" || h.Sessions != 0 || h.AllowHostUnwrap {
			return errors.New("module, token, serial, sessions and allow_host_unwrap belong to kind \"pkcs11\"")
		}
	case "pkcs11":
		if h.Module == "" || h.Token == "" && h.Serial == "" {
			return errors.New("module (the shared library) and token (its label) or serial are required")
		}
		if h.Sessions < 0 {
			return fmt.Errorf("sessions is %d; it is a positive number, or absent for the default", h.Sessions)
		}
	default:
		return errors.New("the kind is \"embedded\" or \"pkcs11\"")
	}
	if (h.PINFile == "") == (h.PINEnv == "") {
		return errors.New("name the PIN's source with exactly one of pin_file and pin_env")
	}
	resolve(base, &h.PINFile)
	return nil
}

func (f *File) completeListeners(base string) error {
	seen, served := map[string]bool{}, map[string]bool{}
	for i := range f.Listeners {
		l := &f.Listeners[i]
		if !listenerName.MatchString(l.Name) {
			return fmt.Errorf("listener %q: a name is made of lower-case letters, digits and hyphens", l.Name)
		}
		if seen[l.Name] {
			return fmt.Errorf("listener %q is given twice", l.Name)
		}
		seen[l.Name] = true
		if setDefault(&l.Serves, ServesAPI); l.Name == ServesOps {
			l.Serves = ServesOps
		}
		served[l.Serves] = true
		if err := l.complete(base); err != nil {
			return fmt.Errorf("listener %q: %w", l.Name, err)
		}
	}
	if !served[ServesAPI] {
		return errors.New("there is no listener \"api\", nor another one of the API")
	}
	return nil
}

func (l *Listener) complete(base string) error {
	if _, _, err := net.SplitHostPort(l.Address); err != nil {
		return fmt.Errorf("address %q is not host:port", l.Address)
	}
	setDefault(&l.MinVersion, "1.3")
	if l.MinVersion != "1.2" && l.MinVersion != "1.3" {
		return fmt.Errorf("tls_min_version is %q; it is \"1.2\" or \"1.3\"", l.MinVersion)
	}
	if (l.CertFile == "") != (l.KeyFile == "") {
		return errors.New("tls_cert_file and tls_key_file go together")
	}
	if l.Serves != ServesAPI && l.Serves != ServesOps {
		return fmt.Errorf("serves is %q; it is \"api\" or \"ops\"", l.Serves)
	}
	if l.Serves == ServesAPI && l.CertFile == "" && !l.PlainHTTP {
		return errors.New("give tls_cert_file and tls_key_file, or say plain_http = true (behind a proxy on this machine only)")
	}
	if l.CertFile != "" && l.PlainHTTP {
		return errors.New("plain_http and tls_cert_file exclude each other")
	}
	resolve(base, &l.CertFile)
	resolve(base, &l.KeyFile)
	return l.completeEndpoint(base)
}

func (a *Audit) complete(base, dataDir string) error {
	resolve(base, &a.Dir)
	setDefault(&a.Dir, filepath.Join(dataDir, "audit")) // which is resolved already
	setDefault(&a.Fsync, "interval")
	if a.Fsync != "interval" && a.Fsync != "always" {
		return fmt.Errorf("fsync is %q; it is \"interval\" or \"always\"", a.Fsync)
	}
	var err error
	if a.SyncInterval, err = duration(a.Interval, 200*time.Millisecond); err != nil {
		return fmt.Errorf("interval: %w", err)
	}
	if a.MaxAge, err = duration(a.SegmentAge, 24*time.Hour); err != nil {
		return fmt.Errorf("segment_age: %w", err)
	}
	setDefault(&a.SegmentSize, 64<<20)
	if a.SegmentSize < 1<<20 {
		return fmt.Errorf("segment_size is %d bytes; at least 1048576", a.SegmentSize)
	}
	return nil
}

func (c *Cluster) complete() error {
	if c.AdvertiseEnv != "" {
		if c.Advertise != "" {
			return errors.New("give at most one of advertise and advertise_env")
		}
		if c.Advertise = os.Getenv(c.AdvertiseEnv); c.Advertise == "" {
			return fmt.Errorf("advertise_env: the environment variable %s is not set", c.AdvertiseEnv)
		}
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return fmt.Errorf("address %q is not host:port", c.Address)
	}
	if ip := net.ParseIP(host); c.Advertise == "" && (host == "" || (ip != nil && ip.IsUnspecified())) {
		return fmt.Errorf("address %q does not say where other nodes reach this one; set advertise to host:port", c.Address)
	}
	if c.Advertise != "" {
		if host, port, err := net.SplitHostPort(c.Advertise); err != nil || host == "" || port == "" {
			return fmt.Errorf("advertise %q is not host:port", c.Advertise)
		}
	}
	if c.Timeout, err = duration(c.ElectionTimeout, time.Second); err != nil {
		return fmt.Errorf("election_timeout: %w", err)
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute {
		return fmt.Errorf("election_timeout is %v; it is between 100ms and 1m", c.Timeout)
	}
	if c.DrainDelay == "0s" {
		return nil
	}
	if c.Drain, err = duration(c.DrainDelay, 3*time.Second); err != nil {
		return fmt.Errorf("drain_delay: %w", err)
	}
	if c.Drain > time.Minute {
		return fmt.Errorf("drain_delay is %v; at most 1m", c.Drain)
	}
	return nil
}

func (d *Federation) complete() (err error) {
	if d.MaxStaleness, err = duration(d.IdentityMaxStaleness, 0); err != nil || d.MaxStaleness != 0 && d.MaxStaleness < minStaleness {
		return errors.Join(fmt.Errorf("identity_max_staleness is %q; it is a duration of at least %v, or absent", d.IdentityMaxStaleness, minStaleness), err)
	}
	if d.Listen != "" {
		host, _, err := net.SplitHostPort(d.Listen)
		if err != nil {
			return fmt.Errorf("listen %q is not host:port", d.Listen)
		}
		if ip := net.ParseIP(host); d.Advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
			return fmt.Errorf("listen %q does not say where other regions reach this node; set advertise to host:port", d.Listen)
		}
		setDefault(&d.Advertise, d.Listen)
	}
	for _, a := range append([]string{d.Advertise}, d.Seeds...) {
		if host, port, err := net.SplitHostPort(a); a != "" && (err != nil || host == "" || port == "" || len(a) > 255) {
			return fmt.Errorf("%q is not host:port", a)
		}
	}
	return nil
}

func (l *Log) complete() error {
	setDefault(&l.Level, "info")
	setDefault(&l.Format, "text")
	switch l.Level {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log: level is %q; it is debug, info, warn or error", l.Level)
	}
	if l.Format != "text" && l.Format != "json" {
		return fmt.Errorf("log: format is %q; it is text or json", l.Format)
	}
	return nil
}

func duration(s string, otherwise time.Duration) (time.Duration, error) {
	if s == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a positive duration such as 500ms or 30s", s)
	}
	return d, nil
}

func setDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func resolve(base string, path *string) {
	if *path != "" && !filepath.IsAbs(*path) {
		*path = filepath.Join(base, *path)
	}
}
