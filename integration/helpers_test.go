package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/trentkms/trent/integration/trenttest"
)

const (
	account = "111122223333"
	rootARN = "arn:aws:iam::" + account + ":root"
	arnHead = "arn:aws:kms:us-east-1:" + account + ":"
	// noKey is a well-formed key id that no key has.
	noKey = "00000000-0000-4000-8000-000000000000"
)

// answer is what a call of the SDK returned.
type answer[T any] struct {
	v   T
	err error
}

func do[T any](v T, err error) answer[T] { return answer[T]{v, err} }

// ok is the answer of a call that must succeed.
func (a answer[T]) ok(t testing.TB) T {
	t.Helper()
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a.v
}

// refused holds that a call failed with a text as Answer.Text renders it.
func (a answer[T]) refused(t testing.TB, want string) {
	t.Helper()
	if got := text(a.err); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// text renders an error of the SDK like trenttest.Answer.Text.
func text(err error) string {
	var e smithy.APIError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &e):
		return err.Error()
	case e.ErrorMessage() == "", e.ErrorMessage() == "UnknownError": // what the SDK says where the answer says nothing
		return e.ErrorCode()
	}
	return e.ErrorCode() + ": " + e.ErrorMessage()
}

// newKey makes a key and returns its metadata.
func newKey(t testing.TB, c *kms.Client, change ...func(*kms.CreateKeyInput)) *types.KeyMetadata {
	t.Helper()
	in := &kms.CreateKeyInput{}
	for _, f := range change {
		f(in)
	}
	return do(c.CreateKey(t.Context(), in)).ok(t).KeyMetadata
}

func withSpec(spec types.KeySpec, usage types.KeyUsageType) func(*kms.CreateKeyInput) {
	return func(in *kms.CreateKeyInput) { in.KeySpec, in.KeyUsage = spec, usage }
}

func external(in *kms.CreateKeyInput)    { in.Origin = types.OriginTypeExternal }
func multiRegion(in *kms.CreateKeyInput) { in.MultiRegion = aws.Bool(true) }

// row is one refusal: a raw call and the body of its answer.
type row struct{ op, body, want string }

// refuse sends the rows one after the other. names are pairs of placeholder and value, as for strings.NewReplacer, for body and
// text alike; values may hold placeholders themselves.
func refuse(t *testing.T, s *trenttest.Server, rows []row, names ...string) {
	t.Helper()
	r := strings.NewReplacer(names...)
	for i, row := range rows {
		body := r.Replace(r.Replace(row.body))
		a, err := s.Call(t.Context(), row.op, body)
		if err != nil {
			t.Errorf("row %d: %s %.200s: %v", i, row.op, body, err)
			continue
		}
		if got, want := a.Text(), r.Replace(r.Replace(row.want)); got != want {
			t.Errorf("row %d: %s %.200s\ngot  %s\nwant %s", i, row.op, body, got, want)
		}
	}
}

// near holds that a time is within a minute of another.
func near(t testing.TB, what string, got *time.Time, want time.Time) {
	t.Helper()
	if got == nil {
		t.Errorf("%s is absent", what)
	} else if d := got.Sub(want); d.Abs() > time.Minute {
		t.Errorf("%s is %v, want about %v", what, got, want)
	}
}

// invalid renders a ValidationException of violated constraints (spec 10 PROTO-33).
func invalid(violations ...string) string {
	s := "s"
	if len(violations) == 1 {
		s = ""
	}
	return fmt.Sprintf("ValidationException: %d validation error%s detected: %s", len(violations), s, strings.Join(violations, "; "))
}

// violation is one of them: what is "'<value>'", "null" or "", for blobs.
func violation(what, path, constraint string) string {
	if what != "" {
		what += " "
	}
	return fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: Member must %s", what, path, constraint)
}
