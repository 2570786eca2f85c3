package config

import (
	"strings"
	"testing"
	"time"
)

func TestClusterBlock(t *testing.T) {
	f, err := Parse("/etc/trent/node.hcl", []byte(minimal+"cluster {\n address = \"0.0.0.0:7602\"\n advertise = \"n1.internal:7602\"\n election_timeout = \"3s\"\n}\nadmin_socket = \"run/trent.sock\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Cluster.Timeout != 3*time.Second || f.Cluster.Advertise != "n1.internal:7602" || f.AdminSocket != "/etc/trent/run/trent.sock" {
		t.Errorf("%+v, %s", f.Cluster, f.AdminSocket)
	}
	if f.Cluster.Drain != 3*time.Second {
		t.Errorf("drains for %v", f.Cluster.Drain)
	}
	if f, err := Parse("/etc/trent/node.hcl", []byte(minimal+"cluster {\n address = \"h:1\"\n drain_delay = \"0s\"\n}\n")); err != nil || f.Cluster.Drain != 0 {
		t.Errorf("no delay: %+v, %v", f, err)
	}
	t.Setenv("TRENT_TEST_ADVERTISE", "n7.internal:7602")
	if f, err := Parse("/etc/trent/node.hcl", []byte(minimal+"cluster {\n address = \":1\"\n advertise_env = \"TRENT_TEST_ADVERTISE\"\n}\n")); err != nil || f.Cluster.Advertise != "n7.internal:7602" {
		t.Errorf("advertised by the environment: %+v, %v", f, err)
	}
	f, err = Parse("/etc/trent/node.hcl", []byte(minimal))
	if err != nil || f.Cluster != nil || f.AdminSocket != "/etc/trent/data/admin.sock" {
		t.Errorf("without the block: %+v, %v", f, err)
	}
	for block, want := range map[string]string{
		`address = "7602"`:                                                                 "is not host:port",
		`address = ":7602"`:                                                                "set advertise",
		`address = "0.0.0.0:7602"`:                                                         "set advertise",
		"address = \"h:1\"\nadvertise = \"h\"":                                             "is not host:port",
		"address = \"h:1\"\nelection_timeout = \"1\"":                                      "not a positive duration",
		"address = \"h:1\"\nelection_timeout = \"10ms\"":                                   "between 100ms and 1m",
		"address = \"h:1\"\ndrain_delay = \"2m\"":                                          "at most 1m",
		"address = \"h:1\"\ndrain_delay = \"-1s\"":                                         "not a positive duration",
		"address = \"h:1\"\nadvertise_env = \"TRENT_TEST_NONE\"":                           "is not set",
		"address = \"h:1\"\nadvertise = \"h:2\"\nadvertise_env = \"TRENT_TEST_ADVERTISE\"": "at most one",
		"address = \"h:1\"\nheartbeat = \"10ms\"":                                          "heartbeat",
	} {
		if _, err := Parse("/etc/trent/node.hcl", []byte(minimal+"cluster {\n"+block+"\n}\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", block, err)
		}
	}
}
