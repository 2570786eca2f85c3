package check

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/integration/chaos/history"
)

func TestLedger(t *testing.T) {
	const made = `
		1-2 Encrypt k in:context=c in:plaintext=p -> ok out:blob=B
		`
	judgements(t, LedgerName, Ledger, []judgement{
		{"opened at the end", made + `
			3-4 Decrypt k in:blob=B in:context=c -> ok out:plaintext=p @n2
			5-6 Decrypt k in:blob=B in:context=c -> failed
			7-8 Decrypt j in:blob=B in:context=c -> IncorrectKeyException
			7-8 Decrypt k in:blob=B in:context=d -> InvalidCiphertextException
			9-10 Decrypt k in:blob=B in:context=c in:final=1 -> ok out:plaintext=p`, ""},
		{"refused", made + `
			9-10 Decrypt k in:blob=B in:context=c in:final=1 -> InvalidCiphertextException`, "is refused"},
		{"refused during the run", made + `
			3-4 Decrypt k in:blob=B in:context=c -> NotFoundException`, "is refused"},
		{"something else", made + `
			9-10 Decrypt k in:blob=B in:context=c in:final=1 -> ok out:plaintext=q`, "something else"},
		{"another key", made + `
			9-10 Decrypt j in:blob=B in:context=c -> ok out:plaintext=p`, "under another key"},
		{"another context", made + `
			9-10 Decrypt k in:blob=B in:context= -> ok out:plaintext=p`, "under another key, context"},
		{"handed out twice", made + `
			3-4 GenerateDataKey k -> ok out:blob=B out:plaintext=d`, "handed out twice"},
		{"a nonce twice", made + `
			3-4 Encrypt k in:plaintext=p -> ok out:blob=C out:head=h
			3-4 Encrypt k in:plaintext=p -> ok out:blob=D out:head=h`, "nonce is used twice"},
		{"forgotten at the end", made + `
			1-2 Encrypt k in:plaintext=p -> ok out:blob=C
			9-10 Decrypt k in:blob=C in:context= in:final=1 -> ok out:plaintext=p`, "never opened"},
		{"not served at the end", made + `
			9-10 Decrypt k in:blob=B in:context=c in:final=1 -> failed`, "by a healed cluster"},
		{"a data key that turns into another", `
			1-2 GenerateDataKey k -> ok out:blob=D out:plaintext=d
			9-10 Decrypt k in:blob=D -> ok out:plaintext=e`, "something else"},
		{"a MAC of the same message", `
			1-2 GenerateMac k in:plaintext=p -> ok out:blob=M
			3-4 GenerateMac k in:plaintext=p -> ok out:blob=M
			9-10 VerifyMac k in:plaintext=p in:blob=M in:final=1 -> ok`, ""},
		{"a signature that verifies for another message", `
			1-2 Sign k in:plaintext=p -> ok out:blob=S
			9-10 Verify k in:plaintext=q in:blob=S -> ok`, "or message"},
		{"a key that stops serving", `
			1-2 Encrypt k in:plaintext=p -> DisabledException`, "was refused"},
	})
}

func TestStorm(t *testing.T) {
	judgements(t, StormName, Storm, []judgement{
		{"churn", `
			1-2 CreateAlias s in:item=a -> ok
			3-6 CreateAlias s in:item=b -> ok
			3-? CreateAlias s in:item=c
			4-5 walk s in:walk=1 -> ok out:items=a
			7-8 walk s in:walk=1 -> ok out:items=a,b,c
			9-12 DeleteAlias s in:gone=a -> ok
			10-11 walk s in:walk=1 -> ok out:items=a,b
			10-11 walk s in:walk=1 -> ok out:items=b
			13-? DeleteAlias s in:gone=b
			14-15 walk s in:walk=1 -> ok out:items=b
			16-17 walk s in:walk=1 -> ok out:items=`, ""},
		{"missed", `
			1-2 CreateAlias s in:item=a -> ok
			3-4 walk s in:walk=1 -> ok out:items=`, "misses a"},
		{"missed although it goes later", `
			1-2 CreateAlias s in:item=a -> ok
			3-4 walk s in:walk=1 -> ok out:items=
			5-6 DeleteAlias s in:gone=a -> ok`, "misses a"},
		{"twice", `
			1-2 CreateAlias s in:item=a -> ok
			3-4 walk s in:walk=1 -> ok out:items=a,a`, "twice"},
		{"risen", `
			1-2 CreateAlias s in:item=a -> ok
			3-4 DeleteAlias s in:gone=a -> ok
			5-6 walk s in:walk=1 -> ok out:items=a`, "after it was removed"},
		{"before it was made", `
			1-2 walk s in:walk=1 -> ok out:items=a
			3-4 CreateAlias s in:item=a -> ok`, "before it was made"},
		{"refused", `
			1-2 CreateAlias s in:item=a -> AlreadyExistsException`, "refused"},
		{"a removal refused", `
			1-2 RevokeGrant s in:gone=a -> NotFoundException`, "refused"},
		{"created once", `
			1-2 CreateKey keys in:nonce=x -> ok out:item=k1
			3-? CreateKey keys in:nonce=y
			3-? CreateKey keys in:nonce=z
			5-6 DescribeKey k2 -> ok out:nonce=y`, ""},
		{"created twice by retries", `
			1-2 CreateKey keys in:nonce=x -> ok out:item=k1
			5-6 DescribeKey k2 -> ok out:nonce=x`, "2 keys exist"},
		{"created twice by a call of unknown outcome", `
			1-? CreateKey keys in:nonce=x
			5-6 DescribeKey k1 -> ok out:nonce=x
			5-6 DescribeKey k2 -> ok out:nonce=x`, "2 keys exist"},
		{"a key that is lost", `
			1-2 CreateKey keys in:nonce=x -> ok out:item=k1
			3-4 walk keys in:walk=1 -> ok out:items=`, "misses k1"},
		{"a removal of what may not be there", `
			1-? CreateAlias s in:item=a
			3-4 DeleteAlias s in:gone=a -> NotFoundException
			5-6 walk s in:walk=1 -> ok out:items=`, ""},
		{"a full quota", `
			1-2 CreateAlias s in:item=a -> LimitExceededException
			5-6 walk s in:walk=1 -> ok out:items=`, ""},
		{"made although it failed", `
			1-2 CreateKey keys in:nonce=x -> failed
			5-6 DescribeKey k1 -> ok out:nonce=x`, "never asked for"},
		{"out of nothing", `
			5-6 DescribeKey k1 -> ok out:nonce=x`, "nobody asked"},
	})
}

// line is an audit record as a node writes it.
func line(event, call, request, name, code string, chain int) string {
	if code != "" {
		code = `,"errorCode":"` + code + `"`
	}
	return fmt.Sprintf(`{"eventID":%q,"requestID":%q,"eventName":%q,"userAgent":"chaos/%s"%s,"trent":{"seq":%d}}`+"\n", event, request, name, call, code, chain)
}

func TestAudit(t *testing.T) {
	const ok = `1-2 DisableKey k in:call=c1 in:attempts=1 -> ok out:request=q1`
	const replicated = `1-2 ReplicateKey k in:call=c1 in:attempts=1 in:to=r2 -> ok out:request=q1`
	inRegion := func(region, lines string) string {
		return strings.ReplaceAll(lines, `"eventID"`, `"awsRegion":"`+region+`","eventID"`)
	}
	for _, tt := range []struct {
		name, history string
		n1, n2        string
		lost          map[string]bool
		want          string
	}{
		{name: "copies", history: ok, n1: line("e1", "c1", "q1", "DisableKey", "", 1), n2: line("e1", "c1", "q1", "DisableKey", "", 7)},
		{name: "on one node only", history: ok, n2: line("e1", "c1", "q1", "DisableKey", "", 7)},
		{name: "a reserved end", history: ok, n1: line("e1", "c1", "q1", "DisableKey", "", 1) + strings.Repeat("\x00", 64)},
		{name: "not recorded", history: ok, want: "not recorded"},
		{name: "recorded as a refusal", history: ok, n1: line("e1", "c1", "q1", "DisableKey", "AccessDenied", 1), want: "not recorded"},
		{name: "another operation", history: ok, n1: line("e1", "c1", "q1", "EnableKey", "", 1), want: "recorded as EnableKey"},
		{name: "twice", history: ok, n1: line("e1", "c1", "q1", "DisableKey", "", 1), n2: line("e2", "c1", "q1", "DisableKey", "", 1), want: "recorded 2 times"},
		{name: "twice in one log", history: ok, n1: line("e1", "c1", "q1", "DisableKey", "", 1) + line("e1", "c1", "q1", "DisableKey", "", 2), want: "twice in the log"},
		{name: "copies that differ", history: ok, n1: line("e1", "c1", "q1", "DisableKey", "", 1), n2: line("e1", "c1", "q9", "DisableKey", "", 1), want: "differs"},
		{name: "of nothing", history: ok, n1: line("e1", "c1", "q1", "DisableKey", "", 1) + line("e2", "c2", "q2", "DisableKey", "", 2), want: "nobody made it"},
		{name: "a repeat", history: `1-2 DisableKey k in:call=c1 in:attempts=2 -> ok out:request=q2`,
			n1: line("e1", "c1", "q1", "DisableKey", "", 1) + line("e2", "c1", "q2", "DisableKey", "", 1)},
		{name: "unknown, done", history: `1-? DisableKey k in:call=c1 in:attempts=1`, n1: line("e1", "c1", "q1", "DisableKey", "", 1)},
		{name: "unknown, not done", history: `1-? DisableKey k in:call=c1 in:attempts=1`},
		{name: "refused", history: `1-2 Encrypt k in:call=c1 in:attempts=1 in:read=1 -> DisabledException out:request=q1`, n1: line("e1", "c1", "q1", "Encrypt", "DisabledException", 1)},
		{name: "refused, not recorded", history: `1-2 Encrypt k in:call=c1 in:attempts=1 in:read=1 -> DisabledException out:request=q1`, want: "refused and not recorded"},
		{name: "refused, recorded as done", history: `1-2 Encrypt k in:call=c1 in:attempts=1 in:read=1 -> DisabledException out:request=q1`,
			n1: line("e1", "c1", "q1", "Encrypt", "", 1), want: "as a success"},
		{name: "of nobody known", history: `1-2 Encrypt k in:call=c1 in:attempts=1 in:read=1 -> UnrecognizedClientException out:request=q1`},
		{name: "never sent", history: `1-2 Encrypt k in:call=c1 in:attempts=0 in:read=1 -> failed`, n1: line("e1", "c1", "q1", "Encrypt", "", 1), want: "never left"},
		{name: "on a lost disk", history: `1-2 Encrypt k in:call=c1 in:attempts=1 in:read=1 -> ok out:request=q1`, lost: map[string]bool{"n1": true}},
		{name: "another region's part", history: replicated, n1: inRegion("r1", line("e1", "c1", "q1", "ReplicateKey", "", 1)), n2: inRegion("r2", line("e2", "c1", "q1", "CreateKey", "", 1))},
		{name: "another region's part twice", history: replicated, n1: inRegion("r1", line("e1", "c1", "q1", "ReplicateKey", "", 1)),
			n2: inRegion("r2", line("e2", "c1", "q1", "CreateKey", "", 1)+line("e3", "c1", "q1", "CreateKey", "", 2)), want: "2 times in r2"},
		{name: "another region's part alone", history: replicated, n2: inRegion("r2", line("e2", "c1", "q1", "CreateKey", "", 1)), want: "not recorded"},
		{name: "a part in the wrong region", history: replicated, n1: inRegion("r1", line("e1", "c1", "q1", "ReplicateKey", "", 1)),
			n2: inRegion("r3", line("e2", "c1", "q1", "CreateKey", "", 1)), want: "in r3"},
		{name: "a change on a lost disk", history: ok, lost: map[string]bool{"n1": true}, want: "not recorded"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			var records []Record
			for node, text := range map[string]string{"n1": tt.n1, "n2": tt.n2} {
				some, err := ParseLog(node, []byte(text))
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, some...)
			}
			all := Audit(script(t, LifecycleName, tt.history), records, tt.lost)
			if tt.want == "" && len(all) > 0 || tt.want != "" && (len(all) == 0 || !strings.Contains(all[0].Text, tt.want)) {
				t.Errorf("got %v, want %q", all, tt.want)
			}
		})
	}
}

func TestDigests(t *testing.T) {
	for _, tt := range []struct {
		name string
		all  []Digest
		want string
	}{
		{"equal", []Digest{{"r", "n1", 5, "a"}, {"r", "n2", 6, "b"}, {"r", "n2", 5, "a"}}, ""},
		{"different", []Digest{{"r", "n1", 5, "a"}, {"r", "n2", 5, "b"}}, "has digest"},
		{"never compared", []Digest{{"r", "n1", 5, "a"}, {"r", "n2", 6, "b"}}, "never seen"},
		{"regions have logs of their own", []Digest{{"r", "n1", 5, "a"}, {"r", "n2", 5, "a"}, {"s", "m1", 5, "b"}, {"s", "m2", 5, "b"}}, ""},
	} {
		all := Digests(tt.all)
		if tt.want == "" && len(all) > 0 || tt.want != "" && (len(all) == 0 || !strings.Contains(all[0].Text, tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, all, tt.want)
		}
	}
}

// TestScanner finds a secret in every form, at every alignment and across the borders of reads.
func TestScanner(t *testing.T) {
	secret := []byte("\xff\xfea secret of 22 bytes\xfb")
	var s Scanner
	if err := s.Add("it", secret); err != nil {
		t.Fatal(err)
	}
	if err := s.Add("a short one", []byte("123456789012345")); err == nil {
		t.Error("a short secret was taken")
	}
	place := func(form []byte, at int) []byte {
		return slices.Concat(bytes.Repeat([]byte{'x'}, at), form, bytes.Repeat([]byte{'y'}, 100))
	}
	for at := range 3 {
		whole := place(secret, at)
		forms := map[string][]byte{
			"raw": whole, "hex": []byte(hex.EncodeToString(whole)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(whole))),
			"base64": []byte(base64.StdEncoding.EncodeToString(whole)), "base64url": []byte(base64.RawURLEncoding.EncodeToString(whole)),
		}
		for name, form := range forms {
			for _, before := range []int{0, 1<<20 - 10, 1<<20 - 1, 2<<20 - 20} {
				found, n, err := s.Scan(bytes.NewReader(place(form, before)))
				if err != nil || len(found) == 0 || n != int64(len(form)+before+100) {
					t.Errorf("%s, shifted by %d, after %d bytes: found %v in %d bytes, %v", name, at, before, found, n, err)
				}
			}
		}
	}
	if found, _, _ := s.Scan(bytes.NewReader(place(secret[:21], 5))); len(found) > 0 {
		t.Errorf("a part of it was taken for it: %v", found)
	}
	if all := Leaks(map[string][]string{"a log": {"it"}}); len(all) != 1 {
		t.Errorf("a leak is %v", all)
	}
}

func TestFloor(t *testing.T) {
	var ops []history.Op
	for i := range 100 {
		op := history.Op{Workload: "w", Outcome: history.Refused, Return: int64(i) * 1e7}
		if i%4 == 0 {
			op.Outcome = history.OK
		}
		ops = append(ops, op)
	}
	const second = 1e9
	for _, tt := range []struct {
		name string
		ops  []history.Op
		rate float64
		ok   bool
	}{
		{"enough", ops, 100, true},
		{"too few", ops, 101, false},
		{"nearly all refused", slices.DeleteFunc(slices.Clone(ops), func(op history.Op) bool { return op.Outcome == history.OK && op.Return > 2e8 }), 10, false},
		{"none", nil, 1, false},
	} {
		if err := Floor(tt.ops, "w", 0, second, tt.rate); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if Floor(ops, "v", 0, second, 1) == nil {
		t.Error("the traffic of one workload counts for another")
	}
}

// TestJudge holds that a stored history is judged by every checker that needs nothing else.
func TestJudge(t *testing.T) {
	var ops []history.Op
	for workload, text := range map[string]string{
		LifecycleName: "1-2 Encrypt k -> DisabledException", RightsName: "1-2 Encrypt k in:principal=ann in:accessKeyId=A -> ok",
		AliasesName: "1-2 DescribeKey a -> ok out:target=x", RotationName: "1-2 DescribeKey k -> ok out:material=m",
		ImportsName: "1-2 Encrypt k -> ok", LedgerName: "1-2 Encrypt k -> DisabledException",
		StormName: "1-2 walk s in:walk=1 -> ok out:items=a,a", RegionsName: "1-2 DescribeKey k -> ok out:type=PRIMARY", QuotasName: "1-2 TagResource k in:tag=a -> TagException",
	} {
		ops = append(ops, script(t, workload, text)...)
	}
	found := make(map[string]bool)
	for _, a := range Judge(ops) {
		found[a.Workload] = true
	}
	if len(found) != 9 {
		t.Errorf("found anomalies of %v", found)
	}
}
