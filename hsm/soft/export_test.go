package soft

import (
	"bytes"

	"github.com/trentkms/trent/hsm"
)

// DomainSecret returns a domain key in the clear, to look for where it must not be.
func DomainSecret(m *Module, id hsm.DomainID) []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, err := m.state.domain(id)
	if err != nil {
		return nil
	}
	return bytes.Clone(d.secret[:])
}
