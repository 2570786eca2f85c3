package iam_test

import (
	"reflect"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/trentkms/trent/api/iam"
	"github.com/trentkms/trent/api/query"
	"github.com/trentkms/trent/api/query/querytest"
)

// absent are members of the model that this service never has, and an operation that the model does not have, with the reason.
var absent = map[string]string{
	"PutOpenIDConnectProviderKeys":                   "an addition of this service",
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
	querytest.AgainstSDK(t, iam.API(), reflect.TypeFor[*sdk.Client](), absent)
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
