package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/fsm"
)

// trailLog writes an audit log whose records have the given Raft indexes.
func trailLog(t *testing.T, node string, records map[uint64]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), node)
	log, err := audit.Open(audit.Config{Dir: dir, NodeID: node, SegmentSize: 1 << 20, Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for index := uint64(1); index <= 100; index++ {
		if body := records[index]; body != "" {
			rec := fmt.Sprintf(`{"eventVersion":"1.11","eventTime":"2026-01-02T03:04:05Z","eventID":"event-%d",%s}`, index, body)
			if err := log.AppendCommitted(index, []byte(rec)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func trailEvent(name, key, more string) string {
	return fmt.Sprintf(`"eventName":%q,"resources":[{"ARN":"arn:aws:kms:us-east-1:111122223333:key/%s"}]%s`, name, key, more)
}

func TestTrail(t *testing.T) {
	material := strings.Repeat("ab", 32)
	records := map[uint64]string{
		5:  trailEvent("DeleteKey", "before", ""),
		11: trailEvent("DeleteKey", "gone", ""),
		12: trailEvent("DeleteImportedKeyMaterial", "imported", `,"responseElements":{"keyMaterialId":"`+material+`"}`),
		13: trailEvent("DeleteExpiredKeyMaterial", "again", `,"serviceEventDetails":{"keyMaterialId":"`+material+`"}`),
		14: trailEvent("ImportKeyMaterial", "again", `,"responseElements":{"keyMaterialId":"`+material+`"}`),
		15: trailEvent("RevokeGrant", "k", `,"requestParameters":{"grantId":"g"}`),
		16: `"eventName":"DeleteAccessKey","requestParameters":{"accessKeyId":"AKIA1"}`,
		17: trailEvent("PutKeyPolicy", "k", ""),
		18: trailEvent("CreateKey", "new", ""),
		19: trailEvent("DisableKey", "k", `,"errorCode":"AccessDenied"`),
		20: `"eventName":"RotateDomainKey","userAgent":"trent operator"`,
		21: `"eventName":"DetachUserPolicy"`,
		22: `"eventName":"CreatePolicy"`,
		23: `"eventName":"ShareIdentities","userAgent":"trent operator","serviceEventDetails":{"region":"eu-west-1","allow":"true"}`,
		24: `"eventName":"ShareIdentities","userAgent":"trent operator","serviceEventDetails":{"region":"eu-west-1","allow":"false"}`,
		25: `"eventName":"DeleteRootAccessKey","userAgent":"trent operator","serviceEventDetails":{"accessKeyId":"AKIA2"}`,
		26: `"eventName":"DeleteService","userAgent":"trent operator","serviceEventDetails":{"service":"ssm","accessKeyId":"AKIA3"}`,
	}
	one, two := trailLog(t, "n1", records), trailLog(t, "n2", records)
	got, err := readTrail(t.Context(), []string{one, two}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Gaps) != 0 {
		t.Errorf("gaps %v", got.Gaps)
	}
	if len(got.Keys) != 1 || got.Keys[0] != (fsm.KeyRef{Account: "111122223333", ID: "gone"}) {
		t.Errorf("deleted keys %v", got.Keys)
	}
	if len(got.Materials) != 1 || got.Materials[0].Key.ID != "imported" || fmt.Sprintf("%x", got.Materials[0].ID) != material {
		t.Errorf("deleted materials %v", got.Materials)
	}
	names := func(all []trailChange) (s string) {
		for _, c := range all {
			s += c.Event + " "
		}
		return s
	}
	if s := names(got.Revoked); s != "RevokeGrant DeleteAccessKey PutKeyPolicy DetachUserPolicy ShareIdentities DeleteRootAccessKey DeleteService " {
		t.Errorf("revoked: %s", s)
	}
	if s := names(got.Lost); s != "ImportKeyMaterial CreateKey CreatePolicy " {
		t.Errorf("lost: %s", s)
	}
	if s := string(got.Revoked[4].Request); s != `{"region":"eu-west-1","allow":"false"}` {
		t.Errorf("what an operator did: %s", s)
	}
	if string(got.Revoked[0].Request) != `{"grantId":"g"}` || got.Revoked[0].Time != time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) {
		t.Errorf("%+v", got.Revoked[0])
	}
	// A log of a node that joined after the snapshot proves nothing about what came before.
	if got, err := readTrail(t.Context(), []string{one}, 3); err != nil || len(got.Gaps) != 1 || !strings.Contains(got.Gaps[0], "reaches back") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := readTrail(t.Context(), []string{filepath.Join(t.TempDir(), "none")}, 3); err == nil {
		t.Error("a trail that is not there")
	}
}

func TestRedactConfig(t *testing.T) {
	text := `region = "r" # hunter2
hsm "embedded" { # hunter2
  pin_file = "pin"
  pin_env = "HUNTER"
  pin = "hunter2"
  interval = "200ms"
  webhook = "https://hunter2"
  new_setting = "hunter2"
}
# hunter2
x "y" { pin = "hunter2" }
  <<EOF
  hunter2
`
	got := string(redactConfig([]byte(text)))
	if strings.Contains(got, "hunter2") || !strings.Contains(got, `region = "r"`) || !strings.Contains(got, `hsm "embedded" {`) || !strings.Contains(got, `pin_file = "pin"`) ||
		!strings.Contains(got, `interval = "200ms"`) {
		t.Errorf("redacted to\n%s", got)
	}
}
