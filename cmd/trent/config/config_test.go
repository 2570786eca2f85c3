package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/throttle"
)

const minimal = `
region   = "us-east-1"
account  = "111122223333"
data_dir = "data"
hsm "embedded" {
  pin_file = "pin"
}
listener "api" {
  address    = "127.0.0.1:7600"
  plain_http = true
}
`

func TestDefaults(t *testing.T) {
	f, err := Parse("/etc/trent/node.hcl", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"partition", f.Partition, "aws"},
		{"data directory", f.DataDir, "/etc/trent/data"},
		{"PIN file", f.HSM.PINFile, "/etc/trent/pin"},
		{"audit directory", f.Audit.Dir, "/etc/trent/data/audit"},
		{"admin socket", f.AdminSocket, "/etc/trent/data/admin.sock"},
		{"fsync", f.Audit.Fsync, "interval"},
		{"sync interval", f.Audit.SyncInterval, 200 * time.Millisecond},
		{"segment size", f.Audit.SegmentSize, int64(64 << 20)},
		{"request timeout", f.Limits.Timeout, 30 * time.Second},
		{"log level", f.Log.Level, "info"},
		{"log format", f.Log.Format, "text"},
		{"TLS version", f.Listeners[0].MinVersion, "1.3"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", c.what, c.got, c.want)
		}
	}
}

// TestRelativeFile: what is derived from a setting is relative to the file's folder once, also where that is relative itself.
func TestRelativeFile(t *testing.T) {
	f, err := Parse("eu/node.hcl", []byte(minimal+"audit {\n  dir = \"log\"\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Parse("eu/node.hcl", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"data directory", g.DataDir, "eu/data"},
		{"admin socket", g.AdminSocket, "eu/data/admin.sock"},
		{"audit directory by default", g.Audit.Dir, "eu/data/audit"},
		{"audit directory", f.Audit.Dir, "eu/log"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", c.what, c.got, c.want)
		}
	}
}

// TestRefusals: every mistake is named with what to write instead, and those of form with file and line.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown setting", `region   = "us-east-1"`, `region = "us-east-1"` + "\nregoin = 1", "node.hcl line 3"},
		{"syntax", `hsm "embedded" {`, `hsm "embedded" {{`, "node.hcl line 5"},
		{"wrong type", `plain_http = true`, `plain_http = "perhaps"`, "node.hcl line 10"},
		{"missing region", `region   = "us-east-1"`, ``, `"region" is required`},
		{"region", `"us-east-1"`, `"Bavaria"`, `region "Bavaria" does not look like us-east-1`},
		{"account", `"111122223333"`, `"42"`, `account "42" is not 12 digits`},
		{"partition", `data_dir = "data"`, "data_dir = \"data\"\npartition = \"a:b\"", `partition "a:b" does not look like aws`},
		{"sessions of an embedded HSM", `pin_file = "pin"`, "pin_file = \"pin\"\n  sessions = 2", `belong to kind "pkcs11"`},
		{"age of identities", `listener "api" {`, "cluster {\n  address = \"127.0.0.1:1\"\n}\nfederation {\n  identity_max_staleness = \"5s\"\n}\nlistener \"api\" {", "identity_max_staleness is"},
		{"requests in flight", `listener "api" {`, "limits {\n  max_in_flight = -1\n}\nlistener \"api\" {", "max_in_flight is -1"},
		{"data directory", `"data"`, `""`, "data_dir is empty"},
		{"HSM kind", `hsm "embedded"`, `hsm "paper"`, `the kind is "embedded" or "pkcs11"`},
		{"module of an embedded HSM", `pin_file = "pin"`, "pin_file = \"pin\"\n  module = \"x.so\"", `belong to kind "pkcs11"`},
		{"pkcs11 without module", `hsm "embedded"`, `hsm "pkcs11"`, "module (the shared library) and token (its label) or serial are required"},
		{"two PIN sources", `pin_file = "pin"`, "pin_file = \"pin\"\n  pin_env = \"PIN\"", "exactly one of pin_file and pin_env"},
		{"no PIN source", `pin_file = "pin"`, ``, "exactly one of pin_file and pin_env"},
		{"listener name", `listener "api"`, `listener "KMS!"`, `listener "KMS!": a name is made of`},
		{"no API", `listener "api"`, `listener "ops"`, `there is no listener "api"`},
		{"listener's use", `plain_http = true`, "plain_http = true\n  serves = \"web\"", `serves is "web"`},
		{"endpoint id", `plain_http = true`, "plain_http = true\n  endpoint_id = \"vpce-1\"", `endpoint_id "vpce-1" is not`},
		{"network without endpoint", `plain_http = true`, "plain_http = true\n  vpc_id = \"vpc-12345678\"", "vpc_id needs endpoint_id"},
		{"PROXY protocol", `plain_http = true`, "plain_http = true\n  proxy_protocol = \"maybe\"", `it is "off", "optional" or "required"`},
		{"nobody to trust", `plain_http = true`, "plain_http = true\n  proxy_protocol = \"required\"", "go together"},
		{"trust for nothing", `plain_http = true`, "plain_http = true\n  trusted_proxies = [\"10.0.0.0/8\"]", "go together"},
		{"proxy network in IPv6 clothes", `plain_http = true`, "plain_http = true\n  proxy_protocol = \"required\"\n  trusted_proxies = [\"::ffff:10.0.0.0/104\"]", "as an IPv4 address or network"},
		{"proxy address", `plain_http = true`, "plain_http = true\n  proxy_protocol = \"optional\"\n  trusted_proxies = [\"lb\"]", `"lb" is neither an address nor a network`},
		{"TLS before nobody", `plain_http = true`, "plain_http = true\n  tls_terminated = true", "tls_terminated needs"},
		{"address", `"127.0.0.1:7600"`, `"7600"`, `address "7600" is not host:port`},
		{"neither TLS nor plain", `plain_http = true`, ``, "give tls_cert_file and tls_key_file"},
		{"half a pair", `plain_http = true`, `tls_cert_file = "c"`, "go together"},
		{"TLS version", `plain_http = true`, "plain_http = true\n  tls_min_version = \"1.1\"", `it is "1.2" or "1.3"`},
		{"fsync", `listener "api" {`, "audit {\n  fsync = \"never\"\n}\nlistener \"api\" {", `it is "interval" or "always"`},
		{"interval", `listener "api" {`, "audit {\n  interval = \"soon\"\n}\nlistener \"api\" {", "is not a positive duration"},
		{"events nowhere", `listener "api" {`, "events \"e\" {\n}\nlistener \"api\" {", "exactly one of file and webhook"},
		{"webhook", `listener "api" {`, "events \"e\" {\n  webhook = \"example.com\"\n}\nlistener \"api\" {", "is not a URL"},
		{"event type", `listener "api" {`, "events \"e\" {\n  file = \"e\"\n  detail_types = [\"x\"]\n}\nlistener \"api\" {", "is none of"},
		{"segment age", `listener "api" {`, "audit {\n  segment_age = \"old\"\n}\nlistener \"api\" {", "segment_age"},
		{"segment size", `listener "api" {`, "audit {\n  segment_size = 5\n}\nlistener \"api\" {", "at least 1048576"},
		{"quota profile", `listener "api" {`, "limits {\n  quota_profile = \"gold\"\n}\nlistener \"api\" {", `there is no quota_profile "gold"`},
		{"quota name", `listener "api" {`, "quota_profile \"gold\" {\n  rates = { CreateKey = 5 }\n}\nlistener \"api\" {", `there is no quota "CreateKey"`},
		{"quota rate", `listener "api" {`, "quota_profile \"gold\" {\n  rates = { \"CreateKey request rate\" = -1 }\n}\nlistener \"api\" {", `quota "CreateKey request rate": the rate -1`},
		{"quota account", `listener "api" {`, "limits {\n  account_quota_profiles = { \"42\" = \"aws\" }\n}\nlistener \"api\" {", `account "42" is not 12 digits`},
		{"log level", `listener "api" {`, "log {\n  level = \"loud\"\n}\nlistener \"api\" {", "it is debug, info, warn or error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := strings.Replace(minimal, c.old, c.new, 1)
			if src == minimal {
				t.Fatalf("the case changes nothing: %q is not in the file", c.old)
			}
			_, err := Parse("node.hcl", []byte(src))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestQuotaProfiles: own profiles stand on the documented one, and accounts can have others than the default.
func TestQuotaProfiles(t *testing.T) {
	f, err := Parse("node.hcl", []byte(minimal+`
limits {
  quota_profile          = "aws"
  account_quota_profiles = { "444455556666" = "gold", "777788889999" = "none" }
}
quota_profile "gold" {
  based_on = "aws"
  rates    = { "CreateKey request rate" = 50, "ListKeys request rate" = 0 }
}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		account, quota string
		want           float64
	}{
		{"111122223333", "CreateKey request rate", 5}, {"444455556666", "CreateKey request rate", 50},
		{"444455556666", "ListKeys request rate", 0}, {"444455556666", "DisableKey request rate", 5}, {"777788889999", "CreateKey request rate", 0},
	} {
		if got := f.Limits.Quotas.Limit(throttle.Key{Scope: c.account, Quota: c.quota}).Rate(); got != c.want {
			t.Errorf("%s of %s is %v, want %v", c.quota, c.account, got, c.want)
		}
	}
	if f, err = Parse("node.hcl", []byte(minimal)); err != nil || f.Limits.Quotas != nil {
		t.Errorf("request quotas are on by default: %v, %v", f, err)
	}
}

// TestDocumentedExample: the example in the documentation is a good configuration.
func TestDocumentedExample(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(blocks) == 0 {
		t.Fatal("docs/configuration.md has no example")
	}
	for _, b := range blocks {
		if _, err := Parse("example.hcl", b[1]); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(`hsm "pkcs11" {`))
	f.Fuzz(func(t *testing.T, src []byte) {
		if c, err := Parse("fuzz.hcl", src); (c == nil) == (err == nil) {
			t.Errorf("a configuration %v and an error %v", c, err)
		}
	})
}
