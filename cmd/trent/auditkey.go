package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/fsm"
)

// The files in the data directory that auditors need beside the log, and the names in the PEM file of the public key.
const (
	auditHeadFile  = "audit-head.json"
	auditKeyFile   = "audit-key.pem"
	auditKeyHeader = "Key-Id"
	publicKeyBlock = "PUBLIC KEY"
)

// writeAuditKey writes the public key that verifies audit heads into the data directory, for auditors to take along.
func (n *node) writeAuditKey(st *fsm.State) error {
	r := st.Region()
	if r == nil || r.AuditKey == nil {
		return nil
	}
	block := &pem.Block{
		Type: publicKeyBlock, Headers: map[string]string{auditKeyHeader: hex.EncodeToString(r.AuditKey.ID)}, Bytes: r.AuditKey.Public,
	}
	return writeDurably(filepath.Join(n.cfg.DataDir, auditKeyFile), pem.EncodeToMemory(block))
}

// readBeside reads the file that was named, or without a name the one beside the log's folder; nil if there is none.
func readBeside(path, logDir, name string) (from string, b []byte, err error) {
	if path != "" {
		b, err = os.ReadFile(path)
		return path, b, err
	}
	path = filepath.Join(filepath.Dir(filepath.Clean(logDir)), name)
	if b, err = os.ReadFile(path); errors.Is(err, fs.ErrNotExist) {
		return path, nil, nil
	}
	return path, b, err
}

// committedHeads reads the newest head that the log's node has committed, none if there is no such file.
func committedHeads(path, logDir string) ([]audit.Head, error) {
	path, b, err := readBeside(path, logDir, auditHeadFile)
	if err != nil || b == nil {
		return nil, err
	}
	var h audit.Head
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, fmt.Errorf("%s holds no audit head: %w", path, err)
	}
	return []audit.Head{h}, nil
}

// auditVerifier reads a public audit key and returns the check of signatures. Without a path it looks beside the log's folder;
// nil means that there is none, and signatures stay unchecked.
func auditVerifier(path, logDir string) (audit.VerifyFunc, error) {
	path, b, err := readBeside(path, logDir, auditKeyFile)
	if err != nil || b == nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != publicKeyBlock {
		return nil, fmt.Errorf("%s holds no PEM public key", path)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no ECDSA key", path)
	}
	id := block.Headers[auditKeyHeader]
	return func(keyID string, digest, sig []byte) error {
		if keyID != id {
			return fmt.Errorf("signed by key %s, and the given key is %s", keyID, id)
		}
		if !ecdsa.VerifyASN1(key, digest, sig) {
			return errors.New("the signature is wrong")
		}
		return nil
	}, nil
}
