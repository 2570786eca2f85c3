package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/trentkms/trent/region"
)

// terminal is how many columns tables may take.
const terminal = 120

// narrow checks that no line of a table is wider than a terminal.
func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > terminal {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestPrintRegions(t *testing.T) {
	lag, age, none, many := 123456.7, 99999.9, 0, 100_000
	authority := strings.Repeat("01234567-", 7) + "01234567"
	all := []region.RegionInfo{
		{Region: "us-east-1", State: "self", Incarnation: 1796020305243, Members: 5, Authority: authority, IdentityHome: "ap-southeast-2", IdentitySeconds: &age},
		{
			Region: "ap-southeast-2", State: "federated", Incarnation: 1796020305243, Members: 5, LastContact: time.Now().Add(-30 * time.Hour), Authority: authority,
			LagSeconds: &lag, LastDelaySeconds: &lag, MissingChanges: &many, UntakenChanges: &many, UntakenSeconds: &age, PendingChanges: &many, KeysShared: many,
			SessionsAccepted: true, FollowsHere: true, Problem: "it does not answer",
		},
		{
			Region: "eu-west-1", State: "introduced", By: "ap-southeast-2", Authority: authority, LagSeconds: &lag, LastDelaySeconds: &lag, MissingChanges: &none,
			UntakenChanges: &none, UntakenSeconds: &lag, PendingChanges: &none,
		},
	}
	var out bytes.Buffer
	if err := printRegions(&out, all); err != nil {
		t.Fatal(err)
	}
	narrow(t, out.String())
	for _, want := range []string{
		"REGION ", "us-east-1       self ", "30h0m ago", "accepted", "100000 (27h47m)", authority, "1796020305243",
		"us-east-1: identities are decided in ap-southeast-2 and 100000s old\n", "ap-southeast-2: it does not answer\n", "ap-southeast-2: its identities are decided here\n",
		"eu-west-1: introduced by ap-southeast-2; consent with 'trent operator federate confirm eu-west-1'\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

func TestPrintHomeChange(t *testing.T) {
	c := region.HomeChange{Home: "us-east-1", Rows: 214, DryRun: true, VanishCounts: map[string]int{"root access key": 1, "user": 300, "access key": 21}}
	add := func(kind, name, of string) {
		c.Vanish = append(c.Vanish, region.Vanishing{Kind: kind, Name: name, Of: of})
	}
	add("root access key", "AKIAROOT", "the root user of account 111122223333")
	for i := range 200 {
		add("user", fmt.Sprintf("arn:aws:iam::111122223333:user/u%03d", i), "")
	}
	for i := range 21 {
		add("access key", fmt.Sprintf("AKIA%02d", i), "arn:aws:iam::111122223333:user/u000")
	}
	var out bytes.Buffer
	if err := printHomeChange(&out, &c); err != nil {
		t.Fatal(err)
	}
	narrow(t, out.String())
	lines := strings.Split(out.String(), "\n")
	for at, want := range map[int]string{
		0: "Identities would be decided in region us-east-1; nothing is changed.", 1: "taken over           214", 2: "removed              322",
		3: "  root access key AKIAROOT of the root user of account 111122223333", 4: "  user arn:aws:iam::111122223333:user/u000",
		23: "  user arn:aws:iam::111122223333:user/u019", 24: "  user: 280 more", 25: "  access key AKIA00 of arn:aws:iam::111122223333:user/u000",
		45: "  access key: 1 more", 46: "",
	} {
		if at >= len(lines) || lines[at] != want {
			t.Errorf("line %d is not %q:\n%s", at, want, &out)
		}
	}
}
