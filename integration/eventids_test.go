package integration_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/trenttest"
)

// TestEventIDsOfOneInstant: events of one key within one millisecond are events of their own. The node's check finds ids that came
// twice.
func TestEventIDsOfOneInstant(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{})
	c := s.Client()
	for range 4 {
		md := newKey(t, c)
		for range 20 {
			do(c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: md.KeyId})).ok(t)
		}
	}
}
