package keystate_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keystate"
	"github.com/trentkms/trent/region/shape"
)

// TestComputePrecedence: every combination of facts against the order of spec 01 KST-05.
func TestComputePrecedence(t *testing.T) {
	order := []struct {
		state shape.KeyState
		has   func(keystate.Facts) bool
	}{
		{"PendingReplicaDeletion", func(f keystate.Facts) bool { return f.PendingReplicaDeletion }},
		{"PendingDeletion", func(f keystate.Facts) bool { return f.PendingDeletion }},
		{"Creating", func(f keystate.Facts) bool { return f.Creating }},
		{"Updating", func(f keystate.Facts) bool { return f.Updating }},
		{"Unavailable", func(f keystate.Facts) bool { return f.Disconnected }},
		{"PendingImport", func(f keystate.Facts) bool { return f.MissingMaterial }},
		{"Disabled", func(f keystate.Facts) bool { return !f.Enabled }},
		{"Enabled", func(keystate.Facts) bool { return true }},
	}
	for bits := range 1 << 7 {
		bit := func(i int) bool { return bits>>i&1 == 1 }
		f := keystate.Facts{
			Enabled: bit(0), PendingDeletion: bit(1), PendingReplicaDeletion: bit(2), Creating: bit(3), Updating: bit(4),
			Disconnected: bit(5), MissingMaterial: bit(6),
		}
		i := slices.IndexFunc(order, func(o struct {
			state shape.KeyState
			has   func(keystate.Facts) bool
		}) bool {
			return o.has(f)
		})
		if got := keystate.Compute(f); got != order[i].state {
			t.Errorf("%+v: %s, want %s", f, got, order[i].state)
		}
	}
}

// TestEnabledIsRemembered: what the customer wished shows again when the passing facts are gone (spec 01 KST-04).
func TestEnabledIsRemembered(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		f := keystate.Facts{Enabled: enabled, Disconnected: true, PendingDeletion: true}
		f.PendingDeletion = false
		if got := keystate.Compute(f); got != "Unavailable" {
			t.Errorf("disconnected: %s", got)
		}
		f.Disconnected = false
		want := map[bool]shape.KeyState{true: "Enabled", false: "Disabled"}[enabled]
		if got := keystate.Compute(f); got != want {
			t.Errorf("connected again: %s, want %s", got, want)
		}
	}
}

// states are the columns of spec 10 section 4; the deletion column stands for two states.
var states = []shape.KeyState{"Enabled", "Disabled", "PendingDeletion", "PendingReplicaDeletion", "PendingImport", "Unavailable", "Creating", "Updating"}

func inState(f keystate.Facts, s shape.KeyState) keystate.Facts {
	f.Enabled = s != "Disabled"
	switch s {
	case "PendingDeletion":
		f.PendingDeletion = true
	case "PendingReplicaDeletion":
		f.PendingReplicaDeletion = true
	case "PendingImport":
		f.MissingMaterial = true
	case "Unavailable":
		f.Disconnected = true
	case "Creating":
		f.Creating = true
	case "Updating":
		f.Updating = true
	}
	return f
}

// specTable is the table of spec 10 section 4, row by row: seven columns, then the operations. Where a settled rule replaces a
// cell, the comment says which.
//
//   - cannot occur          late  ok, the change shows later      np   is not pending deletion
//     rot    see rotates           imp   ok for EXTERNAL, else UnsupportedOperation
//     ext    UnsupportedOperation for EXTERNAL
//     pd/imp pd for EXTERNAL, else UnsupportedOperation
//     d/rot  rot first, then d
const specTable = `
S0   ok      ok     ok      ok   ok    ok  ok   DeleteAlias DescribeKey GetKeyPolicy ListAliases ListGrants ListKeyPolicies ListResourceTags PutKeyPolicy RetireGrant RevokeGrant GetKeyLastUsage
S1   ok      d      pd      pi   un    cr  ok   Encrypt Decrypt ReEncrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext
S2   ok      d      pd      pi   -     cr  ok   Sign Verify GenerateMac VerifyMac DeriveSharedSecret
S2g  ok      ok     pd      pi   -     cr  ok   GetPublicKey
S3   ok      ok     pd      ok   ok    ok  ok   CreateAlias TagResource UntagResource UpdateKeyDescription
S3b  ok      ok     pd      ok   ok    ok  ok   UpdateAlias
S4   np      np     ok      np   np    np  np   CancelKeyDeletion
S5   ok      d      pd      pi   ok    cr  ok   CreateGrant
S6   ok      ok     pd      pi   late  cr  up   EnableKey DisableKey
S7   rot     d/rot  pd/rot  ext  rot   cr  rot  EnableKeyRotation DisableKeyRotation
S7b  rot     d/rot  pd/rot  pi/rot rot cr  rot  RotateKeyOnDemand
S8   rot     rot    rot     rot  rot   rot rot  GetKeyRotationStatus ListKeyRotations
S9   imp     imp    imp     imp  imp   cr  up   DeleteImportedKeyMaterial
S10  imp     imp    pd/imp  imp  imp   cr  up   GetParametersForImport
S10b imp     imp    pd/imp  imp  imp   cr  imp  ImportKeyMaterial
S11  ok      d      pd      pi   -     cr  up   ReplicateKey
S12  ok      ok     pd      ok   ok    ok  up   ScheduleKeyDeletion
S13  ok      d      pd      pi   -     cr  ok   UpdatePrimaryRegion
`

// S2g: GetPublicKey works on disabled keys (settled over the chapters). S8 and S7b in PendingImport: the newer answers, which
// serve imported keys. S9, S10, S10b: "ok" of PendingImport and Updating concerns EXTERNAL keys only, and UnsupportedOperation of
// Unavailable is what imp says of the keys that can be unavailable.

const arn = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// keys are the kinds of keys that some operation tells apart.
var keys = map[string]keystate.Facts{
	"symmetric":           {Spec: "SYMMETRIC_DEFAULT", Origin: "AWS_KMS"},
	"AWS managed":         {Spec: "SYMMETRIC_DEFAULT", Origin: "AWS_KMS", AWSManaged: true},
	"primary":             {Spec: "SYMMETRIC_DEFAULT", Origin: "AWS_KMS", MultiRegion: true},
	"replica":             {Spec: "SYMMETRIC_DEFAULT", Origin: "AWS_KMS", MultiRegion: true, Replica: true},
	"imported":            {Spec: "SYMMETRIC_DEFAULT", Origin: "EXTERNAL"},
	"imported replica":    {Spec: "SYMMETRIC_DEFAULT", Origin: "EXTERNAL", MultiRegion: true, Replica: true},
	"HSM key store":       {Spec: "SYMMETRIC_DEFAULT", Origin: "AWS_CLOUDHSM"},
	"external key store":  {Spec: "SYMMETRIC_DEFAULT", Origin: "EXTERNAL_KEY_STORE"},
	"HMAC":                {Spec: "HMAC_256", Origin: "AWS_KMS"},
	"imported HMAC":       {Spec: "HMAC_256", Origin: "EXTERNAL"},
	"RSA":                 {Spec: "RSA_2048", Origin: "AWS_KMS"},
	"RSA primary":         {Spec: "RSA_2048", Origin: "AWS_KMS", MultiRegion: true},
	"RSA replica":         {Spec: "RSA_2048", Origin: "AWS_KMS", MultiRegion: true, Replica: true},
	"imported EC primary": {Spec: "ECC_NIST_P256", Origin: "EXTERNAL", MultiRegion: true},
}

const (
	unsupported = "UnsupportedOperationException"
	notPrimary  = "UnsupportedOperationException: " + arn + " is not a multi-region primary key."
	asymmetric  = "InvalidKeyUsageException: You cannot generate a data key with an asymmetric CMK"
)

func origin(f keystate.Facts) string {
	return "UnsupportedOperationException: " + arn + " origin is " + string(f.Origin) + " which is not valid for this operation."
}

func store(f keystate.Facts) bool {
	return f.Origin == "AWS_CLOUDHSM" || f.Origin == "EXTERNAL_KEY_STORE"
}

// rotates is what "rot" means for an operation (spec 01 KST-09 and KST-11, spec 02 ROT-12, ROT-13, ROT-16, spec 10 DKR-01, EKR-01,
// LKR-01, ROD-02): the answer, or empty for ok.
func rotates(op string, f keystate.Facts) string {
	symmetric := f.Spec == "SYMMETRIC_DEFAULT"
	switch op {
	case "GetKeyRotationStatus":
		if store(f) {
			return origin(f)
		}
		return ""
	case "ListKeyRotations":
		if !symmetric {
			return unsupported
		}
		if store(f) {
			return origin(f)
		}
		return ""
	case "DisableKeyRotation":
		if f.Origin != "AWS_KMS" {
			return origin(f)
		}
		if !symmetric {
			return ""
		}
	case "EnableKeyRotation":
		if !symmetric {
			return unsupported
		}
		if f.Origin != "AWS_KMS" {
			return origin(f)
		}
	case "RotateKeyOnDemand":
		if !symmetric {
			return unsupported
		}
		if store(f) {
			return origin(f)
		}
	}
	if f.Replica {
		return notPrimary
	}
	if f.AWSManaged {
		return unsupported
	}
	return ""
}

// want reads one cell.
func want(op, cell string, state shape.KeyState, f keystate.Facts) string {
	first, second, both := strings.Cut(cell, "/")
	if both {
		if refusal := want(op, second, state, f); refusal != "" {
			return refusal
		}
		return want(op, first, state, f)
	}
	invalid := "KMSInvalidStateException: " + arn
	switch cell {
	case "d":
		return "DisabledException: " + arn + " is disabled."
	case "pd":
		if state == "PendingReplicaDeletion" {
			return invalid + " is pending replica deletion."
		}
		return invalid + " is pending deletion."
	case "pi":
		return invalid + " is pending import."
	case "un":
		return invalid + " is unavailable. You cannot perform this operation on an unavailable KMS key."
	case "cr":
		return invalid + " is creating."
	case "up":
		return invalid + " is updating."
	case "np":
		return invalid + " is not pending deletion."
	case "rot":
		return rotates(op, f)
	case "ext":
		if f.Origin == "EXTERNAL" && f.Spec == "SYMMETRIC_DEFAULT" {
			return origin(f)
		}
		return rotates(op, f)
	case "imp":
		if f.Origin != "EXTERNAL" {
			return origin(f)
		}
		return ""
	}
	return "" // ok, late
}

// kindRefusal is what a state that allows the operation leaves to the kind of key (spec 09 table 1.3).
func kindRefusal(op string, state shape.KeyState, f keystate.Facts) string {
	asym := strings.HasPrefix(string(f.Spec), "RSA") || strings.HasPrefix(string(f.Spec), "ECC")
	switch op {
	case "GetPublicKey":
		if !asym {
			return unsupported
		}
	case "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext":
		if f.Spec != "SYMMETRIC_DEFAULT" {
			return asymmetric
		}
		if strings.Contains(op, "Pair") && store(f) {
			return origin(f)
		}
	case "ReplicateKey":
		if !f.MultiRegion || f.Replica {
			return notPrimary
		}
	case "UpdatePrimaryRegion":
		if !f.MultiRegion || f.Replica && state != "Updating" {
			return notPrimary
		}
	}
	return ""
}

// possible tells which states a kind of key can be in (spec 10 STATE-03).
func possible(f keystate.Facts, state shape.KeyState) bool {
	switch state {
	case "PendingImport":
		return f.Origin == "EXTERNAL"
	case "Unavailable":
		return store(f)
	case "Creating", "Updating", "PendingReplicaDeletion":
		return f.MultiRegion
	}
	return true
}

func columns(state shape.KeyState) int {
	return map[shape.KeyState]int{
		"Enabled": 0, "Disabled": 1, "PendingDeletion": 2, "PendingReplicaDeletion": 2, "PendingImport": 3, "Unavailable": 4,
		"Creating": 5, "Updating": 6,
	}[state]
}

// TestTable asks for every operation, state and kind of key.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	cells := 0
	for line := range strings.Lines(strings.TrimSpace(specTable)) {
		fields := strings.Fields(line)
		name, row, ops := fields[0], fields[1:8], fields[8:]
		for _, op := range ops {
			seen[op] = true
			for _, state := range states {
				for kind, f := range keys {
					if !possible(f, state) {
						continue
					}
					cells++
					cell := row[columns(state)]
					expected := want(op, cell, state, f)
					if expected == "" {
						expected = kindRefusal(op, state, f)
					}
					err := keystate.Check(op, inState(f, state), arn)
					if cell == "-" && expected == "" && err != nil {
						continue // such keys do not exist; refusing is safe
					}
					if got := text(err); got != expected {
						t.Errorf("%s %s, %s key, %s:\ngot  %s\nwant %s", name, op, kind, state, got, expected)
					}
				}
			}
		}
	}
	for _, op := range fault.Operations() {
		if !keystate.Known(op) {
			t.Errorf("%s is not in the table", op)
		}
		if err := keystate.Check(op, inState(keys["symmetric"], "PendingDeletion"), arn); !seen[op] && err != nil {
			t.Errorf("%s concerns no key: %v", op, err)
		}
	}
	t.Logf("%d operations, %d cells", len(seen), cells)
	if len(seen) != 44 {
		t.Errorf("%d operations on keys", len(seen))
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestImpossibleStatesAreRefused: an unavailable key that signs would be a mistake in the facts; it must not work.
func TestImpossibleStatesAreRefused(t *testing.T) {
	for _, op := range []string{"Sign", "Verify", "GenerateMac", "VerifyMac", "DeriveSharedSecret"} {
		err := keystate.Check(op, inState(keys["RSA"], "Unavailable"), arn)
		if !errors.Is(err, fault.KMSInvalidStateException) {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestUnknownOperationIsRefused(t *testing.T) {
	err := keystate.Check("MakeCoffee", inState(keys["symmetric"], "Enabled"), arn)
	if !errors.Is(err, fault.KMSInternalException) || keystate.Known("MakeCoffee") {
		t.Errorf("got %v", err)
	}
}

// TestZeroFactsFit nothing that needs a kind of key: facts that lack the spec fail closed.
func TestZeroFacts(t *testing.T) {
	for _, op := range []string{"GenerateDataKey", "EnableKeyRotation", "GetPublicKey", "ImportKeyMaterial", "ReplicateKey", "Encrypt"} {
		if err := keystate.Check(op, keystate.Facts{}, arn); err == nil {
			t.Errorf("%s on a key of no kind is allowed", op)
		}
	}
}

func ExampleCheck() {
	f := keystate.Facts{Enabled: true, PendingDeletion: true, Spec: shape.KeySpecSymmetricDefault, Origin: shape.OriginAWSKMS}
	fmt.Println(keystate.Compute(f))
	fmt.Println(keystate.Check("Encrypt", f, "arn:aws:kms:us-east-1:111122223333:key/k"))
	fmt.Println(keystate.Check("DescribeKey", f, "arn:aws:kms:us-east-1:111122223333:key/k"))
	// Output:
	// PendingDeletion
	// KMSInvalidStateException: arn:aws:kms:us-east-1:111122223333:key/k is pending deletion.
	// <nil>
}

func BenchmarkCheck(b *testing.B) {
	f := inState(keys["symmetric"], "Enabled")
	b.ReportAllocs()
	for b.Loop() {
		if err := keystate.Check("Encrypt", f, arn); err != nil {
			b.Fatal(err)
		}
	}
}
