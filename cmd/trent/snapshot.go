package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cluster/backup"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm/recovery"
	"github.com/trentkms/trent/region"
)

// sealedKey is the body of POST /v1/snapshot/key: a snapshot's sealed file key. The answer is the file key, which opens the state
// in the file and no key material in that.
type sealedKey struct {
	Domain  string `json:"domain"` // domain key version inside the HSM
	Binding []byte `json:"binding"`
	Sealed  []byte `json:"sealed"`
}

func (n *node) adminSnapshotKey(ctx context.Context, r *http.Request) (any, error) {
	var in sealedKey
	if err := decodeAdmin(r, &in); err != nil {
		return nil, err
	}
	return region.OpenBackupKey(ctx, n.module, in.Domain, in.Binding, in.Sealed)
}

func snapshotCommand() *cobra.Command {
	return group("snapshot", "Save the region's state, look into what was saved, and bring it back",
		snapshotSaveCommand(), snapshotReadCommand("inspect", "Show what a snapshot holds", true),
		snapshotReadCommand("verify", "Read a whole snapshot, decrypt it and check it", false), snapshotRestoreCommand())
}

func snapshotSaveCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "save FILE", Short: "Save the region's state to a new file, encrypted, and verify the file", Args: arguments(cobra.ExactArgs(1)),
		Long: "Save the region's state to a new file, encrypted, and verify the file. It holds every change that was acknowledged before.\n" +
			"To open it takes an HSM that holds the domain key, or a recovery key that was registered when it was taken; key material in\n" +
			"it is wrapped under the domain key once more.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.saveSnapshot(cmd.Context(), args[0]); err != nil {
				return err
			}
			// Another machine's node does not tell the file key.
			r, err := (&snapshotSource{adminFlags: f, digestOnly: f.remote() != ""}).report(cmd, args[0])
			if err != nil {
				return errors.Join(fmt.Errorf("the file was written and does not verify: %w", err), os.Remove(args[0]))
			}
			return f.print(cmd.OutOrStdout(), r, func(w io.Writer) error {
				what := fmt.Sprintf("%d keys", r.Keys)
				if !r.Decrypted {
					what = "digest only"
				}
				_, err := fmt.Fprintf(w, "saved and verified: index %d, %s, domain key version %d\n", r.Index, what, r.SealedUnder)
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

// saveSnapshot writes what the node sends to a new file, under another name until it is whole.
func (f *adminFlags) saveSnapshot(ctx context.Context, path string) error {
	from, err := f.open(ctx, http.MethodPost, "/v1/snapshot", nil)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already", path)
	}
	to, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err == nil {
		err = os.Link(to.Name(), path) // fails if the name was taken meanwhile
	}
	return errors.Join(err, os.Remove(to.Name()))
}

// snapshotReport is what snapshot inspect shows. The counts are there if the file could be decrypted.
type snapshotReport struct {
	Region      string           `json:"region"`
	ClusterID   string           `json:"clusterId"`
	Index       uint64           `json:"index"`
	RegionTime  time.Time        `json:"regionTime"`
	CreatedAt   time.Time        `json:"createdAt"`
	Program     string           `json:"program"`
	SealedUnder uint32           `json:"sealedUnder"`
	DomainKeys  []snapshotDomain `json:"domainKeys"`
	Decrypted   bool             `json:"decrypted"`
	Digest      string           `json:"digest,omitempty"`
	Accounts    int              `json:"accounts,omitempty"`
	Keys        int              `json:"keys,omitempty"`
	Grants      int              `json:"grants,omitempty"`
	Nodes       []string         `json:"nodes,omitempty"`
}

// snapshotDomain is a domain key version that the snapshot needs, and for whom it holds it wrapped.
type snapshotDomain struct {
	Version    uint32   `json:"version"`
	ID         string   `json:"id"`
	WrappedFor []string `json:"wrappedFor"`
}

func headerReport(h *backup.Header) *snapshotReport {
	r := &snapshotReport{
		Region: h.Region, ClusterID: h.ClusterID, Index: h.Index, RegionTime: time.UnixMilli(h.RegionTime).UTC(), CreatedAt: time.UnixMilli(h.CreatedAt).UTC(),
		Program: h.Program, SealedUnder: h.SealedUnder,
	}
	for _, d := range h.DomainKeys {
		row := snapshotDomain{Version: d.Version, ID: d.ID, WrappedFor: []string{}}
		for _, w := range d.Wrapped {
			row.WrappedFor = append(row.WrappedFor, w.Name)
		}
		r.DomainKeys = append(r.DomainKeys, row)
	}
	return r
}

func (r *snapshotReport) count(st *fsm.State) {
	r.Decrypted, r.Digest = true, fmt.Sprintf("%x", fsm.Hash(st))
	for a := range st.Accounts("") {
		r.Accounts++
		for k := range st.Keys(a.ID, "") {
			r.Keys++
			r.Grants += k.GrantCount
		}
	}
	_, cfg := st.Config()
	for _, s := range cfg.Servers {
		r.Nodes = append(r.Nodes, string(s.ID))
	}
}

// snapshotSource is a snapshot and what opens it.
type snapshotSource struct {
	adminFlags
	recoveryFile, passphrase string
	digestOnly               bool
}

func (s *snapshotSource) keyFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.recoveryFile, "recovery-key", "", "open it with this recovery key instead of an HSM")
	passphraseFlag(cmd, &s.passphrase)
}

// report reads and checks a whole file.
func (s *snapshotSource) report(cmd *cobra.Command, path string) (*snapshotReport, error) {
	if s.digestOnly {
		return checkDigest(path)
	}
	key, err := readRecoveryKey(s.recoveryFile, s.passphrase, cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	h, st, err := readSnapshot(path, func(f *backup.File) ([]byte, error) { return s.openKey(cmd.Context(), f, key) })
	if err != nil {
		return nil, err
	}
	r := headerReport(h)
	r.count(st)
	return r, nil
}

func checkDigest(path string) (*snapshotReport, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	f, err := backup.Open(from)
	if err == nil {
		err = f.Check()
	}
	if err != nil {
		return nil, err
	}
	return headerReport(&f.Header), nil
}

// openKey opens a file key: with the recovery key, by the node of this machine, or in its HSM if the node does not run.
func (s *snapshotSource) openKey(ctx context.Context, f *backup.File, key *recovery.Key) ([]byte, error) {
	if key != nil {
		return region.OpenBackupOffline(ctx, f, key)
	}
	in, err := sealedKeyOf(f)
	if err != nil {
		return nil, err
	}
	if s.remote() != "" {
		return nil, usageError{errors.New("a snapshot is decrypted on a node's own machine or with --recovery-key; --digest-only works everywhere")}
	}
	var out []byte
	err = s.call(ctx, http.MethodPost, "/v1/snapshot/key", in, &out)
	var refused *net.OpError
	if !errors.As(err, &refused) || s.socket != "" {
		return out, err
	}
	cfg, err := config.Load(s.config)
	if err != nil {
		return nil, usageError{err}
	}
	module, err := openHSM(cfg, false, newLogger(cfg.Log))
	if err != nil {
		return nil, fmt.Errorf("the node does not run, and its HSM does not open: %w", err)
	}
	defer func() { _ = module.Close() }()
	return region.OpenBackupKey(ctx, module, in.Domain, in.Binding, in.Sealed)
}

func sealedKeyOf(f *backup.File) (*sealedKey, error) {
	in := &sealedKey{}
	in.Binding, in.Sealed = f.SealedKey()
	for _, d := range f.Header.DomainKeys {
		if d.Version == f.Header.SealedUnder {
			in.Domain = d.ID
			return in, nil
		}
	}
	return nil, fmt.Errorf("%w: it does not name the domain key version that it is sealed under", backup.ErrFile)
}

// readSnapshot reads a whole file and checks that its header is about the state in it.
func readSnapshot(path string, open func(*backup.File) ([]byte, error)) (*backup.Header, *fsm.State, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = from.Close() }()
	f, err := backup.Open(from)
	if err != nil {
		return nil, nil, err
	}
	key, err := open(f)
	if err != nil {
		return nil, nil, err
	}
	defer clear(key)
	body, err := f.Body(key)
	if err != nil {
		return nil, nil, err
	}
	st, err := fsm.ReadSnapshot(body)
	if err != nil {
		return nil, nil, err
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, nil, err
	}
	r, h := st.Region(), &f.Header
	if r == nil || r.Name != h.Region || r.ClusterID != h.ClusterID || st.Index() != h.Index || st.DomainKey(h.SealedUnder) == nil {
		return nil, nil, fmt.Errorf("%w: the header is about another state", backup.ErrFile)
	}
	return h, st, nil
}

func snapshotReadCommand(use, short string, show bool) *cobra.Command {
	var s snapshotSource
	cmd := &cobra.Command{
		Use: use + " FILE", Short: short, Args: arguments(cobra.ExactArgs(1)),
		Long: short + ". What opens it is the node on this machine, its HSM if the node does not run, or a recovery key. With --digest-only\n" +
			"nothing is needed: the header is shown, and damage to the file is found, though not forgery.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := s.report(cmd, args[0])
			if err != nil {
				return err
			}
			return s.print(cmd.OutOrStdout(), r, func(w io.Writer) error {
				if show {
					return printSnapshot(w, r)
				}
				var err error
				if r.Decrypted {
					_, err = fmt.Fprintf(w, "ok: decrypted and whole, index %d, digest %s\n", r.Index, r.Digest)
				} else {
					_, err = fmt.Fprintf(w, "ok: whole, not decrypted, index %d\n", r.Index)
				}
				return err
			})
		},
	}
	s.add(cmd)
	s.keyFlags(cmd)
	cmd.Flags().BoolVar(&s.digestOnly, "digest-only", false, "do not decrypt it")
	return cmd
}

func printSnapshot(w io.Writer, r *snapshotReport) error {
	_, err := fmt.Fprintf(w, "region %s, cluster %s\ntaken %s by %s, index %d, region time %s\n",
		r.Region, r.ClusterID, r.CreatedAt.Format(time.RFC3339), r.Program, r.Index, r.RegionTime.Format(time.RFC3339))
	for _, d := range r.DomainKeys {
		wrapped := "wrapped for " + strings.Join(d.WrappedFor, ", ")
		if len(d.WrappedFor) == 0 {
			wrapped = "wrapped for nobody: an HSM that holds it is needed"
		}
		_, e := fmt.Fprintf(w, "needs domain key version %d (%s), %s\n", d.Version, d.ID, wrapped)
		err = errors.Join(err, e)
	}
	if r.Decrypted {
		_, e := fmt.Fprintf(w, "accounts %d, keys %d, grants %d\nnodes %v\ndigest %s\n", r.Accounts, r.Keys, r.Grants, r.Nodes, r.Digest)
		err = errors.Join(err, e)
	}
	return err
}

// encode writes v as one line of JSON.
func encode(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
