package region

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/fault"
)

// TestHSMFault holds what a client is told of each way in which the HSM fails. Only what nobody expects is an internal error, since
// operators are told to wake up for those.
func TestHSMFault(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want fault.Code
	}{
		{hsm.ErrUnsupported, fault.UnsupportedOperationException},
		{hsm.ErrUnavailable, fault.KeyUnavailableException},
		{hsm.ErrNoDomain, fault.KeyUnavailableException},
		{context.DeadlineExceeded, fault.DependencyTimeoutException},
		{context.Canceled, fault.ServiceUnavailable},
		{errors.Join(hsm.ErrUnavailable, context.Canceled), fault.ServiceUnavailable},
		{fault.InvalidCiphertext(), fault.InvalidCiphertextException},
		{hsm.ErrIntegrity, fault.KMSInternalException},
		{errors.New("anything else"), fault.KMSInternalException},
	} {
		var got *fault.Error
		if err := hsmFault(fmt.Errorf("wrapped: %w", tt.err)); !errors.As(err, &got) || got.Code != tt.want {
			t.Errorf("%v is told as %v, want %v", tt.err, err, tt.want)
		}
	}
	if err := hsmFault(nil); err != nil {
		t.Errorf("no error is told as %v", err)
	}
	var retry *RetryError
	if err := hsmFault(hsm.ErrDropped); !errors.As(err, &retry) {
		t.Errorf("a key that was dropped meanwhile is told as %v, want a RetryError", err)
	}
}
