package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// clientEnv is what a client needs to reach a dev node.
type clientEnv struct {
	endpoint string
	region   string
	keyID    string
	secret   []byte
	caFile   string // "" without TLS
	host     string
}

// lines renders the environment as shell commands. The endpoint is set for KMS, IAM and STS only: the global variable would
// redirect S3 and everything else too. What would send requests to the real service instead is unset.
func (e clientEnv) lines() string {
	var b strings.Builder
	export := func(name, value string) { fmt.Fprintf(&b, "export %s=%s\n", name, shellQuote(value)) }
	for _, service := range []string{"KMS", "IAM", "STS"} {
		export("AWS_ENDPOINT_URL_"+service, e.endpoint)
	}
	export("AWS_REGION", e.region)
	export("AWS_DEFAULT_REGION", e.region)
	export("AWS_ACCESS_KEY_ID", e.keyID)
	export("AWS_SECRET_ACCESS_KEY", string(e.secret))
	if e.caFile != "" {
		export("AWS_CA_BUNDLE", e.caFile)
	}
	b.WriteString("unset AWS_SESSION_TOKEN AWS_SECURITY_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE AWS_IGNORE_CONFIGURED_ENDPOINT_URLS\n")
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		fmt.Fprintf(&b, "case \",${%[1]s:-},\" in *,%[2]s,*) ;; *) export %[1]s=\"${%[1]s:+$%[1]s,}\"%[3]s ;; esac\n",
			name, e.host, shellQuote(e.host))
	}
	return b.String()
}

// write writes the environment to dir/env.sh.
func (e clientEnv) write(dir string) (string, error) {
	path := filepath.Join(dir, "env.sh")
	return path, writeDurably(path, []byte("# What a client of this Trent node needs; source it:  . "+path+"\n"+e.lines()))
}

// shellQuote quotes a value for every POSIX shell.
func shellQuote(v string) string {
	return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'"
}

// endpointURL is the URL of a listener for clients on this machine: an unspecified address is reached by loopback.
func endpointURL(addr net.Addr, tls bool) (url, host string) {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return scheme + "://" + addr.String(), "127.0.0.1"
	}
	host = tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, fmt.Sprint(tcp.Port)), host
}
