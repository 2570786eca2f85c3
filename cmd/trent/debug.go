package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/spf13/cobra"
)

// debugPart is one file of a debug bundle.
type debugPart struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// debugParts gathers what helps to find a fault from afar: how the node is, and nothing of what it keeps. Names of keys, accounts
// and principals are not in it.
func (n *node) debugParts(ctx context.Context) (parts []debugPart, err error) {
	add := func(name string, data []byte) { parts = append(parts, debugPart{name, data}) }
	asJSON := func(name string, v any) {
		b, e := json.MarshalIndent(v, "", "  ")
		err = errors.Join(err, e)
		add(name, append(b, '\n'))
	}
	asJSON("status.json", n.adminStatus(ctx))
	members, e := n.members.List(ctx)
	if e != nil {
		add("members.error", []byte(e.Error()+"\n"))
	} else {
		asJSON("members.json", members)
	}
	asJSON("hsm.json", struct {
		Info    any
		Missing []string
	}{n.module.Info(), n.module.Capabilities().Missing})
	var health bytes.Buffer
	for _, c := range n.checks(ctx) {
		fmt.Fprintf(&health, "%s: %s\n", c.name, word(c.err))
	}
	add("health.txt", health.Bytes())
	var metrics bytes.Buffer
	families, e := n.metrics.Gather()
	err = errors.Join(err, e)
	for _, f := range families {
		if _, e := expfmt.MetricFamilyToText(&metrics, f); e != nil {
			err = errors.Join(err, e)
		}
	}
	add("metrics.txt", metrics.Bytes())
	var stacks bytes.Buffer
	if p := pprof.Lookup("goroutine"); p != nil {
		err = errors.Join(err, p.WriteTo(&stacks, 1)) // 1: no values of arguments
	}
	add("goroutines.txt", stacks.Bytes())
	add("version.txt", fmt.Appendf(nil, "trent %s (%s)\n%s, %s/%s, %d processors\ncrypto module: %s, fips140=%s\nstarted %s\n", version, revision(),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), cryptoModule(), fipsMode(), n.started.UTC().Format(time.RFC3339)))
	if info, ok := debug.ReadBuildInfo(); ok {
		add("modules.txt", []byte(info.String()))
	}
	return parts, err
}

func debugCommand() *cobra.Command {
	return group("debug", "Help to find faults", debugBundleCommand())
}

func debugBundleCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "bundle FILE.tar.gz", Short: "Gather what helps to find a fault, without secrets", Args: arguments(cobra.ExactArgs(1)),
		Long: "Gather what helps to find a fault: status, members, health, metrics, goroutines, versions and the configuration with what could\n" +
			"be secret left out. No key, credential, policy or name of a key is in it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			var parts []debugPart
			if err := f.call(cmd.Context(), http.MethodGet, "/v1/debug", nil, &parts); err != nil {
				return err
			}
			if f.socket == "" && f.remote() == "" {
				text, err := os.ReadFile(f.config)
				if err != nil {
					return err
				}
				parts = append(parts, debugPart{"config.hcl", redactConfig(text)})
			}
			if err := writeBundle(args[0], parts); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), map[string]any{"file": args[0], "parts": len(parts)}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: %d files\n", args[0], len(parts))
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

var (
	// setting is one line of a configuration: a name and a value.
	setting = regexp.MustCompile(`^(\s*)([a-z0-9_]+)(\s*=\s*)(.*)$`)
	block   = regexp.MustCompile(`^\s*[a-z0-9_]+(\s+"[^"]*")*\s*\{\s*(#.*)?$|^\s*\}\s*(#.*)?$|^\s*(#.*)?$`)
	// shown are the settings whose values are shown. Whoever adds a setting decides whether it belongs here.
	shown = []string{
		"region", "partition", "account", "data_dir", "module", "token", "sessions", "allow_host_unwrap", "allow_oaep_sha1_transport", "serial",
		"address", "advertise", "advertise_env", "tls_min_version", "plain_http", "serves", "proxy_protocol", "tls_terminated", "dir", "fsync", "interval",
		"segment_size", "segment_age", "max_in_flight", "request_timeout", "quota_profile", "election_timeout", "drain_delay", "listen", "level", "format",
		"admin_socket", "pin_file", "tls_cert_file", "tls_key_file",
	}
)

// redactConfig leaves the values of settings out that it does not know to be harmless, comments, and lines that are none of both.
func redactConfig(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		m := setting.FindSubmatch(line)
		switch {
		case m != nil && slices.Contains(shown, string(m[2])):
			value, _, _ := bytes.Cut(m[4], []byte(" #"))
			fmt.Fprintf(&out, "%s%s%s%s\n", m[1], m[2], m[3], value)
		case m != nil:
			fmt.Fprintf(&out, "%s%s%s[redacted]\n", m[1], m[2], m[3])
		case block.Match(line):
			line, _, _ = bytes.Cut(line, []byte("#"))
			fmt.Fprintf(&out, "%s\n", line)
		default:
			fmt.Fprintln(&out, "[redacted]")
		}
	}
	return out.Bytes()
}

func writeBundle(path string, parts []debugPart) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	for _, p := range parts {
		if err == nil {
			err = t.WriteHeader(&tar.Header{Name: "trent-debug/" + p.Name, Mode: 0o600, Size: int64(len(p.Data)), ModTime: time.Now()})
		}
		if err == nil {
			_, err = t.Write(p.Data)
		}
	}
	return errors.Join(err, t.Close(), z.Close(), f.Close())
}
