package region

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/trentkms/trent/region/arn"
	fed "github.com/trentkms/trent/region/federation"
)

// federationToken is the right of one region, named For, to federate with the region From, once. It pins From's certificate
// authority and says where From is. It does not print itself.
type federationToken struct {
	From      string   `json:"from"`
	For       string   `json:"for"`
	Pin       []byte   `json:"pin"` // SHA-256 of the authority's public key
	Addresses []string `json:"addresses"`
	Secret    []byte   `json:"secret"`
}

const (
	// federationTokenPrefix tells people and secret scanners what the text is.
	federationTokenPrefix = "trent-federate-1."
	federationSecretSize  = 32
	maxFederationToken    = 16 << 10
)

// reveal is the token in text, to be shown once to who asked for it.
func (t *federationToken) reveal() (string, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	defer clear(b)
	return federationTokenPrefix + base64.RawURLEncoding.EncodeToString(b), nil
}

var errFederationToken = errors.New("this is not a token to federate by: it begins with \"" + federationTokenPrefix + "\"; copy all of it")

// parseFederationToken reads the text of a token. The error does not show it.
func parseFederationToken(text string) (*federationToken, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), federationTokenPrefix)
	if !ok || len(body) > maxFederationToken {
		return nil, errFederationToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, errFederationToken
	}
	defer clear(b)
	var t federationToken
	if json.Unmarshal(b, &t) != nil || len(t.Pin) != 32 || len(t.Secret) != federationSecretSize {
		return nil, errFederationToken
	}
	if !arn.ValidRegion(t.From) || !arn.ValidRegion(t.For) || len(t.Addresses) == 0 || len(t.Addresses) > maxRegionAddresses {
		return nil, errFederationToken
	}
	for _, a := range t.Addresses {
		if !fed.ValidAddress(a) {
			return nil, errFederationToken
		}
	}
	return &t, nil
}

// String implements fmt.Stringer without the secret.
func (t *federationToken) String() string { return fmt.Sprintf("[token of %s for %s]", t.From, t.For) }

// GoString implements fmt.GoStringer without the secret.
func (t *federationToken) GoString() string { return t.String() }
