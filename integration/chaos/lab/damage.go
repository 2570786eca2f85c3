//go:build linux

package lab

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
)

// Part is a part of what a node keeps on its disk.
type Part string

// The parts.
const (
	PartLog      Part = "log"      // the log, the term and the vote
	PartSnapshot Part = "snapshot" // the newest snapshot
	PartAudit    Part = "audit"    // a segment of the audit log
	PartToken    Part = "token"    // the token of the embedded HSM
)

// Damage damages a part of what a node keeps while it does not run, as a bad disk does, and says what it did.
func (n *Node) Damage(p Part, rng *rand.Rand) (string, error) {
	if n.Running() {
		return "", errors.New("the node runs")
	}
	path, err := n.file(p, rng)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return "", errors.Join(err, f.Close(), fmt.Errorf("%s has %d bytes", path, st.Size()))
	}
	what, err := damage(f, p, st.Size(), rng)
	// Synced, so that no power cut of the lab mends it.
	return fmt.Sprintf("%s: %s", filepath.Base(path), what), errors.Join(err, f.Sync(), f.Close())
}

// file chooses the file that is damaged.
func (n *Node) file(p Part, rng *rand.Rand) (string, error) {
	pattern := map[Part]string{
		PartLog: "data/raft/raft.db", PartSnapshot: "data/raft/snapshots/*", PartAudit: "audit/*.jsonl", PartToken: "data/hsm/token",
	}[p]
	all, err := filepath.Glob(filepath.Join(n.disk.path, pattern))
	if err != nil || len(all) == 0 {
		return "", errors.Join(err, fmt.Errorf("%s has no %s", n.Name, p))
	}
	slices.Sort(all) // the newest of snapshots of one term last, as far as digits go: an older one serves as well
	switch path := all[len(all)-1]; p {
	case PartSnapshot:
		return filepath.Join(path, []string{"state.bin", "state.bin", "meta.json"}[rng.Intn(3)]), nil
	case PartAudit:
		return all[rng.Intn(len(all))], nil
	default:
		return path, nil
	}
}

func damage(f *os.File, p Part, size int64, rng *rand.Rand) (string, error) {
	at := rng.Int63n(size)
	switch kind := rng.Intn(4); {
	case kind == 0:
		return fmt.Sprintf("cut off at byte %d of %d", at, size), f.Truncate(at)
	case kind == 1:
		_, err := f.WriteAt(make([]byte, min(4096, size-at)), at)
		return fmt.Sprintf("nothing but zeros in 4096 bytes from %d on", at), err
	case kind == 2 && p == PartLog:
		at = rng.Int63n(2)*int64(os.Getpagesize()) + 16 + rng.Int63n(64) // a meta page
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return "", err
	}
	b[0] ^= 1 << rng.Intn(8)
	_, err := f.WriteAt(b[:], at)
	return fmt.Sprintf("a bit flipped in byte %d of %d", at, size), err
}
