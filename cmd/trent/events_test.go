package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/cmd/trent/config"
)

// TestEventOf: the three internal events become notifications with the documented keys; nothing else does.
func TestEventOf(t *testing.T) {
	record := func(name, more string) string {
		return `{"eventTime":"2026-01-31T12:00:00Z","eventName":"` + name + `","awsRegion":"us-east-1","eventID":"id-1","eventType":"AwsServiceEvent",` +
			`"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"arn:aws:kms:us-east-1:111122223333:key/k1"}],` + more + `"recipientAccountId":"111122223333"}`
	}
	event := func(kind, detail string) string {
		return `{"version":"0","id":"id-1","detail-type":"` + kind + `","source":"aws.kms","account":"111122223333","time":"2026-01-31T12:00:00Z",` +
			`"region":"us-east-1","resources":["arn:aws:kms:us-east-1:111122223333:key/k1"],"detail":{` + detail + `"key-id":"k1"}}`
	}
	for _, c := range []struct{ record, want string }{
		{record("DeleteKey", ""), event("KMS CMK Deletion", "")},
		{record("RotateKey", `"serviceEventDetails":{"rotationType":"ON_DEMAND","keyId":"k1","keyOrigin":"AWS_KMS","previousKeyMaterialId":"a","currentKeyMaterialId":"b"},`),
			event("KMS CMK Rotation", `"current-key-material-id":"b",`)},
		{record("DeleteExpiredKeyMaterial", `"serviceEventDetails":{"keyId":"k1","keyMaterialId":"a"},`), event("KMS Imported Key Material Expiration", "")},
		{record("CreateKey", ""), "null"}, {`{"eventName":"DeleteKey","eventType":"AwsApiCall"}`, "null"}, {"{", "null"},
	} {
		e := eventOf([]byte(c.record))
		if e != nil && e.DetailType == "KMS CMK Rotation" {
			if e.Detail["rotation-type"] != "ON_DEMAND" || e.Detail["key-origin"] != "AWS_KMS" || e.Detail["previous-key-material-id"] != "a" {
				t.Errorf("the detail of a rotation: %v", e.Detail)
			}
			e.Detail = map[string]string{"key-id": "k1", "current-key-material-id": "b"}
		} else if e != nil {
			delete(e.Detail, "key-material-id")
		}
		if b, _ := json.Marshal(e); string(b) != c.want {
			t.Errorf("got  %s\nwant %s", b, c.want)
		}
	}
}

// TestEventDelivery: a rotation reaches a file and a webhook, the webhook after it has failed, each event with one id; a target that was
// delivered to goes on behind it after a restart.
func TestEventDelivery(t *testing.T) {
	var tries atomic.Int64
	got := make(chan []byte, 16)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		got <- b
	}))
	defer hook.Close()
	s := newServed(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "events.jsonl")
	s.node.cfg.Events = []config.Events{{Name: "hook", Webhook: hook.URL}, {Name: "file", File: path, DetailTypes: []string{"KMS CMK Rotation"}},
		{Name: "none", File: filepath.Join(dir, "none"), DetailTypes: []string{"KMS CMK Deletion"}}}
	for _, c := range s.node.cfg.Events { // as at an earlier start: what comes is new
		if err := (&eventSender{position: filepath.Join(s.node.cfg.DataDir, "events-"+c.Name)}).keep(audit.Position{}); err != nil {
			t.Fatal(err)
		}
	}
	client := kms.New(kms.Options{Region: s.file.Region, BaseEndpoint: &s.url, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}, nil
	})})
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err == nil {
		_, err = client.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key.KeyMetadata.KeyId})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.node.sendEvents()
	var e keyEvent
	select {
	case b := <-got:
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("the webhook gets nothing")
	}
	if e.DetailType != "KMS CMK Rotation" || e.Detail["key-id"] != *key.KeyMetadata.KeyId || e.Detail["rotation-type"] != "ON_DEMAND" || tries.Load() != 2 {
		t.Errorf("the webhook got %+v at try %d", e, tries.Load())
	}
	var written keyEvent
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &written) == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the file has %q, %v", b, err)
		}
	}
	if written.ID != e.ID {
		t.Errorf("the file has %s, the webhook %s", written.ID, e.ID)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a target got what it does not want")
	}
	// The position is behind the event once it is delivered.
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(s.node.cfg.DataDir, "events-hook"))
		if err == nil && string(b) != "0.0\n" {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the position is not kept")
		}
	}
}
