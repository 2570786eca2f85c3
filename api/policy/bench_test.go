package policy

import (
	"fmt"
	"strings"
	"testing"
)

func encryptByRoot(t testing.TB) *Request {
	return onKey(root(accountK), "kms:Encrypt").keyPolicy(defaultPolicy(t))
}

func encryptByUser(t testing.TB) *Request {
	id := identityOf(t, `{"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "arn:aws:kms:*:111122223333:key/*"}`)
	return onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(defaultPolicy(t)).identity(id)
}

// manyStatements is a key policy of 100 statements with three conditions each, of which the last allows.
func manyStatements(t testing.TB) *Request {
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf(`{"Sid": "%d", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["kms:Encrypt", "kms:GenerateDataKey*"], "Resource": "*",
			"Condition": {"StringEquals": {"kms:CallerAccount": "111122223333"}, "Bool": {"aws:SecureTransport": true}, "StringLike": {"kms:EncryptionContext:app": "app-*-%d"}}}`, i, i))
	}
	pairs := MapPairs(map[string]string{"app": "app-x-99", "stage": "test"})
	req := onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(parse(t, KeyPolicy, statementsDoc(strings.Join(list, ",")[:0]+strings.Join(compact(list), ","))))
	req.Context = answers(func(k *Key) Values {
		switch k.ID {
		case KeyCallerAccount:
			return One(req.Principal.Account)
		case KeySecureTransport:
			return Flag(true)
		}
		return Lookup(pairs, k.Variable)
	})
	return req
}

func compact(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.Join(strings.Fields(s), " ")
	}
	return out
}

func benchmark(b *testing.B, req *Request) {
	if d := Decide(req); !d.Allowed() {
		b.Fatalf("%+v", d)
	}
	b.ReportAllocs()
	for b.Loop() {
		Decide(req)
	}
}

func BenchmarkRootWithDefaultPolicy(b *testing.B) { benchmark(b, encryptByRoot(b)) }
func BenchmarkUserWithDefaultPolicy(b *testing.B) { benchmark(b, encryptByUser(b)) }
func BenchmarkHundredStatements(b *testing.B)     { benchmark(b, manyStatements(b)) }
