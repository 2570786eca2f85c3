package workload

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Node is a node of the cluster under test.
type Node struct {
	Name string // unique over all regions
	URL  string // of the API
	// AuditDir, DataDir and Logs are read after the run, by the workloads that look for records and secrets: directories of the
	// node and the files that hold what its processes wrote. A node that a fault took the disk from is marked with LostDisk.
	AuditDir, DataDir string
	Logs              []string
	LostDisk          bool
	// AdminSocket is the node's admin socket, "" if it has none.
	AdminSocket string
}

// Region is a region of the cluster under test.
type Region struct {
	Name  string
	Nodes []Node
	LB    string // the URL of the load balancer, "" if there is none
	// Root are the account's root credentials in this region, those of the target if empty: every region makes its own.
	Root Credentials
}

// Credentials are an access key, with the token of a session or without.
type Credentials struct{ AccessKeyID, Secret, Token string }

// Retrieve implements aws.CredentialsProvider.
func (c Credentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.Secret, SessionToken: c.Token}, nil
}

// Target is the cluster under test, as its clients see it. It is safe for concurrent use once it is set up.
type Target struct {
	Regions []Region
	Account string      // the account's id, 12 digits
	Root    Credentials // of the account
	// Home is the region in which identities are decided for all of them, "" if each region has identities of its own. SessionsOfPeers tells
	// that regions which follow one home accept each other's sessions.
	Home            string
	SessionsOfPeers bool
	Clock           *history.Clock
	// Binary is the trent binary, for its offline commands.
	Binary string
	// TLS is what clients trust, nil for plain HTTP.
	TLS *tls.Config
	// Timeout bounds one attempt of a call; Attempts is how often the SDK tries. The zero values are 3 s and 3;
	// set them before the first call.
	Timeout  time.Duration
	Attempts int
	// Skew returns the bounds of how far the clocks of the nodes of a region were off the harness's during the last two minutes,
	// nil if no clock is moved.
	Skew func(region string) (lowest, highest time.Duration)
	// PowerCut tells that nodes lost what was not synced; under interval fsync crypto records may then be missing.
	PowerCut bool
	// Restart, if not nil, restarts every node one after the other and waits until they serve: the ledger calls it between two
	// passes over its entries.
	Restart func() error

	// Settled is since when no fault was in force and no client at work, and Within the time from then on in which regions must
	// agree; nothing is expected if it is zero. The check of the regions sets Converged to the time that they took.
	Settled           time.Time
	Within, Converged time.Duration
	// Pace is the least time between two operations of a client; 2 ms if zero.
	Pace time.Duration
	// Record, if not nil, is given the operations that the checks themselves make, for the history that is kept. It is called
	// concurrently.
	Record func(history.Op)
	// Secrets are further secrets of the run that must be nowhere, such as PINs, by what they are; of at least 16 bytes each.
	Secrets map[string]string

	lately     sync.Map // regions that were restored from an older state, by name
	calls      atomic.Int64
	mu         sync.Mutex
	transports map[string]*http.Client
	kmsClients map[clientKey]*kms.Client
	iamClients map[clientKey]*iam.Client
	stsClients map[clientKey]*sts.Client
}

// clientKey is what a client is made for.
type clientKey struct {
	region, url string
	as          Credentials
}

// doors returns all nodes of a region, with the load balancer as one more.
func (r *Region) doors() []Node {
	all := r.Nodes
	if r.LB != "" {
		all = append(all[:len(all):len(all)], Node{Name: "lb", URL: r.LB})
	}
	return all
}

func (t *Target) timeout() time.Duration {
	if t.Timeout > 0 {
		return t.Timeout
	}
	return 3 * time.Second
}

func (t *Target) pace() time.Duration {
	if t.Pace > 0 {
		return t.Pace
	}
	return 2 * time.Millisecond
}

func (t *Target) attempts() int {
	if t.Attempts > 0 {
		return t.Attempts
	}
	return 3
}

// Restored notes that a region was restored from an older state.
func (t *Target) Restored(region string) { t.lately.Store(region, true) }

func (t *Target) restored(region string) bool {
	_, is := t.lately.Load(region)
	return is
}

// root are the account's root credentials in a region.
func (t *Target) root(region string) Credentials {
	for i := range t.Regions {
		if r := &t.Regions[i]; r.Name == region && r.Root.AccessKeyID != "" {
			return r.Root
		}
	}
	return t.Root
}

// http returns the HTTP client of a URL: connections are never shared between nodes.
func (t *Target) http(url string) *http.Client {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.transports == nil {
		t.transports = make(map[string]*http.Client)
	}
	c := t.transports[url]
	if c == nil {
		c = &http.Client{
			Timeout: t.timeout(),
			Transport: &attempts{&http.Transport{
				DialContext:         (&net.Dialer{Timeout: t.timeout()}).DialContext,
				TLSClientConfig:     t.TLS,
				TLSHandshakeTimeout: t.timeout(),
				MaxIdleConnsPerHost: 64,
				IdleConnTimeout:     30 * time.Second,
			}},
		}
		t.transports[url] = c
	}
	return c
}

// Close closes idle connections.
func (t *Target) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.transports {
		c.CloseIdleConnections()
	}
}

func (t *Target) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = t.attempts(), 200*time.Millisecond
		o.RateLimiter = ratelimit.None // a client of a broken cluster goes on trying
	})
}

// KMS returns a client of a node for a principal. Clients are kept.
func (t *Target) KMS(region, url string, as Credentials) *kms.Client {
	http := t.http(url)
	t.mu.Lock()
	defer t.mu.Unlock()
	key := clientKey{region, url, as}
	if t.kmsClients == nil {
		t.kmsClients = make(map[clientKey]*kms.Client)
	}
	if t.kmsClients[key] == nil {
		t.kmsClients[key] = kms.New(kms.Options{Region: region, BaseEndpoint: aws.String(url), HTTPClient: http, Retryer: t.retryer(), Credentials: as})
	}
	return t.kmsClients[key]
}

// IAM returns a client of a node for a principal. Clients are kept.
func (t *Target) IAM(region, url string, as Credentials) *iam.Client {
	http := t.http(url)
	t.mu.Lock()
	defer t.mu.Unlock()
	key := clientKey{region, url, as}
	if t.iamClients == nil {
		t.iamClients = make(map[clientKey]*iam.Client)
	}
	if t.iamClients[key] == nil {
		t.iamClients[key] = iam.New(iam.Options{Region: region, BaseEndpoint: aws.String(url), HTTPClient: http, Retryer: t.retryer(), Credentials: as})
	}
	return t.iamClients[key]
}

// STS returns a client of a node for a principal. Clients are kept.
func (t *Target) STS(region, url string, as Credentials) *sts.Client {
	http := t.http(url)
	t.mu.Lock()
	defer t.mu.Unlock()
	key := clientKey{region, url, as}
	if t.stsClients == nil {
		t.stsClients = make(map[clientKey]*sts.Client)
	}
	if t.stsClients[key] == nil {
		t.stsClients[key] = sts.New(sts.Options{Region: region, BaseEndpoint: aws.String(url), HTTPClient: http, Retryer: t.retryer(), Credentials: as})
	}
	return t.stsClients[key]
}
