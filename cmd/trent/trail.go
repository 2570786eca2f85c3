package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/fsm"
)

// trailChange is a change that was made after a snapshot was taken and that the snapshot does not know.
type trailChange struct {
	Time      time.Time       `json:"time"`
	Index     uint64          `json:"index"`
	Event     string          `json:"event"`
	Resource  string          `json:"resource,omitempty"`
	Principal string          `json:"principal,omitempty"`
	Request   json.RawMessage `json:"request,omitempty"`
}

// trail is what audit logs say of the time since a snapshot.
type trail struct {
	// Keys and Materials were deleted; they are not brought back.
	Keys      []fsm.KeyRef
	Materials []fsm.MaterialRef
	// Revoked took something away from somebody, and the restore gives it back: to be done again. Lost is the rest.
	Revoked, Lost []trailChange
	// Gaps say why the trail may not be all.
	Gaps []string
}

// trailRecord is what is read of an audit record.
type trailRecord struct {
	EventID      string    `json:"eventID"`
	EventName    string    `json:"eventName"`
	EventTime    time.Time `json:"eventTime"`
	ErrorCode    string    `json:"errorCode"`
	UserAgent    string    `json:"userAgent"`
	UserIdentity struct {
		ARN string `json:"arn"`
	} `json:"userIdentity"`
	Resources []struct {
		ARN string `json:"ARN"`
	} `json:"resources"`
	Request  json.RawMessage `json:"requestParameters"`
	Response detailFields    `json:"responseElements"`
	Details  json.RawMessage `json:"serviceEventDetails"`

	index uint64
}

type detailFields struct {
	KeyMaterialID string `json:"keyMaterialId"`
	Allow         string `json:"allow"`
}

// operatorAgent marks records of what operators did to the region as a whole.
const operatorAgent = "trent operator"

// readTrail reads what the audit logs in dirs, of one node each, say of the time since a snapshot. Logs of several nodes hold the
// same changes; each is complete by itself if it reaches back to the snapshot and up to the end.
func readTrail(ctx context.Context, dirs []string, snapshotIndex uint64) (*trail, error) {
	t := &trail{}
	seen := map[string]bool{}
	var all []trailRecord
	reaches := false
	for _, dir := range dirs {
		report, err := audit.Verify(ctx, dir, audit.VerifyOptions{})
		if err != nil {
			return nil, err
		}
		if !report.OK() {
			t.Gaps = append(t.Gaps, fmt.Sprintf("the audit log in %s was changed, cut off or damaged: see 'trent audit verify'", dir))
		}
		records, back, err := recordsSince(ctx, dir, snapshotIndex)
		if err != nil {
			return nil, err
		}
		reaches = reaches || back
		for _, r := range records {
			if !seen[r.EventID] {
				seen[r.EventID] = true
				all = append(all, r)
			}
		}
	}
	if !reaches {
		t.Gaps = append(t.Gaps, "no audit log that was given reaches back to the snapshot: what happened in between is not known")
	}
	slices.SortStableFunc(all, func(a, b trailRecord) int { return cmp.Compare(a.index, b.index) })
	for i := range all {
		t.add(&all[i])
	}
	return t, nil
}

// recordsSince reads the changes of one log since a snapshot, and whether the log reaches back to it.
func recordsSince(ctx context.Context, dir string, snapshotIndex uint64) (all []trailRecord, back bool, err error) {
	f := audit.Filter{Limit: 1000}
	for {
		page, err := audit.Search(ctx, dir, f)
		if err != nil {
			return nil, false, err
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			switch {
			case e.Index == 0:
				continue // not a change
			case e.Index <= snapshotIndex:
				return all, true, nil
			}
			r := trailRecord{index: e.Index}
			if err := json.Unmarshal(e.Record(), &r); err != nil {
				return nil, false, fmt.Errorf("record %d in %s: %w", e.Seq, dir, err)
			}
			if r.ErrorCode == "" {
				all = append(all, r)
			}
		}
		if page.Next == "" {
			return all, false, nil
		}
		f.Cursor = page.Next
	}
}

func (t *trail) add(r *trailRecord) {
	arn := ""
	if len(r.Resources) > 0 {
		arn = r.Resources[0].ARN
	}
	var details detailFields
	_ = json.Unmarshal(r.Details, &details) // many records have none, or other ones
	switch ref, ok := keyOfARN(arn); {
	case ok && r.EventName == "DeleteKey":
		t.Keys = append(t.Keys, ref)
		return
	case ok && (r.EventName == "DeleteImportedKeyMaterial" || r.EventName == "DeleteExpiredKeyMaterial"):
		if id, err := hex.DecodeString(r.Response.KeyMaterialID + details.KeyMaterialID); err == nil && len(id) > 0 {
			t.Materials = append(t.Materials, fsm.MaterialRef{Key: ref, ID: id})
			return
		}
	case ok && r.EventName == "ImportKeyMaterial":
		// What was deleted came back: it is the same material, which its id is the fingerprint of.
		if id, err := hex.DecodeString(r.Response.KeyMaterialID); err == nil {
			t.Materials = slices.DeleteFunc(t.Materials, func(m fsm.MaterialRef) bool { return m.Key == ref && string(m.ID) == string(id) })
		}
	case r.UserAgent == operatorAgent:
		if operatorRevokes(r.EventName, &details) {
			t.Revoked = append(t.Revoked, trailChange{Time: r.EventTime, Index: r.index, Event: r.EventName, Principal: operatorAgent, Request: r.Details})
		}
		return
	}
	c := trailChange{Time: r.EventTime, Index: r.index, Event: r.EventName, Resource: arn, Principal: r.UserIdentity.ARN, Request: r.Request}
	if revokes(r.EventName) {
		t.Revoked = append(t.Revoked, c)
	} else {
		t.Lost = append(t.Lost, c)
	}
}

// revokes tells whether a change takes something away or puts something narrower in its place. In doubt it does.
func revokes(event string) bool {
	for _, word := range []string{"Delete", "Revoke", "Retire", "Detach", "Remove", "Disable", "Untag", "Schedule", "Deactivate"} {
		if strings.HasPrefix(event, word) {
			return true
		}
	}
	return strings.Contains(event, "Policy") && !strings.HasPrefix(event, "Create") || event == "UpdateAccessKey" || event == "UpdateAlias"
}

// operatorRevokes tells whether something that an operator did takes something away from somebody, a region among them.
func operatorRevokes(event string, details *detailFields) bool {
	switch event {
	case "DeleteRootAccessKey", "DeleteService", "UnfederateRegion", "ForgetRegion", "RemoveRecoveryKey":
		return true
	case "ShareIdentities":
		return details.Allow == "false"
	}
	return false
}

// keyOfARN reads account and key id out of a key ARN.
func keyOfARN(arn string) (ref fsm.KeyRef, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[2] != "kms" {
		return ref, false
	}
	id, ok := strings.CutPrefix(parts[5], "key/")
	return fsm.KeyRef{Account: parts[4], ID: id}, ok && id != ""
}
