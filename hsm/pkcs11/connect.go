package pkcs11

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// conn is a module's connection in one generation: a slot, a login and what hangs on it.
type conn struct {
	gen  uint64
	slot uint

	// anchor owns the objects of loaded keys and keeps the login alive. anchorMu is held during calls on it.
	anchorMu sync.Mutex
	anchor   pkcs11.SessionHandle

	mu      sync.Mutex // guards what follows
	idle    []pkcs11.SessionHandle
	domains map[hsm.DomainID]domainKeys
	trash   []pkcs11.ObjectHandle // of the anchor session, still to be destroyed
}

// connect finds the token, opens the anchor session and logs in, once. It makes calls outside of the gate's count: the
// caller either has entered the gate or has it shut, and holds admin.
func (m *Module) connect(gen uint64) error {
	slot, token, err := m.findToken()
	if err != nil {
		return err
	}
	anchor, err := m.ck.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return failed("C_OpenSession", err)
	}
	if err := m.login(anchor, token); err != nil {
		return errors.Join(err, m.ck.CloseSession(anchor))
	}
	m.token = token
	m.conn.Store(&conn{gen: gen, slot: slot, anchor: anchor, domains: map[hsm.DomainID]domainKeys{}})
	return nil
}

// findToken returns the slot of the one token that the configuration means. After the first time it must be the token
// with the same serial number.
func (m *Module) findToken() (uint, pkcs11.TokenInfo, error) {
	slots, err := m.ck.GetSlotList(true)
	if err != nil {
		return 0, pkcs11.TokenInfo{}, failed("C_GetSlotList", err)
	}
	var found []uint
	var token pkcs11.TokenInfo
	var seen []string
	for _, slot := range slots {
		info, err := m.ck.GetTokenInfo(slot)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		seen = append(seen, fmt.Sprintf("label %q serial %q slot %d", info.Label, info.SerialNumber, slot))
		if m.cfg.means(slot, info) && (m.token.SerialNumber == "" || m.token.SerialNumber == info.SerialNumber) {
			found, token = append(found, slot), info
		}
	}
	if len(found) != 1 {
		return 0, pkcs11.TokenInfo{}, fmt.Errorf("pkcs11: %d tokens match %s; present: [%s]", len(found), m.cfg.tokenName(),
			strings.Join(seen, "; "))
	}
	return found[0], token, nil
}

// means reports whether the configuration chooses this token.
func (c Config) means(slot uint, info pkcs11.TokenInfo) bool {
	return (c.TokenLabel == "" || c.TokenLabel == info.Label) &&
		(c.Serial == "" || c.Serial == info.SerialNumber) &&
		(c.Slot == nil || *c.Slot == slot)
}

// login presents the PIN, unless the token says that one more wrong one would lock it.
func (m *Module) login(anchor pkcs11.SessionHandle, token pkcs11.TokenInfo) error {
	switch {
	case token.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return fmt.Errorf("%w: the PIN of the %s is locked: the security officer must set a new one", ErrPIN, m.cfg.tokenName())
	case token.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return fmt.Errorf("%w: one more wrong PIN locks the %s: log in once with the vendor's tool, then start again", ErrPIN, m.cfg.tokenName())
	case token.Flags&pkcs11.CKF_USER_PIN_COUNT_LOW != 0:
		m.log.Warn("pkcs11: a wrong PIN was presented to the token before", "token", m.cfg.tokenName())
	}
	pin, err := m.cfg.PIN()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPIN, err)
	}
	defer clear(pin)
	// The binding takes a string, which could not be wiped if it were a copy. Nobody keeps this one.
	err = m.ck.Login(anchor, pkcs11.CKU_USER, unsafe.String(unsafe.SliceData(pin), len(pin)))
	switch {
	case err == nil, isCode(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		return nil
	case isCode(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED,
		pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_USER_PIN_NOT_INITIALIZED, pkcs11.CKR_USER_TYPE_INVALID,
		pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN):
		return fmt.Errorf("%w by the %s; it is not tried again, correct it and restart: %w", ErrPIN, m.cfg.tokenName(), err)
	}
	return failed("C_Login", err)
}

// errGone reports that the token or the anchor session does not answer.
var errGone = errors.New("pkcs11: token gone")

// answers reports whether the token and the anchor session are alive and logged in; if not, the error is errGone. Some
// tokens go on answering from session objects after they are gone, and find nothing instead of failing; asking for the
// token itself tells.
func (c *conn) answers(ck cryptoki) error {
	info, err := ck.GetSessionInfo(c.anchor)
	if err != nil {
		return fmt.Errorf("%w: C_GetSessionInfo of the anchor session: %w", errGone, err)
	}
	if info.State != stateRWUser {
		return fmt.Errorf("%w: the anchor session is in state %d, not logged in", errGone, info.State)
	}
	if _, err := ck.GetTokenInfo(c.slot); err != nil {
		return fmt.Errorf("%w: C_GetTokenInfo: %w", errGone, err)
	}
	return nil
}

// takeSession returns an idle session or opens one.
func (m *Module) takeSession(c *conn) (s pkcs11.SessionHandle, err error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		s, c.idle = c.idle[n-1], c.idle[:n-1]
		c.mu.Unlock()
		return s, nil
	}
	c.mu.Unlock()
	err = m.lib.exclusively(func() error {
		s, err = m.ck.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		return err
	})
	return s, failed("C_OpenSession", err)
}

// returnSession puts a session back, or closes one that may have an operation or objects left in it.
func (m *Module) returnSession(c *conn, s pkcs11.SessionHandle, spoiled bool) {
	c.mu.Lock()
	if !spoiled && len(c.idle) < m.cfg.PoolSize {
		c.idle = append(c.idle, s)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	err := m.lib.exclusively(func() error { return m.ck.CloseSession(s) })
	if err != nil && !isCode(err, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED) {
		m.log.Debug("pkcs11: closing a session failed", "cause", failed("C_CloseSession", err))
	}
}

// closeIdle closes the idle sessions, when one of their kind was found dead.
func (m *Module) closeIdle(c *conn) {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, s := range idle {
		m.returnSession(c, s, true)
	}
}

// forget drops what was learned about token objects, which another node of a shared partition may have replaced.
func (c *conn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.domains)
}
