package trenttest

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// readEnv reads the exported variables of an env.sh. Only the simple form that trent dev writes is understood.
func readEnv(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	env := make(map[string]string)
	for s := bufio.NewScanner(f); ; {
		if !s.Scan() {
			return env, s.Err()
		}
		if rest, ok := strings.CutPrefix(s.Text(), "export "); ok {
			name, value, _ := strings.Cut(rest, "=")
			if len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
				return nil, fmt.Errorf("%s: %q is not in single quotes", path, s.Text())
			}
			env[name] = strings.ReplaceAll(value[1:len(value)-1], `'\''`, `'`)
		}
	}
}

// Offline is an environment in which no AWS client can leave this machine by mistake: no profile, no instance metadata, and a
// proxy that refuses for every address but the loopback. base is the environment to start from.
func Offline(base []string, proxy string) []string {
	var env []string
	for _, v := range base {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			continue
		}
		env = append(env, v)
	}
	return append(env,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_PAGER=",
		"HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy, "http_proxy="+proxy, "https_proxy="+proxy)
}
