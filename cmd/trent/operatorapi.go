package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/api/sigv4"
)

// adminActions are the actions of the operator API by the pattern of the request, without "trent:".
var adminActions = map[string]string{
	"GET /v1/status": "GetStatus", "GET /v1/members": "ListMembers", "DELETE /v1/members/{id}": "RemoveMember",
	"POST /v1/join-tokens": "CreateJoinToken", "POST /v1/step-down": "StepDown", "POST /v1/snapshot": "SaveSnapshot",
	"GET /v1/accounts": "ListAccounts", "POST /v1/accounts": "CreateAccount",
	"GET /v1/services": "ListServices", "POST /v1/services": "CreateService", "DELETE /v1/services/{name}": "DeleteService",
	"GET /v1/quotas": "ListQuotas", "PUT /v1/quotas": "SetQuota",
	"GET /v1/audit": "LookupEvents", "GET /v1/audit/tail": "TailEvents",
	"GET /v1/regions": "ListRegions", "POST /v1/regions/tokens": "CreateFederationToken", "POST /v1/regions/accept": "FederateRegion",
	"POST /v1/regions/{name}/confirm": "ConfirmRegion", "DELETE /v1/regions/{name}": "UnfederateRegion", "POST /v1/regions/{name}/forget": "ForgetRegion",
	"POST /v1/regions/{name}/home": "SetHomeRegion", "POST /v1/regions/{name}/share": "ShareIdentities", "DELETE /v1/regions/{name}/share": "UnshareIdentities",
	"POST /v1/domain-key/rotation": "RotateDomainKey", "GET /v1/domain-key/rotation": "GetDomainKeyRotation",
	"GET /v1/recovery-keys": "ListRecoveryKeys", "POST /v1/recovery-keys": "RegisterRecoveryKey", "DELETE /v1/recovery-keys/{name}": "RemoveRecoveryKey",
	"GET /v1/debug": "GetDebugBundle",
}

// socketOnly are the requests that no credentials allow: what recovers from their loss, and what opens a snapshot.
var socketOnly = map[string]bool{"POST /v1/root-credentials": true, "POST /v1/snapshot/key": true}

// adminMux routes the admin API and remembers its patterns.
type adminMux struct {
	*http.ServeMux
	patterns []string
}

// HandleFunc adds a handler.
func (m *adminMux) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, f)
}

// action is the action that a request needs, "" if it is not for the operator API.
func (m *adminMux) action(r *http.Request) (action string, readOnly bool) {
	_, pattern := m.Handler(r)
	return adminActions[pattern], strings.HasPrefix(pattern, http.MethodGet+" ")
}

// operatorAPI is the admin API as listeners serve it.
func (n *node) operatorAPI() *api.OperatorAPI {
	m := n.adminHandler()
	return &api.OperatorAPI{Handler: m, Action: m.action}
}

// endpointEnv names the variable with the address of the operator API.
const endpointEnv = "AWS_ENDPOINT_URL_TRENT"

// remote is the address of the operator API to talk to, "" for the socket of the node on this machine.
func (f *adminFlags) remote() string {
	if f.socket != "" {
		return ""
	}
	return strings.TrimSuffix(cmp.Or(f.endpoint, os.Getenv(endpointEnv)), "/")
}

// openRemote sends a request to the operator API, signed with the environment's credentials, and returns the answer of a success.
func openRemote(ctx context.Context, endpoint, method, path string, body []byte) (io.ReadCloser, error) {
	c, err := newClient(endpoint)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, endpoint+api.OperatorPrefix+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	signer, err := sigv4.NewSigner(c.cred, c.region, "trent")
	if err != nil {
		return nil, err
	}
	if err := signer.Sign(r, sha256.Sum256(body), time.Now()); err != nil {
		return nil, err
	}
	c.http.Timeout = 0 // the context bounds it: some answers are long
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	return adminAnswer(resp)
}
