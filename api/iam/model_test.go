package iam_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/trentkms/trent/api/iam"
	"github.com/trentkms/trent/api/query"
)

// absent are members of the model that this service never has, with the reason.
var absent = map[string]string{
	"User.PasswordLastUsed":                          "there is no console sign-in",
	"Role.SourceRoleTemplate":                        "there are no role templates",
	"RoleDetail.RoleLastUsed":                        "not recorded",
	"RoleDetail.SourceRoleTemplate":                  "there are no role templates",
	"Role.RoleLastUsed":                              "not recorded",
	"EvaluationResult.EvalDecisionDetails":           "the statements say it",
	"EvaluationResult.OrganizationsDecisionDetail":   "there are no organizations",
	"EvaluationResult.ResourceSpecificResults":       "every resource has a result of its own",
	"SimulatePrincipalPolicy.ResourceHandlingOption": "for EC2 alone",
	"SimulateCustomPolicy.ResourceHandlingOption":    "for EC2 alone",
	"SimulatePrincipalPolicy.Marker":                 "one page",
	"SimulateCustomPolicy.Marker":                    "one page",
	"Statement.StartPosition":                        "not known once a policy is compiled",
	"Statement.EndPosition":                          "not known once a policy is compiled",
}

// TestTableAgainstTheSDK: every operation is one of the model, and every member of the model has its place.
func TestTableAgainstTheSDK(t *testing.T) {
	client := reflect.TypeFor[*sdk.Client]()
	for name, op := range iam.API().Operations {
		m, ok := client.MethodByName(name)
		if name == "PutOpenIDConnectProviderKeys" { // an addition of this service
			continue
		}
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
		if _, known := absent[name+"."+field.Name]; known || refused(ours, field.Name) {
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

// TestConstraintsOfInputs: what the SDK sends of every input is decoded; a missing member that is required is named.
func TestConstraintsOfInputs(t *testing.T) {
	form, err := query.ParseForm([]byte("Action=X&UserName=" + strings.Repeat("x", 200)))
	if err != nil {
		t.Fatal(err)
	}
	_, invalid, err := iam.API().Operations["GetUser"].Decode(form)
	want := "1 validation error detected: Value '" + strings.Repeat("x", 200) + "' at 'userName' failed to satisfy constraint: Member must have length less than or equal to 128"
	if err != nil || invalid == nil || invalid.Message != want {
		t.Errorf("%v, %v, want %s", invalid, err, want)
	}
	_, invalid, err = iam.API().Operations["CreateUser"].Decode(form)
	if err != nil || invalid == nil || !strings.Contains(invalid.Message, "Member must have length less than or equal to 64") {
		t.Errorf("%v, %v", invalid, err)
	}
	_, invalid, err = iam.API().Operations["CreateRole"].Decode(form)
	if err != nil || invalid == nil || !strings.Contains(invalid.Message, "'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null") {
		t.Errorf("%v, %v", invalid, err)
	}
}
