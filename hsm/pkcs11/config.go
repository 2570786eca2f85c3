package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// Defaults of Config.
const (
	DefaultPoolSize        = 16
	DefaultCallTimeout     = 10 * time.Second
	DefaultGenerateTimeout = 60 * time.Second
	DefaultOpenTimeout     = 60 * time.Second
)

// PINFunc returns the user PIN of the token. It is called once for every time the library is initialized: when the
// module is opened, and again if the token was lost and came back. The caller wipes the returned bytes.
type PINFunc func() ([]byte, error)

// Config says which token to use and how. The zero values of all but Module, the token and PIN are usable.
type Config struct {
	// Module is the path of the Cryptoki library, such as /usr/lib/softhsm/libsofthsm2.so. Library.Open ignores it.
	Module string

	// TokenLabel, Serial and Slot choose the token; those that are set must all match, and exactly one token may match.
	// A label or serial number is better than a slot number, which changes with many libraries.
	TokenLabel string
	Serial     string
	Slot       *uint

	// PIN returns the user PIN. See PINFile.
	PIN PINFunc

	// PoolSize is the number of sessions for operations, besides the anchor session: how many calls may be inside the
	// token at one time. DefaultPoolSize if zero.
	PoolSize int
	// MaxStuck is how many calls that exceeded their limit may hang in the library, while new calls use sessions in their
	// stead. With more, all calls fail at once until some return. PoolSize if zero.
	MaxStuck int

	// CallTimeout bounds one call of a Module or Key method, beside its context. DefaultCallTimeout if zero.
	CallTimeout time.Duration
	// GenerateTimeout takes its place for the generation of key pairs, which takes seconds for RSA-4096.
	// DefaultGenerateTimeout if zero.
	GenerateTimeout time.Duration
	// OpenTimeout bounds opening: initialization, login and the trial of mechanisms. DefaultOpenTimeout if zero.
	OpenTimeout time.Duration

	// AllowHostUnwrap permits RSAES-OAEP padding to be removed in this process after a raw RSA operation in the token,
	// where the token lacks the OAEP hash: for RSAES_OAEP decryption, whose plaintext goes to the client anyway, and for
	// the import of key material. Imported symmetric, HMAC and elliptic-curve keys are then in this process's memory in
	// the clear for the time of the import; RSA keys never are. Generated keys and domain keys are not affected.
	AllowHostUnwrap bool
	// AllowOAEPSHA1Transport permits a transport key for OAEP with SHA-1, where the token lacks SHA-256, and exports to
	// modules that have such a transport key. SHA-1's weakness in collisions does not touch OAEP (SP 800-131A
	// nevertheless wants SHA-2).
	AllowOAEPSHA1Transport bool
	// NonExtractableDomains makes new domain keys that not even ExportDomain can wrap, which is then ErrUnsupported: for
	// partitions that all nodes share and that the vendor's own means back up.
	NonExtractableDomains bool

	// Logger gets what operators should know: recovery, hanging calls, a PIN counter that is low. No log if nil.
	Logger *slog.Logger
}

// withDefaults returns c with its zero values replaced, or an error that says what is missing.
func (c Config) withDefaults() (Config, error) {
	if c.TokenLabel == "" && c.Serial == "" && c.Slot == nil {
		return c, errors.New("pkcs11: no token chosen: set the token's label, serial number or slot")
	}
	if c.PIN == nil {
		return c, errors.New("pkcs11: no PIN source: set a PIN file or function")
	}
	if c.PoolSize < 0 || c.MaxStuck < 0 || c.CallTimeout < 0 || c.GenerateTimeout < 0 || c.OpenTimeout < 0 {
		return c, errors.New("pkcs11: pool sizes and time-outs must not be negative")
	}
	setDefault(&c.PoolSize, DefaultPoolSize)
	setDefault(&c.MaxStuck, c.PoolSize)
	setDefault(&c.CallTimeout, DefaultCallTimeout)
	setDefault(&c.GenerateTimeout, DefaultGenerateTimeout)
	setDefault(&c.OpenTimeout, DefaultOpenTimeout)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// tokenName says in errors and logs which token is meant.
func (c Config) tokenName() string {
	var b []byte
	if c.TokenLabel != "" {
		b = fmt.Appendf(b, " label %q", c.TokenLabel)
	}
	if c.Serial != "" {
		b = fmt.Appendf(b, " serial %q", c.Serial)
	}
	if c.Slot != nil {
		b = fmt.Appendf(b, " slot %d", *c.Slot)
	}
	return "token with" + string(b)
}

const maxPIN = 1 << 10

// PINFile returns a PINFunc that reads the file each time, without a line end at its end. It refuses files that
// everybody may read.
func PINFile(path string) PINFunc {
	return func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("pkcs11: cannot read the PIN file: %w", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil {
			return nil, fmt.Errorf("pkcs11: cannot read the PIN file: %w", err)
		} else if info.Mode().IsRegular() && info.Mode().Perm()&0o006 != 0 {
			return nil, fmt.Errorf("pkcs11: everybody may read or write the PIN file %s: chmod 0400 it", path)
		}
		// One buffer of full size: growing would leave copies of the PIN behind.
		buf := make([]byte, maxPIN)
		n, err := io.ReadFull(f, buf)
		switch {
		case err == nil:
			clear(buf)
			return nil, fmt.Errorf("pkcs11: the PIN file %s is longer than a PIN", path)
		case err != io.ErrUnexpectedEOF && err != io.EOF:
			clear(buf)
			return nil, fmt.Errorf("pkcs11: cannot read the PIN file: %w", err)
		}
		pin := bytes.TrimRight(buf[:n], "\r\n")
		if len(pin) == 0 {
			return nil, fmt.Errorf("pkcs11: the PIN file %s is empty", path)
		}
		return pin, nil
	}
}
