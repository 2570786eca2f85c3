package fsm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of stored values, in bytes. They are wider than what the API lets through (package region judges that) and
// keep every row well below what a snapshot reads back. They are part of the log's format.
const (
	maxID           = 64  // key ids, access key ids, cluster ids, node ids, domain ids
	maxEnum         = 64  // specs, usages, origins, operations, event ids
	maxPrincipal    = 128 // "root" or a unique id
	maxAliasName    = 256 // spec 01 ALI-02
	maxDescription  = 8192 * 4
	maxPolicy       = 256 << 10
	maxTagKey       = 128 * 4
	maxTagValue     = 256 * 4
	maxTags         = 256
	maxMaterialID   = 64
	maxBlob         = 16 << 10 // wrapped material: the largest private keys take under 6 KiB
	maxPublic       = 8 << 10
	maxSecret       = 4 << 10 // sealed secrets, probes, signatures
	maxWrapped      = 1024    // nodes of a region
	maxUses         = 4096    // keys of one last-use report
	maxQuota        = 1 << 30
	maxARN          = 1024 // principals of grants
	maxIdentityName = 128  // names of users, groups, roles, policies
	maxPath         = 512
	maxPrincipals   = 4096 // that one policy names
	maxGrantName    = 256  // spec 04 GR-02
	maxPairs        = 16   // of a grant constraint
	maxPairKey      = 2048 * 4
	maxPairValue    = 384 * 4
)

// MaxMaterials is how many materials a key can have, rotations of all kinds included. RotateKey and ImportMaterial
// beyond it are refused as Stale.
const MaxMaterials = 1024

// checkName accepts 1 to limit printable ASCII characters without space. It keeps NUL out, which separates the parts
// of a table's keys.
func checkName(what, s string, limit int) error {
	if len(s) == 0 || len(s) > limit {
		return fmt.Errorf("%s of %d bytes, 1 to %d are allowed", what, len(s), limit)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return fmt.Errorf("%s has a character outside printable ASCII", what)
		}
	}
	return nil
}

func checkAccount(account string) error {
	if len(account) != 12 || strings.Trim(account, "0123456789") != "" {
		return errors.New("account is not 12 digits")
	}
	return nil
}

func checkBytes(what string, b []byte, least, most int) error {
	if len(b) < least || len(b) > most {
		return fmt.Errorf("%s of %d bytes, %d to %d are allowed", what, len(b), least, most)
	}
	return nil
}

func checkLength(what string, n, most int) error {
	if n < 0 || n > most {
		return fmt.Errorf("%s is %d, at most %d", what, n, most)
	}
	return nil
}

func checkTime(what string, ms int64) error {
	if ms < 0 {
		return fmt.Errorf("%s is negative", what)
	}
	return nil
}

func (r *KeyRef) check() error {
	return errors.Join(checkAccount(r.Account), checkName("key id", r.ID, maxID))
}

func checkMaterialID(id []byte) error { return checkBytes("material id", id, 1, maxMaterialID) }

// check accepts a material with or without a blob.
func (m *Material) check() error {
	if len(m.Blob) > 0 && m.Domain == 0 {
		return errors.New("material without domain key version")
	}
	if m.Expires && m.ExpiresAt <= 0 {
		return errors.New("expiring material without expiry")
	}
	if m.State < MaterialCurrent || m.State > MaterialSpreading {
		return fmt.Errorf("unknown material state %d", m.State)
	}
	return errors.Join(
		checkMaterialID(m.ID),
		checkBytes("wrapped material", m.Blob, 0, maxBlob),
		checkBytes("public key", m.Public, 0, maxPublic),
		checkLength("length of rotation type", len(m.RotationType), maxEnum),
		checkLength("length of material description", len(m.Description), maxDescription),
		checkTime("AddedAt", m.AddedAt), checkTime("RotatedAt", m.RotatedAt), checkTime("ExpiresAt", m.ExpiresAt),
	)
}

// checkMaterials holds the materials of a new key to the invariants that apply keeps: ids are unique, Current and the
// states agree, at most one is pending.
func checkMaterials(materials []Material, current int) error {
	if current < -1 || current >= len(materials) {
		return fmt.Errorf("current material %d of %d", current, len(materials))
	}
	if err := checkLength("number of materials", len(materials), MaxMaterials); err != nil {
		return err
	}
	pending, spreading := 0, 0
	for i := range materials {
		m := &materials[i]
		if err := m.check(); err != nil {
			return err
		}
		if findMaterial(materials[:i], m.ID) >= 0 {
			return errors.New("two materials with the same id")
		}
		if (m.State == MaterialCurrent) != (i == current) {
			return errors.New("material state and Current disagree")
		}
		if m.State == MaterialPendingRotation {
			pending++
		}
		if m.State == MaterialSpreading {
			spreading++
		}
	}
	if pending > 1 || spreading > 1 || (current < 0 && len(materials) > 0) {
		return errors.New("materials without a current one, or several pending")
	}
	return nil
}

func checkTags(tags []Tag) error {
	if err := checkLength("number of tags", len(tags), maxTags); err != nil {
		return err
	}
	for i, tag := range tags {
		if slices.ContainsFunc(tags[:i], func(t Tag) bool { return t.Key == tag.Key }) {
			return errors.New("the same tag key twice")
		}
		if len(tag.Key) == 0 || len(tag.Key) > maxTagKey || len(tag.Value) > maxTagValue {
			return errors.New("tag key or value too long, or key empty")
		}
	}
	return nil
}

func checkPolicy(policy string) error {
	if policy == "" {
		return errors.New("no key policy")
	}
	return checkLength("length of the key policy", len(policy), maxPolicy)
}

func checkAliasName(name string) error {
	if !strings.HasPrefix(name, "alias/") {
		return errors.New("alias name without prefix alias/")
	}
	return checkName("alias name", name, maxAliasName)
}
