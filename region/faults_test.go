package region

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/fault"
)

// TestHSMFaults: what the HSM layer reports, in the client's words; only what must be decided again is no fault.
func TestHSMFaults(t *testing.T) {
	if hsmFault(nil) != nil {
		t.Error("no error is a fault")
	}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{hsm.ErrUnsupported, "UnsupportedOperationException: This Region's HSM does not support the operation with this key and algorithm."},
		{hsm.ErrUnavailable, "KeyUnavailableException: The key cannot be reached now. The request can be retried."},
		{hsm.ErrClosed, "KeyUnavailableException: The key cannot be reached now. The request can be retried."},
		{hsm.ErrNoDomain, "KeyUnavailableException: The key cannot be reached now. The request can be retried."},
		{hsm.ErrIntegrity, "KMSInternalException: An internal error occurred. The request can be retried."},
		{context.DeadlineExceeded, "DependencyTimeoutException: A part of the service did not answer in time. The request can be retried."},
		{fault.InvalidCiphertext(), "InvalidCiphertextException"},
		{errors.New("anything else"), "KMSInternalException: An internal error occurred. The request can be retried."},
	} {
		refused(t, hsmFault(fmt.Errorf("wrapped: %w", tc.err)), tc.want)
	}
	var again *RetryError
	if err := hsmFault(hsm.ErrDropped); !errors.As(err, &again) || again.Error() == "" {
		t.Errorf("a key that was dropped while it was loaded: %v", err)
	}
}

// TestProposeFaults: all are safe to repeat, and an unknown outcome is never called a refusal (spec 10 PROTO-40).
func TestProposeFaults(t *testing.T) {
	for err, want := range map[error]fault.Code{
		cluster.ErrUnknown: fault.DependencyTimeoutException, cluster.ErrNoLeader: fault.ServiceUnavailable,
		cluster.ErrTooBusy: fault.ServiceUnavailable, errors.New("another"): fault.ServiceUnavailable,
	} {
		got := fault.From(proposeFault(fmt.Errorf("wrapped: %w", err)))
		if got.Code != want || !got.Code.Retryable() {
			t.Errorf("%v: %v", err, got)
		}
	}
}
