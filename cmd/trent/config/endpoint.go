package config

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
)

// What a listener serves.
const (
	ServesAPI = "api" // the KMS, IAM and STS APIs
	ServesOps = "ops" // health and metrics
)

// Uses of the PROXY protocol.
const (
	proxyOff      = "off"
	proxyOptional = "optional"
	ProxyRequired = "required"
)

var (
	listenerName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	vpceID       = regexp.MustCompile(`^vpce-[0-9a-f]{17}$`)
	vpcID        = regexp.MustCompile(`^vpc-([0-9a-f]{8}|[0-9a-f]{17})$`)
)

// completeEndpoint checks what a listener says of the requests that come over it.
func (l *Listener) completeEndpoint(base string) error {
	setDefault(&l.ProxyProtocol, proxyOff)
	switch {
	case l.EndpointID != "" && !vpceID.MatchString(l.EndpointID):
		return fmt.Errorf("endpoint_id %q is not vpce- and 17 hex digits", l.EndpointID)
	case l.VpcID != "" && !vpcID.MatchString(l.VpcID):
		return fmt.Errorf("vpc_id %q is not vpc- and 8 or 17 hex digits", l.VpcID)
	case l.VpcID != "" && l.EndpointID == "":
		return errors.New("vpc_id needs endpoint_id: only requests through an endpoint come from a network of that kind")
	case l.ProxyProtocol != proxyOff && l.ProxyProtocol != proxyOptional && l.ProxyProtocol != ProxyRequired:
		return fmt.Errorf("proxy_protocol is %q; it is \"off\", \"optional\" or \"required\"", l.ProxyProtocol)
	case (l.ProxyProtocol == proxyOff) != (len(l.TrustedProxies) == 0):
		return errors.New("proxy_protocol and trusted_proxies (the addresses of the load balancers) go together")
	case l.TLSBefore && (!l.PlainHTTP || l.ProxyProtocol != ProxyRequired):
		return errors.New("tls_terminated needs plain_http = true and proxy_protocol = \"required\": only the load balancer may connect")
	case l.Serves == ServesOps && (l.EndpointID != "" || l.EndpointPolicyFile != "" || l.ProxyProtocol != proxyOff):
		return errors.New("endpoint_id, endpoint_policy_file and proxy_protocol are for listeners of the API")
	}
	for _, s := range l.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return fmt.Errorf("trusted_proxies: %q is neither an address nor a network like 10.0.0.0/8", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() { // connections are compared as what they are
			return fmt.Errorf("trusted_proxies: write %q as an IPv4 address or network", s)
		}
		l.Proxies = append(l.Proxies, p.Masked())
	}
	resolve(base, &l.EndpointPolicyFile)
	return nil
}
