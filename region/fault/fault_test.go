package fault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/fault"
)

func TestCauseIsForTheOperatorOnly(t *testing.T) {
	cause := errors.New("slot 7 token gone")
	e := fault.Wrap(fault.KeyUnavailableException, cause, "The key %s cannot be reached now.", "k")

	if got := e.Error(); got != "KeyUnavailableException: The key k cannot be reached now." {
		t.Errorf("Error() = %q", got)
	}
	for _, s := range []string{e.Message, fmt.Sprint(e), fmt.Sprintf("%+v", e), fmt.Sprintf("%q", e)} {
		if strings.Contains(s, "slot 7") {
			t.Errorf("the cause shows in %q", s)
		}
	}
	if !errors.Is(e, cause) {
		t.Error("errors.Is does not find the cause")
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Error("x", "err", e)
	for _, want := range []string{"KeyUnavailableException", "cannot be reached", "slot 7 token gone"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
}

func TestFormatWithoutArgsIsTakenAsItIs(t *testing.T) {
	if got := fault.New(fault.ValidationException, "100% of %s").Message; got != "100% of %s" {
		t.Errorf("Message = %q", got)
	}
}

func TestIsAsksForTheCode(t *testing.T) {
	err := fmt.Errorf("decrypt: %w", fault.KeyNotFound("arn"))
	if !errors.Is(err, fault.NotFoundException) {
		t.Error("errors.Is does not find the code")
	}
	if errors.Is(err, fault.DisabledException) {
		t.Error("errors.Is finds another code")
	}
}

type timeout struct{}

func (timeout) Error() string { return "i/o timeout on 10.0.0.7" }
func (timeout) Timeout() bool { return true }

func TestFrom(t *testing.T) {
	secret := errors.New("pin 1234 refused by slot 0")
	var typedNil *fault.Error
	tests := []struct {
		name string
		err  error
		want fault.Code
	}{
		{"unknown", secret, fault.KMSInternalException},
		{"wrapped unknown", fmt.Errorf("load: %w", secret), fault.KMSInternalException},
		{"deadline", fmt.Errorf("raft: %w", context.DeadlineExceeded), fault.DependencyTimeoutException},
		{"os deadline", os.ErrDeadlineExceeded, fault.DependencyTimeoutException},
		{"network deadline", timeout{}, fault.DependencyTimeoutException},
		{"cancelled", fmt.Errorf("read: %w", context.Canceled), fault.ServiceUnavailable},
		{"fault", fault.Disabled("arn"), fault.DisabledException},
		{"wrapped fault", fmt.Errorf("op: %w", fault.Disabled("arn")), fault.DisabledException},
		{"fault with a timeout as cause", fault.Wrap(fault.KeyUnavailableException, timeout{}, ""), fault.KeyUnavailableException},
		{"outermost of two faults", fault.Wrap(fault.IncorrectKeyException, fault.Disabled("arn"), ""), fault.IncorrectKeyException},
		{"joined", errors.Join(secret, fault.InvalidMAC()), fault.KMSInvalidMacException},
		{"code", fault.TagException, fault.TagException},
		{"wrapped code", fmt.Errorf("x: %w", fault.TagException), fault.TagException},
		{"unknown code", fault.Code(9999), fault.KMSInternalException},
		{"typed nil", typedNil, fault.KMSInternalException},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := fault.From(tt.err)
			if got.Code != tt.want {
				t.Fatalf("code = %v, want %v", got.Code, tt.want)
			}
			if strings.Contains(got.Message+got.Error(), "1234") || strings.Contains(got.Message, "10.0.0.7") {
				t.Errorf("an unknown error reaches the client: %q", got.Message)
			}
			if tt.err != error(typedNil) && got != tt.err && !errors.Is(got, tt.err) {
				t.Error("the operator loses the cause")
			}
		})
	}
	if got := fault.From(nil); got != nil {
		t.Errorf("From(nil) = %v", got)
	}
	if got := fault.From(fmt.Errorf("op: %w", fault.Disabled("arn"))).Message; got != "arn is disabled." {
		t.Errorf("a wrapped fault lost its message: %q", got)
	}
}

func TestInternalConstructors(t *testing.T) {
	cause := errors.New("cause")
	for _, tt := range []struct {
		got  *fault.Error
		want fault.Code
	}{
		{fault.Internal(cause), fault.KMSInternalException},
		{fault.Panicked(cause), fault.InternalFailure},
		{fault.Unavailable(cause), fault.ServiceUnavailable},
		{fault.Timeout(cause), fault.DependencyTimeoutException},
		{fault.KeyUnavailable(cause), fault.KeyUnavailableException},
	} {
		if tt.got.Code != tt.want || !tt.got.Code.Retryable() || !errors.Is(tt.got, cause) || strings.Contains(tt.got.Message, "cause") {
			t.Errorf("%v: %q", tt.got.Code, tt.got.Message)
		}
	}
}
