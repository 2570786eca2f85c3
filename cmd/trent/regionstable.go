package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/trentkms/trent/region"
)

// printRegions prints two tables and what there is to say, each narrow enough for a terminal of 120 columns: how the regions stand, and who
// they are.
func printRegions(out io.Writer, all []region.RegionInfo) error {
	t := newTable(out, "REGION\tSTATE\tNODES\tLAST CONTACT\tKEYS\tSESSIONS\tLAG\tDELAY\tMISSING\tUNTAKEN\tPENDING")
	for i := range all {
		r := &all[i]
		contact, lag, sessions := "never", "-\t-\t-\t-\t-", "-"
		switch {
		case r.State == "self":
			contact = "-"
		case !r.LastContact.IsZero():
			contact = span(time.Since(r.LastContact).Seconds(), 0) + " ago"
		}
		if r.SessionsAccepted {
			sessions = "accepted"
		}
		if r.LagSeconds != nil {
			untaken := fmt.Sprint(*r.UntakenChanges)
			if *r.UntakenChanges > 0 {
				untaken += " (" + span(*r.UntakenSeconds, 1) + ")"
			}
			lag = fmt.Sprintf("%s\t%s\t%d\t%s\t%d", span(*r.LagSeconds, 1), span(*r.LastDelaySeconds, 3), *r.MissingChanges, untaken, *r.PendingChanges)
		}
		t.row("%s\t%s\t%d\t%s\t%d\t%s\t%s", r.Region, r.State, r.Members, contact, r.KeysShared, sessions, lag)
	}
	t.row("\nREGION\tINCARNATION\tAUTHORITY")
	for i := range all {
		t.row("%s\t%d\t%s", all[i].Region, all[i].Incarnation, all[i].Authority)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	first := "\n"
	for i := range all {
		for _, note := range regionNotes(&all[i], all[0].Region) {
			if _, err := fmt.Fprintf(out, "%s%s: %s\n", first, all[i].Region, note); err != nil {
				return err
			}
			first = ""
		}
	}
	return nil
}

// span is a duration in a few characters: seconds with that many digits, or, from 100 s on, hours and minutes.
func span(seconds float64, digits int) string {
	if seconds < 100 {
		return fmt.Sprintf("%.*fs", digits, seconds)
	}
	d := time.Duration(seconds * float64(time.Second))
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// regionNotes are what there is to say of a region in the list of another one, or its own.
func regionNotes(r *region.RegionInfo, here string) (notes []string) {
	problem := r.Problem
	if r.State == "pending" {
		notes = append(notes, "its operator has still to consent: 'trent operator federate confirm "+here+"' there")
		if problem != "" { // a region refuses those that it does not know
			problem = "until then it may refuse this one: " + problem
		}
	}
	if problem != "" {
		notes = append(notes, problem)
	}
	if r.IdentityHome != "" {
		notes = append(notes, fmt.Sprintf("identities are decided in %s and %.0fs old", r.IdentityHome, *r.IdentitySeconds))
	}
	if r.FollowsHere {
		notes = append(notes, "its identities are decided here")
	}
	if r.By != "" {
		notes = append(notes, "introduced by "+r.By+"; consent with 'trent operator federate confirm "+r.Region+"'")
	}
	if len(r.StillKnownBy) > 0 {
		notes = append(notes, "has still to be forgotten in "+strings.Join(r.StillKnownBy, ", ")+": 'trent operator region forget "+r.Region+"' there")
	}
	if r.ForgottenBy != nil {
		notes = append(notes, fmt.Sprintf("forgotten by %s; if that is meant, 'trent operator region forget %s'", r.ForgottenBy.Region, r.Region))
	}
	return notes
}
