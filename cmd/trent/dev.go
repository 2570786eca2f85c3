package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gorilla/mux"
	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/shape"
)

// devOptions are the flags of trent dev.
type devOptions struct {
	listen, data, region, account string
	tls                           bool
	accessKey, secretKey          string
	hsm, hsmToken, hsmPINFile     string
	logLevel                      string
	pprof, quotas                 string
	nodes                         int
	regions                       string
	madeTLS                       *devTLS // of all nodes of the process; nil if each makes its own
}

// pinEnv may hold the PIN of a PKCS#11 token.
const pinEnv = "TRENT_HSM_PIN"

// accessKeyPattern is what an access key id may be: it stands between slashes in the scope of a signature.
var accessKeyPattern = regexp.MustCompile(`^[A-Za-z0-9]{16,128}$`)

func devCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run one node with an embedded HSM and no set-up",
		Long: "Run one node: Raft on disk, an embedded HSM, the KMS API on a loopback address.\n" +
			"Data is kept between runs. What a client needs is printed and written to <data>/env.sh.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:7600", "address of the API")
	f.IntVar(&o.nodes, "nodes", 1, "nodes of the region; further ones serve the API on the next ports")
	f.StringVar(&o.data, "data", "./trent-data", "data directory")
	f.StringVar(&o.region, "region", "us-east-1", "name of the region")
	f.StringVar(&o.regions, "regions", "", "names of several regions, separated by commas: federated, each with its own endpoint, data and HSM")
	f.StringVar(&o.account, "account", "111122223333", "id of the account")
	f.BoolVar(&o.tls, "tls", false, "serve HTTPS with a certificate authority made in the data directory")
	f.StringVar(&o.accessKey, "access-key", "", "access key id to use (random if not given)")
	f.StringVar(&o.secretKey, "secret-key", "", "secret access key to use (random if not given)")
	f.StringVar(&o.hsm, "hsm", "embedded", "embedded, or the path of a PKCS#11 module")
	f.StringVar(&o.hsmToken, "hsm-token", "", "label of the PKCS#11 token")
	f.StringVar(&o.hsmPINFile, "hsm-pin-file", "", "file with the PKCS#11 PIN (else the environment variable "+pinEnv+")")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	f.StringVar(&o.quotas, "quota-profile", "none", "request quotas: none, or aws to meet ThrottlingException as in AWS")
	f.StringVar(&o.pprof, "pprof", "", "loopback address for Go's profiler")
	_ = f.MarkHidden("pprof") // fails for unknown flags only
	return cmd
}

func (o *devOptions) run(cmd *cobra.Command) error {
	if err := protectProcess(); err != nil {
		return err
	}
	if o.pprof != "" {
		stop, err := servePprof(o.pprof)
		if err != nil {
			return err
		}
		defer stop()
	}
	if o.regions != "" {
		return o.runRegions(cmd)
	}
	several, err := o.several()
	if err != nil {
		return err
	}
	if several {
		return o.runNodes(cmd)
	}
	cfg, err := o.config()
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log)
	exists, err := cluster.HasNode(filepath.Join(cfg.DataDir, "raft"))
	if err != nil {
		return err
	}
	n, err := openNode(cfg, log, !exists)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
	defer cancel()
	env, l, err := o.start(ctx, n)
	if err != nil {
		n.close(context.Background())
		return err
	}
	defer clear(env.secret)
	path, err := env.write(cfg.DataDir)
	if err != nil {
		n.close(context.Background())
		return fmt.Errorf("write env.sh: %w", err)
	}
	if err := writeEndpoints(cfg.DataDir, []endpoint{{cfg.Region, n.cluster.Identity().NodeID, env.endpoint}}); err != nil {
		n.close(context.Background())
		return fmt.Errorf("write endpoints.json: %w", err)
	}
	if err := n.serveAdmin(); err != nil {
		n.log.Warn("trent operator cannot reach this node", "error", err)
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "Trent %s serves region %s, account %s on %s\n\n%s\nThe same is in %s:\n\n  . %s\n  aws kms create-key\n\n",
		version, cfg.Region, cfg.Account, env.endpoint, env.lines(), path, path)
	n.work()
	return n.run(cmd.Context(), l)
}

// several reports whether the region has, or gets, more than one node.
func (o *devOptions) several() (bool, error) {
	data, err := filepath.Abs(o.data)
	if err != nil {
		return false, err
	}
	o.data = data
	have, err := devNodesIn(data)
	switch {
	case err != nil:
		return false, err
	case o.nodes < 1 || o.nodes > maxDevNodes:
		return false, usageError{fmt.Errorf("--nodes is %d; 1 to %d are possible", o.nodes, maxDevNodes)}
	case have > o.nodes:
		return false, usageError{fmt.Errorf("%s holds a region of %d nodes; start with --nodes %d", data, have, have)}
	}
	return o.nodes > 1, nil
}

// config turns the flags into a node's configuration.
func (o *devOptions) config() (*config.File, error) {
	data, err := filepath.Abs(o.data)
	if err != nil {
		return nil, err
	}
	if (o.accessKey == "") != (o.secretKey == "") {
		return nil, usageError{errors.New("--access-key and --secret-key go together")}
	}
	if o.accessKey != "" && (!accessKeyPattern.MatchString(o.accessKey) || len(o.secretKey) < 16) {
		return nil, usageError{errors.New("--access-key needs 16 to 128 letters and digits, and --secret-key at least 16 characters")}
	}
	h := config.HSM{Kind: "embedded", PINFile: filepath.Join(data, "hsm", "pin")}
	if o.hsm != "embedded" {
		h = config.HSM{Kind: "pkcs11", Module: o.hsm, Token: o.hsmToken, PINFile: o.hsmPINFile}
		if o.hsmPINFile == "" {
			h.PINEnv = pinEnv
		}
	} else if err := makePINFile(h.PINFile); err != nil {
		return nil, fmt.Errorf("PIN of the embedded HSM: %w", err)
	}
	f := &config.File{
		Region: o.region, DataDir: data, Account: o.account, HSM: h,
		Listeners: []config.Listener{{Name: "api", Address: o.listen, PlainHTTP: !o.tls}},
		// Two segments are reserved on the disk; small ones spare a laptop's.
		Audit: &config.Audit{SegmentSize: 16 << 20}, Log: &config.Log{Level: o.logLevel}, Limits: &config.Limits{QuotaProfile: o.quotas},
	}
	if o.tls {
		host, _, err := net.SplitHostPort(o.listen)
		if err != nil {
			return nil, usageError{fmt.Errorf("--listen: %w", err)}
		}
		t := o.madeTLS
		if t == nil {
			if t, err = makeDevTLS(data, host); err != nil {
				return nil, err
			}
		}
		f.Listeners[0].CertFile, f.Listeners[0].KeyFile = t.certFile, t.keyFile
	}
	if err := f.Complete(data); err != nil {
		return nil, usageError{err}
	}
	return f, nil
}

// start makes the region at the first run, opens the listener and returns what clients need.
func (o *devOptions) start(ctx context.Context, n *node) (env clientEnv, l *listener, err error) {
	if err := n.readable(ctx); err != nil {
		return env, nil, err
	}
	key, secret, err := o.credentials(ctx, n)
	if err != nil {
		return env, nil, err
	}
	if err := n.ready(ctx); err != nil {
		return env, nil, err
	}
	api := n.cfg.Listeners[0]
	if l, err = open(api, n.devHandler(), n.log); err != nil {
		return env, nil, err
	}
	env = clientEnv{region: n.cfg.Region, keyID: key, secret: secret}
	env.endpoint, env.host = endpointURL(l.Addr(), o.tls)
	if o.tls {
		env.caFile = filepath.Join(n.cfg.DataDir, "ca.pem")
	}
	return env, l, nil
}

// devHandler serves the API, health and metrics on one address: a dev node has one listener. Nothing of the latter two is a POST,
// so that the API's calls need not pass the router.
func (n *node) devHandler() http.Handler {
	api := n.server.Handler()
	r := mux.NewRouter().SkipClean(true)
	n.routeOps(r)
	r.NotFoundHandler, r.MethodNotAllowedHandler = api, api
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodPost {
			api.ServeHTTP(w, q)
			return
		}
		r.ServeHTTP(w, q)
	})
}

// credentials makes the region with its root credentials if it is new, and finds them again if it is not.
func (o *devOptions) credentials(ctx context.Context, n *node) (id string, secret []byte, err error) {
	st, err := n.service.View(ctx)
	if err != nil {
		return "", nil, err
	}
	if st.Region() == nil {
		return o.initialize(ctx, n)
	}
	if err := n.service.Unlock(ctx); err != nil {
		return "", nil, err // before any secret is opened: this says best what is wrong with the HSM
	}
	if r := st.Region(); r.Name != o.region {
		return "", nil, usageError{fmt.Errorf("%s holds region %s; start with --region %s or with another --data", n.cfg.DataDir, r.Name, r.Name)}
	}
	if st.Account(o.account) == nil {
		return "", nil, usageError{fmt.Errorf("%s has no account %s; start with the account it was made with, or with another --data", n.cfg.DataDir, o.account)}
	}
	if o.accessKey != "" {
		return o.accessKey, []byte(o.secretKey), o.putAccessKey(ctx, n, st)
	}
	ak := firstRootKey(st, o.account)
	if ak == nil {
		return "", nil, fmt.Errorf("account %s has no root access key; start once with --access-key and --secret-key", o.account)
	}
	opened, err := n.service.AccessSecret(ctx, st, ak)
	return ak.ID, opened.Bytes(), err
}

// putAccessKey makes the given credentials the account's, if they are not already.
func (o *devOptions) putAccessKey(ctx context.Context, n *node, st *fsm.State) error {
	if st.Home() != nil {
		return nil // the region that decides has it
	}
	given := shape.NewSecret([]byte(o.secretKey))
	if ak := st.AccessKey(o.accessKey); ak != nil {
		if ak.Account != o.account {
			return usageError{fmt.Errorf("access key %s belongs to account %s", ak.ID, ak.Account)}
		}
		have, err := n.service.AccessSecret(ctx, st, ak)
		if err != nil {
			return err
		}
		defer have.Wipe()
		if have.Equal(given) {
			return nil
		}
	}
	return n.service.PutRootAccessKey(ctx, o.account, o.accessKey, given)
}

func firstRootKey(st *fsm.State, account string) *fsm.AccessKey {
	for ak := range st.AccessKeys(account, "") {
		if ak.Principal == region.RootPrincipal && ak.Active {
			return ak
		}
	}
	return nil
}

func (o *devOptions) initialize(ctx context.Context, n *node) (id string, secret []byte, err error) {
	id, secret = o.accessKey, []byte(o.secretKey)
	if id == "" {
		id, secret = newCredentials()
	}
	if err := n.waitForLeadership(ctx); err != nil {
		return "", nil, err
	}
	return id, secret, n.service.Initialize(ctx, region.InitConfig{
		ClusterID: n.cluster.Identity().ClusterID, Account: o.account, AccessKeyID: id, Secret: shape.NewSecret(secret),
	})
}

// newCredentials draws an access key in AWS's form: AKIA and 16 characters, and a secret of 40.
func newCredentials() (id string, secret []byte) {
	var random [40]byte
	_, _ = rand.Read(random[:]) // never fails
	id = "AKIA" + base32.StdEncoding.EncodeToString(random[:10])
	secret = make([]byte, 40)
	base64.StdEncoding.Encode(secret, random[10:])
	clear(random[:])
	return id, secret
}
