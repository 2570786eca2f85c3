//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const pin = "1234567890abcdef"

// softhsmPaths are where distributions put SoftHSM2.
var softhsmPaths = []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"}

// makeHSM makes the node's HSM and returns the block of its configuration.
func (n *Node) makeHSM(ctx context.Context) (string, error) {
	pinFile := filepath.Join(n.Dir, "pin")
	if err := os.WriteFile(pinFile, []byte(pin+"\n"), 0o600); err != nil {
		return "", err
	}
	if n.Region.lab.Config.HSM == "embedded" {
		return fmt.Sprintf("hsm \"embedded\" {\n  pin_file = %q\n}", pinFile), nil
	}
	module := ""
	for _, p := range softhsmPaths {
		if _, err := os.Stat(p); err == nil {
			module = p
			break
		}
	}
	if module == "" {
		return "", errors.New("SoftHSM2 is not installed; .ci/tools installs it")
	}
	tokens, conf := n.tokens(), filepath.Join(n.Dir, "softhsm2.conf")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(conf, fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens), 0o600); err != nil {
		return "", err
	}
	n.env = append(n.env, "SOFTHSM2_CONF="+conf)
	if _, err := run(ctx, n.env, "softhsm2-util", "--init-token", "--free", "--label", "trent", "--pin", pin, "--so-pin", pin); err != nil {
		return "", err
	}
	// SoftHSM2 knows OAEP with SHA-1 only.
	return fmt.Sprintf("hsm \"pkcs11\" {\n  module = %q\n  token = \"trent\"\n  pin_file = %q\n  allow_oaep_sha1_transport = true\n}", module, pinFile), nil
}

func (n *Node) tokens() string { return filepath.Join(n.Dir, "tokens") }

// TakeToken takes the token of a SoftHSM2 away; GiveToken puts it back.
func (n *Node) TakeToken() error {
	if n.Region.lab.Config.HSM == "embedded" {
		return errors.New("the embedded HSM reads its token at start only")
	}
	return os.Rename(n.tokens(), n.tokens()+".away")
}

// GiveToken ends TakeToken.
func (n *Node) GiveToken() error {
	if _, err := os.Stat(n.tokens() + ".away"); err != nil {
		return nil
	}
	return os.Rename(n.tokens()+".away", n.tokens())
}
