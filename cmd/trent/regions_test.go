package main

import (
	"strings"
	"testing"

	"github.com/trentkms/trent/region"
)

// TestForgetSaysWhatIsLeft: what forget prints names the regions that have still to do it, and the command.
func TestForgetSaysWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		what      string
		out       region.Forgetting
		want, not string
	}{
		{"left in two", region.Forgetting{Region: "us-east-1", Elsewhere: []string{"eu-west-1", "ap-south-1"}},
			"in eu-west-1, ap-south-1, by their operators:\n\n  trent operator region forget us-east-1\n", "No other region"},
		{"done", region.Forgetting{Region: "us-east-1"}, "No other region has still to forget it.", "Not done yet"},
		{"dry run", region.Forgetting{Region: "us-east-1", DryRun: true}, "nothing is changed", "No other region"},
	} {
		var b strings.Builder
		if err := printForgetting(&b, &c.out); err != nil || !strings.Contains(b.String(), c.want) || strings.Contains(b.String(), c.not) {
			t.Errorf("%s: %v\n%s", c.what, err, b.String())
		}
	}
}

// TestRegionsSayWhoHasToForget: the list of regions does too, on both sides, and who has to consent.
func TestRegionsSayWhoHasToForget(t *testing.T) {
	var b strings.Builder
	if err := printRegions(&b, []region.RegionInfo{
		{Region: "ap-south-1", State: "self"},
		{Region: "sa-east-1", State: "pending", Problem: "refused"},
		{Region: "us-east-1", State: "forgotten", StillKnownBy: []string{"eu-west-1"}},
		{Region: "us-west-2", State: "federated", ForgottenBy: &region.Forgotten{Region: "eu-west-1", Fence: 7}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"sa-east-1: its operator has still to consent: 'trent operator federate confirm ap-south-1' there\nsa-east-1: until then it may refuse this one: refused\n",
		"has still to be forgotten in eu-west-1: 'trent operator region forget us-east-1' there",
		"forgotten by eu-west-1; if that is meant, 'trent operator region forget us-west-2'",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
