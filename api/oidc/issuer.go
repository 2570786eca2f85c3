package oidc

import (
	"errors"
	"net/url"
	"strings"
)

// ErrURL reports an address that cannot be an issuer's. Its text is for the client.
var ErrURL = errors.New("the URL of an issuer begins with https:// and has a host, perhaps a port and a path, and nothing else")

// CheckURL checks the URL of an issuer: no more than host, port and path, each written in one way.
func CheckURL(issuer string) error {
	rest, ok := strings.CutPrefix(issuer, "https://")
	u, err := url.Parse(issuer)
	switch {
	case !ok || err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Opaque != "":
		return ErrURL
	case strings.ContainsAny(rest, "?#%\\*${}\"<>|^` ") || strings.Contains(rest, "//") || strings.Contains(rest+"/", "/../") || strings.Contains(rest+"/", "/./"):
		return ErrURL
	}
	for i := range len(rest) {
		if rest[i] <= ' ' || rest[i] > '~' {
			return ErrURL
		}
	}
	return nil
}
