package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
)

// asked puts another region's question to the lab and returns the verdict.
func (l *grantLab) asked(q region.Question) region.Verdict {
	l.t.Helper()
	b, err := json.Marshal(q)
	if err != nil {
		l.t.Fatal(err)
	}
	if b, err = l.server.AnswerRegion(l.t.Context(), "eu-west-1", b); err != nil {
		l.t.Fatal(err)
	}
	var v region.Verdict
	if err := json.Unmarshal(b, &v); err != nil {
		l.t.Fatal(err)
	}
	return v
}

const (
	replicaID = "mrk-0123456789abcdef0123456789abcdef"
	aRequest  = "01234567-89ab-4def-8123-456789abcdef"
)

// TestQuestionsOfOtherRegions: what a caller of another region may do here is decided on this region's own state, with the caller's own
// identity, and refusals are recorded here.
func TestQuestionsOfOtherRegions(t *testing.T) {
	l := newGrantLab(t)
	l.newUser(owner, "maker", statement("Allow", "kms:CreateKey", "*"))
	l.newUser(owner, "nobody", "")
	id := func(name string) string {
		for i := range l.node.State().Identities(owner, fsm.IdentityUser, "") {
			if i.Name == name {
				return i.ID
			}
		}
		t.Fatal("no user ", name)
		return ""
	}
	question := func(principal string) region.Question {
		return region.Question{
			Operation: "CreateKey", RequestID: aRequest, Account: owner, KeyID: replicaID, Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS",
			Caller: region.Claim{Account: owner, Principal: principal, AccessKeyID: "AKIA1", SourceIP: "192.0.2.1", UserAgent: "agent"},
		}
	}
	v := l.asked(question(id("maker")))
	if v.Fault != "" || !strings.Contains(v.Policy, "key-default-1") {
		t.Fatalf("a caller with kms:CreateKey: %+v", v)
	}
	for _, want := range []string{`"eventName":"CreateKey"`, "user/maker", `"requestID":"` + aRequest + `"`, "192.0.2.1", replicaID, `"keyState":"Creating"`} {
		if !strings.Contains(string(v.Record), want) {
			t.Errorf("the record of the creation lacks %s: %s", want, v.Record)
		}
	}
	tagged := question(id("maker"))
	tagged.Tags = []fsm.Tag{{Key: "k", Value: "v"}}
	if v := l.asked(tagged); v.Fault != "AccessDeniedException" {
		t.Errorf("tags without kms:TagResource: %+v", v)
	}
	if v := l.asked(question(id("nobody"))); v.Fault != "AccessDeniedException" {
		t.Errorf("a caller without kms:CreateKey: %+v", v)
	}
	if v := l.asked(question("AIDAUNKNOWN")); v.Fault != "AccessDeniedException" {
		t.Errorf("a caller that is not known here: %+v", v)
	}
	bad := question(region.RootPrincipal)
	bad.Policy = new(string)
	*bad.Policy = "no policy"
	if v := l.asked(bad); v.Fault != "MalformedPolicyDocumentException" {
		t.Errorf("a malformed key policy: %+v", v)
	}
	foreign := question(region.RootPrincipal)
	foreign.Account = partner
	if v := l.asked(foreign); v.Fault != "UnsupportedOperationException" {
		t.Errorf("a key of another account: %+v", v)
	}
	primary := question(region.RootPrincipal)
	primary.Operation, primary.PrimaryRegion = "UpdatePrimaryRegion", "us-east-1"
	if v := l.asked(primary); v.Fault != "NotFoundException" {
		t.Errorf("a primary where there is no replica: %+v", v)
	}
	for _, change := range []func(*region.Question){
		func(q *region.Question) { q.RequestID = "request-1" }, func(q *region.Question) { q.Caller.SourceIP = "somewhere" },
	} {
		q := question(id("maker"))
		change(&q)
		b, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := l.server.AnswerRegion(t.Context(), "eu-west-1", b); err == nil {
			t.Errorf("request %q from %q: %s", q.RequestID, q.Caller.SourceIP, v)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	refusals := 0
	for _, r := range l.records {
		if strings.Contains(string(r), `"errorCode":"AccessDenied`) && strings.Contains(string(r), aRequest) {
			refusals++
		}
	}
	if refusals < 2 {
		t.Errorf("%d refusals are recorded", refusals)
	}
}
