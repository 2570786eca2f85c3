package soft

import (
	"context"
	"fmt"

	"github.com/trentkms/trent/hsm"
)

// ChangePIN seals the token file under another PIN, with a fresh salt. ErrUnsupported for a token in memory,
// ErrInvalidInput for a PIN that is too short or too long. After ErrUnavailable either PIN may open the file: repeat the
// call.
func (m *Module) ChangePIN(ctx context.Context, pin []byte) error {
	if m.file == nil {
		return unsupported("a token in memory has no PIN")
	}
	if err := checkPIN(pin); err != nil {
		return fmt.Errorf("%w: %v", hsm.ErrInvalidInput, err)
	}
	next, err := newSeal(pin)
	if err != nil {
		return err
	}
	return m.change(ctx, func(st *state) error {
		st.seal = next
		return nil
	})
}

func checkPIN(pin []byte) error {
	if len(pin) < MinPIN || len(pin) > MaxPIN {
		return fmt.Errorf("soft: the PIN must have %d to %d bytes", MinPIN, MaxPIN)
	}
	return nil
}
