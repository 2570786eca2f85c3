package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// ErrPIN reports that the token refused the PIN, or would lock itself if it were wrong once more. It is not tried again
// while the Library lives.
var ErrPIN = errors.New("pkcs11: PIN not accepted")

// class says what a return value of Cryptoki may mean beside the failed call.
type class int

const (
	classCall        class = iota // this call alone was refused
	classUnsupported              // the token lacks what was asked for
	classSession                  // the session is gone
	classHandle                   // the object is gone
	classDevice                   // the token, the connection or the whole library may be gone
)

// classify tells the class of a return value. Whether the token is really gone is not decided by the value, since
// tokens use the broad ones (CKR_GENERAL_ERROR, CKR_DEVICE_ERROR) for refusals as well: see lease.judge.
func classify(code pkcs11.Error) class {
	switch code {
	case pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_OPERATION_ACTIVE,
		pkcs11.CKR_OPERATION_NOT_INITIALIZED:
		return classSession
	case pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_WRAPPING_KEY_HANDLE_INVALID,
		pkcs11.CKR_UNWRAPPING_KEY_HANDLE_INVALID:
		return classHandle
	case pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_DEVICE_ERROR,
		pkcs11.CKR_DEVICE_MEMORY, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT,
		pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_USER_NOT_LOGGED_IN,
		pkcs11.CKR_SLOT_ID_INVALID, pkcs11.CKR_SESSION_COUNT, pkcs11.CKR_FUNCTION_CANCELED:
		return classDevice
	case pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_FUNCTION_NOT_SUPPORTED,
		pkcs11.CKR_KEY_SIZE_RANGE, pkcs11.CKR_CURVE_NOT_SUPPORTED, pkcs11.CKR_DOMAIN_PARAMS_INVALID,
		pkcs11.CKR_KEY_NOT_WRAPPABLE:
		return classUnsupported
	}
	if code >= pkcs11.CKR_VENDOR_DEFINED {
		return classDevice
	}
	return classCall
}

// sentinels are the errors that already say to the caller of a Module what it must know.
var sentinels = []error{
	hsm.ErrUnsupported, hsm.ErrUnavailable, hsm.ErrIntegrity, hsm.ErrNoDomain, hsm.ErrDomainExists,
	hsm.ErrInvalidInput, hsm.ErrClosed,
}

// public gives err the sentinel by which callers tell errors apart. What the token refuses for no reason of its own
// condition stays without one: an internal error.
func public(err error) error {
	if err == nil || told(err) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errGone) {
		return unavailable(err)
	}
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return err
	}
	switch classify(code) {
	case classUnsupported:
		return fmt.Errorf("%w: %w", hsm.ErrUnsupported, err)
	case classSession, classHandle, classDevice:
		return unavailable(err)
	}
	return err
}

func told(err error) bool {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

func unavailable(err error) error {
	return fmt.Errorf("%w: %w", hsm.ErrUnavailable, err)
}

// unsupported returns ErrUnsupported with the reason.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", hsm.ErrUnsupported, fmt.Sprintf(format, args...))
}

// invalid returns ErrInvalidInput with the reason.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", hsm.ErrInvalidInput, fmt.Sprintf(format, args...))
}

// isCode reports whether err carries one of the return values.
func isCode(err error, codes ...pkcs11.Error) bool {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return false
	}
	for _, c := range codes {
		if code == c {
			return true
		}
	}
	return false
}

// failed names the call that returned err.
func failed(call string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", call, err)
}
