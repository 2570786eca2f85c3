package fault_test

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/fault"
)

// TestDeclaredAgainstTheSpecification compares the table, which was taken from the API model, with the error lists of the
// specification, which were written down apart from it.
func TestDeclaredAgainstTheSpecification(t *testing.T) {
	data, err := os.ReadFile("testdata/declared.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]fault.Code{}
	for line := range strings.Lines(string(data)) {
		op, list, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		for _, name := range strings.Split(list, ", ") {
			c, known := fault.ByName(name + "Exception")
			if !known {
				t.Fatalf("%s: unknown exception %s", op, name)
			}
			want[op] = append(want[op], c)
		}
	}
	if len(want) != 54 || !slices.Equal(fault.Operations(), slices.Sorted(maps.Keys(want))) {
		t.Fatalf("%d operations in the specification, %d in the table", len(want), len(fault.Operations()))
	}
	for op, list := range want {
		if !slices.Equal(fault.DeclaredBy(op), list) {
			t.Errorf("%s declares %v, want %v", op, fault.DeclaredBy(op), list)
		}
	}
}

func TestDeclaredReplaces(t *testing.T) {
	tests := []struct {
		op         string
		code, want fault.Code
	}{
		{"Decrypt", fault.InvalidCiphertextException, fault.InvalidCiphertextException},
		{"Encrypt", fault.InvalidArnException, fault.NotFoundException},
		{"CreateKey", fault.InvalidArnException, fault.InvalidArnException},
		{"GenerateRandom", fault.InvalidArnException, fault.ValidationException},
		{"ListKeyPolicies", fault.InvalidMarkerException, fault.ValidationException},
		{"ListKeys", fault.InvalidMarkerException, fault.InvalidMarkerException},
		{"GenerateMac", fault.DependencyTimeoutException, fault.KMSInternalException},
		{"TagResource", fault.DependencyTimeoutException, fault.KMSInternalException},
		{"Encrypt", fault.DependencyTimeoutException, fault.DependencyTimeoutException},
		{"ImportKeyMaterial", fault.KeyUnavailableException, fault.DependencyTimeoutException},
		{"ReplicateKey", fault.KeyUnavailableException, fault.KMSInternalException},
		{"ScheduleKeyDeletion", fault.DisabledException, fault.KMSInvalidStateException},
		{"DeleteAlias", fault.InvalidAliasNameException, fault.ValidationException},
		{"Encrypt", fault.AccessDeniedException, fault.AccessDeniedException},
		{"Encrypt", fault.ServiceUnavailable, fault.ServiceUnavailable},
		{"Sign", fault.UnsupportedOperationException, fault.UnsupportedOperationException},
		{"DescribeKey", fault.UnsupportedOperationException, fault.ValidationException},
		{"NoSuchOperation", fault.DisabledException, fault.DisabledException},
	}
	for _, tt := range tests {
		if got := fault.Declared(tt.op, tt.code); got != tt.want {
			t.Errorf("Declared(%s, %s) = %s, want %s", tt.op, tt.code, got, tt.want)
		}
	}
}

// TestDeclaredEndsInTheList: whatever an operation raises, the client sees a declared or common code, and never a retryable one
// for its own fault or the reverse.
func TestDeclaredEndsInTheList(t *testing.T) {
	for _, op := range fault.Operations() {
		for _, c := range fault.Codes() {
			got := fault.Declared(op, c)
			if !got.Common() && got != fault.UnsupportedOperationException && !slices.Contains(fault.DeclaredBy(op), got) {
				t.Errorf("Declared(%s, %s) = %s, which is not declared", op, c, got)
			}
			if got.Retryable() != c.Retryable() || got.SenderFault() != c.SenderFault() {
				t.Errorf("Declared(%s, %s) = %s changes who has to act", op, c, got)
			}
		}
	}
}

func TestForOperation(t *testing.T) {
	cause := errors.New("token gone")
	e := fault.Wrap(fault.DependencyTimeoutException, cause, "timed out")
	if got := e.ForOperation("Encrypt"); got != e {
		t.Errorf("a declared fault was changed: %v", got)
	}
	got := e.ForOperation("GenerateMac")
	if got.Code != fault.KMSInternalException || got.Message != "timed out" || !errors.Is(got, cause) {
		t.Errorf("GenerateMac: %v", got)
	}
	if got := fault.InvalidMarker().ForOperation("ListKeyPolicies"); got.Message != "The request is not valid: InvalidMarker." {
		t.Errorf("a ValidationException without a meaning: %q", got.Message)
	}
}
