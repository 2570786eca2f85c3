package sts_test

import (
	"reflect"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/trentkms/trent/api/query/querytest"
	"github.com/trentkms/trent/api/sts"
)

// absent are members of the model that this service never has, with the reason.
var absent = map[string]string{
	"MinimumSessionTokenSize": "the size of session tokens is bounded by the packed policy alone",
	"SessionTokenSize":        "the size of session tokens is bounded by the packed policy alone",
	"SessionTokenUtilization": "the size of session tokens is bounded by the packed policy alone",
}

// TestTableAgainstTheSDK: every operation is one of the model, and every member of the model has its place.
func TestTableAgainstTheSDK(t *testing.T) {
	querytest.AgainstSDK(t, sts.API(), reflect.TypeFor[*sdk.Client](), absent)
}
