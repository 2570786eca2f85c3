package sts_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/trentkms/trent/api/sts"
)

// absent are members about the size of session tokens, which is bounded by the packed policy alone.
var absent = []string{"MinimumSessionTokenSize", "SessionTokenSize", "SessionTokenUtilization"}

// TestTableAgainstTheSDK: every operation is one of the model, and every member of the model has its place.
func TestTableAgainstTheSDK(t *testing.T) {
	client := reflect.TypeFor[*sdk.Client]()
	for name, op := range sts.API().Operations {
		m, ok := client.MethodByName(name)
		if !ok {
			t.Errorf("%s is no operation of the model", name)
			continue
		}
		same(t, name, op.Input(), m.Type.In(2).Elem())
		same(t, name, op.Output(), m.Type.Out(0).Elem())
	}
}

// same holds that a structure has the members of the SDK's.
func same(t *testing.T, name string, ours, theirs reflect.Type) {
	t.Helper()
	for field := range theirs.Fields() {
		if !field.IsExported() || field.Name == "ResultMetadata" {
			continue
		}
		if refused(ours, field.Name) || slices.Contains(absent, field.Name) {
			continue
		}
		f, ok := member(ours, field.Name)
		if !ok {
			t.Errorf("%s: %v has no member %s", name, ours, field.Name)
			continue
		}
		if mine, other := structure(f.Type), structure(field.Type); mine != nil && other != nil && !strings.Contains(f.Type.String(), "Empty") {
			same(t, other.Name(), mine, other)
		}
	}
}

// refused tells whether a structure refuses a member.
func refused(t reflect.Type, name string) bool {
	f, ok := t.FieldByName("_")
	return ok && slices.Contains(strings.Split(f.Tag.Get("refuse"), ","), name)
}

func member(t reflect.Type, name string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if wire, _, _ := strings.Cut(f.Tag.Get("wire"), ","); wire == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// structure is the structure that a member holds or lists, nil if it is something else.
func structure(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains([]string{"Time", "Secret"}, t.Name()) || strings.HasPrefix(t.Name(), "Opt[") {
		return nil
	}
	return t
}
