package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/region"
)

// What the operator can lift ends with the exit code that says so, and a dry run answers like the command itself.
func TestRemoveIsRefused(t *testing.T) {
	s := newServed(t)
	self := s.node.cluster.Identity().NodeID
	for _, flags := range [][]string{nil, {"--dry-run"}} {
		_, err := s.trent(s.id, s.secret, append([]string{"operator", "remove", self}, flags...)...)
		if err == nil || exitCode(err) != exitHeld || !strings.Contains(err.Error(), cluster.ErrQuorum.Error()) {
			t.Errorf("remove the only node %v: %v, exit code %d", flags, err, exitCode(err))
		}
		_, err = s.trent(s.id, s.secret, append([]string{"operator", "remove", "nobody"}, flags...)...)
		if err == nil || exitCode(err) != exitFailed {
			t.Errorf("remove nobody %v: %v", flags, err)
		}
	}
}

// A snapshot that was damaged is called damaged before anything is made of its header.
func TestRestoreOfADamagedHeader(t *testing.T) {
	if testing.Short() {
		t.Skip("opens tokens again and again, which takes long under the race detector and has no concurrency of its own")
	}
	s := newServed(t)
	dir := t.TempDir()
	file, conf := filepath.Join(dir, "s"), filepath.Join(dir, "node.hcl")
	if out, err := s.trent(s.id, s.secret, "operator", "snapshot", "save", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(s.file.Region))
	if at < 0 {
		t.Fatal("the header does not name the region")
	}
	b[at] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	pin := filepath.Join(dir, "pin")
	if err := os.WriteFile(pin, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("region = %q\naccount = %q\ndata_dir = %q\nhsm \"embedded\" {\n  pin_file = %q\n}\nlistener \"api\" {\n  address = \"127.0.0.1:0\"\n  plain_http = true\n}\n",
		s.file.Region, s.file.Account, filepath.Join(dir, "data"), pin)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.trent(s.id, s.secret, "operator", "snapshot", "restore", file, "--config", conf, "--accept-revival")
	if err == nil || exitCode(err) != exitFailed || !strings.Contains(err.Error(), "digest does not match") {
		t.Errorf("%v, exit code %d", err, exitCode(err))
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !os.IsNotExist(err) {
		t.Errorf("the data directory was touched: %v", err)
	}
}

// Tables say what is not known, rather than a zero.
func TestMembersThatDoNotAnswer(t *testing.T) {
	var out bytes.Buffer
	m := region.MemberInfo{Member: cluster.Member{ID: "n1", Address: "a:1", Voter: true, LastContact: time.Now().Add(-time.Minute)}}
	if err := printMembers(&out, []region.MemberInfo{m}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(strings.Split(out.String(), "\n")[1]); got[2] != "voter" || got[3] != "?" {
		t.Errorf("printed %q", out.String())
	}
}

func TestPrintSnapshot(t *testing.T) {
	for _, c := range []struct {
		who  []string
		want string
	}{{nil, "wrapped for nobody: an HSM that holds it is needed\n"}, {[]string{"n1", "n2"}, "wrapped for n1, n2\n"}} {
		var out bytes.Buffer
		if err := printSnapshot(&out, &snapshotReport{DomainKeys: []snapshotDomain{{Version: 1, ID: "d", WrappedFor: c.who}}}); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}

// TestPrintChanges: what a restore lists has no gaps where nobody asked for a change, and says what comes back from other regions.
func TestPrintChanges(t *testing.T) {
	var out bytes.Buffer
	r := &restoring{format: formatText}
	if err := r.print(&out, &restoreReport{Snapshot: &snapshotReport{}, Lost: []trailChange{
		{Event: "SynchronizeIdentities", Request: []byte("null")},
		{Event: "CreateUser", Principal: "arn:p", Request: []byte(`{"userName":"ann"}`)},
	}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Z SynchronizeIdentities\n", `Z CreateUser by arn:p {"userName":"ann"}` + "\n", "other regions they tell again"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// init on a node that runs says that the region is made, and changes nothing.
func TestInitOfARunningNode(t *testing.T) {
	s := newServed(t)
	if err := s.node.serveAdmin(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err := runInit(t.Context(), s.file, &out, formatText)
	if err == nil || exitCode(err) != exitHeld || out.Len() > 0 {
		t.Fatalf("%v, exit code %d, %s", err, exitCode(err), out.String())
	}
	for _, want := range []string{"region " + s.file.Region + " is made already", "operator join-token create", "operator status"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
