package api

import (
	"reflect"
	"slices"
	"testing"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/shape"
)

// TestEveryTokenIsChecked: an operation with grant tokens that forgot to show them to the pipeline would accept forged ones.
func TestEveryTokenIsChecked(t *testing.T) {
	n := 0
	for _, op := range Operations() {
		in := op.newInput()
		field := reflect.ValueOf(in).Elem().FieldByName("GrantTokens")
		if !field.IsValid() {
			continue
		}
		n++
		field.Set(reflect.ValueOf([]string{"token"}))
		if bearer, ok := in.(region.Tokened); !ok || !slices.Equal(bearer.Tokens(), []string{"token"}) {
			t.Errorf("%s hides its grant tokens", op.Name)
		}
	}
	if n != 15 { // spec 04 GT-03, DeriveSharedSecret and the four data key operations included
		t.Errorf("%d operations take grant tokens", n)
	}
}

// TestGrantOperationsAgree: state, wire and policy engine know the same operations.
func TestGrantOperationsAgree(t *testing.T) {
	var all fsm.GrantOps
	for _, name := range shape.GrantOperation("").Enum() {
		op := region.GrantOp(name)
		if op == 0 || all&op != 0 {
			t.Errorf("%s has bit %b", name, op)
		}
		all |= op
		if ops, err := policy.ParseGrantOperations([]string{name}); err != nil || !slices.Equal(ops.Names(), []string{name}) {
			t.Errorf("the policy engine reads %s as %v, %v", name, ops.Names(), err)
		}
	}
	if names := region.GrantOpNames[string](all); !slices.Equal(names, shape.GrantOperation("").Enum()) {
		t.Errorf("all operations are %v", names)
	}
	for _, p := range policy.Permissions() {
		if bit := region.GrantOp(p.Action[len("kms:"):]); (bit != 0) != (p.Grant != 0) {
			t.Errorf("a grant conveys %s: %v by the permissions reference", p.Action, p.Grant != 0)
		}
	}
}
