package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/hsm/recovery"
	"github.com/trentkms/trent/region"
)

// handleDomainKeys adds what concerns the domain key to the admin API.
func (n *node) handleDomainKeys(mux *adminMux) {
	mux.HandleFunc("POST /v1/domain-key/rotation", n.admin(func(ctx context.Context, r *http.Request) (any, error) {
		var in region.RotationRequest
		if err := decodeAdmin(r, &in); err != nil {
			return nil, err
		}
		return n.members.RotateDomainKey(ctx, in)
	}))
	mux.HandleFunc("GET /v1/domain-key/rotation", n.admin(func(ctx context.Context, _ *http.Request) (any, error) { return n.members.Rotation(ctx) }))
	mux.HandleFunc("GET /v1/recovery-keys", n.admin(func(ctx context.Context, _ *http.Request) (any, error) { return n.members.RecoveryKeys(ctx) }))
	mux.HandleFunc("POST /v1/recovery-keys", n.admin(func(ctx context.Context, r *http.Request) (any, error) {
		var spki []byte
		if err := decodeAdmin(r, &spki); err != nil {
			return nil, err
		}
		return n.members.AddRecoveryKey(ctx, spki)
	}))
	mux.HandleFunc("DELETE /v1/recovery-keys/{name}", n.admin(func(ctx context.Context, r *http.Request) (any, error) {
		return struct{}{}, n.members.RemoveRecoveryKey(ctx, r.PathValue("name"))
	}))
	mux.HandleFunc("POST /v1/snapshot/key", n.admin(n.adminSnapshotKey))
	mux.HandleFunc("POST /v1/root-credentials", n.admin(n.adminRootCredentials))
	mux.HandleFunc("GET /v1/debug", n.admin(func(ctx context.Context, _ *http.Request) (any, error) { return n.debugParts(ctx) }))
}

func decodeAdmin(r *http.Request, out any) error {
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(out); err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	return nil
}

// deadBackups is what the destruction of domain keys means, said before it is done.
const deadBackups = "Destroying the older versions of the domain key cannot be undone: every snapshot taken before the rotation ends is dead,\n" +
	"session tokens and import tokens given out before are refused, and recovery keys registered before open nothing more.\n" +
	"Take a new snapshot when the rotation is done."

func rotateCommand() *cobra.Command {
	var f adminFlags
	var in region.RotationRequest
	var recoveryFile string
	var yes, noWait bool
	cmd := &cobra.Command{
		Use: "rotate-domain-key", Short: "Make a new version of the domain key and wrap everything under it, while traffic goes on", Args: arguments(cobra.NoArgs),
		Long: "Make a new version of the domain key inside the HSM, hand it to every node, and wrap all that was wrapped under older\n" +
			"versions under it. Traffic goes on; so does the rotation if the leader changes. 'trent operator status' shows how far it is.\n\n" +
			"With --destroy-old the older versions are destroyed in every HSM afterwards, with every transport key that they were ever\n" +
			"wrapped for. " + deadBackups,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if recoveryFile != "" {
				var err error
				if in.RecoveryKey, err = readPublic(recoveryFile); err != nil {
					return usageError{err}
				}
			}
			if in.DestroyOld && !in.DryRun && !yes {
				return heldError{fmt.Errorf("%s\nRun it again with --yes if that is meant, or with --dry-run to see what would be done", deadBackups)}
			}
			return f.rotate(cmd, in, noWait)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&in.DestroyOld, "destroy-old", false, "destroy the older versions afterwards; older snapshots are dead then")
	cmd.Flags().StringVar(&recoveryFile, "recovery-key", "", "public half of a recovery key to register with the new version; with --destroy-old it replaces those registered")
	cmd.Flags().BoolVar(&in.DryRun, "dry-run", false, "say what would be done and do nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm --destroy-old")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return when the rotation has begun")
	return cmd
}

func (f *adminFlags) rotate(cmd *cobra.Command, in region.RotationRequest, noWait bool) error {
	var plan region.RotationPlan
	if err := f.call(cmd.Context(), http.MethodPost, "/v1/domain-key/rotation", in, &plan); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if in.DryRun || noWait || !plan.Started {
		if err := f.print(out, plan, func(w io.Writer) error { return printPlan(w, &plan) }); err != nil {
			return err
		}
	}
	switch {
	case len(plan.Blocked) > 0:
		return heldError{fmt.Errorf("the rotation cannot begin: %s", strings.Join(plan.Blocked, "; "))}
	case in.DryRun || noWait:
		return nil
	}
	st, err := f.awaitRotation(cmd.Context(), cmd.ErrOrStderr(), plan.To)
	if err != nil {
		return err
	}
	return f.print(out, st, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "domain key version %d is active, %d objects wrapped anew%s\n", st.To, st.Done, destroyedWord(&plan))
		return err
	})
}

func destroyedWord(p *region.RotationPlan) string {
	if !p.DestroyOld {
		return ""
	}
	return ", older versions destroyed. Take a new snapshot now: all older ones are dead"
}

// rotationPoll is how often a command that waits asks how far the rotation is.
const rotationPoll = 300 * time.Millisecond

// awaitRotation waits for the end of a rotation and tells what it waits for. Interrupting it does not stop the rotation.
func (f *adminFlags) awaitRotation(ctx context.Context, progress io.Writer, to uint32) (*region.RotationStatus, error) {
	said := ""
	for {
		var st *region.RotationStatus
		err := f.call(ctx, http.MethodGet, "/v1/domain-key/rotation", nil, &st)
		if err == nil && st != nil && (st.To > to || st.FinishedAt != (time.Time{})) {
			return st, nil
		}
		now := ""
		switch {
		case err != nil:
			now = err.Error()
		case st != nil:
			now = strings.TrimPrefix(rotationWord(st), ", ")
		}
		if now != said {
			said = now
			_, _ = fmt.Fprintln(progress, now)
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("the rotation goes on by itself; 'trent operator status' shows how far it is")
		case <-time.After(rotationPoll):
		}
	}
}

// rotationWord is a rotation in the status of a node.
func rotationWord(r *region.RotationStatus) string {
	switch {
	case r == nil:
		return ""
	case !r.FinishedAt.IsZero():
		return ", since " + r.FinishedAt.Format(time.RFC3339)
	}
	s := fmt.Sprintf(", rotation to version %d: %s, %d of %d wrapped anew", r.To, r.Phase, r.Done, r.Total)
	if len(r.Pending) > 0 {
		s += ", not yet destroyed on " + strings.Join(r.Pending, ", ")
	}
	if r.Waiting != "" {
		s += "; waits: " + r.Waiting
	}
	return s
}

func printPlan(w io.Writer, p *region.RotationPlan) error {
	_, err := fmt.Fprintf(w, "new version     %d\nolder versions  %d\nobjects         %d to be wrapped anew\nnodes           %s\n", p.To, p.Older, p.Objects, strings.Join(p.Nodes, ", "))
	if len(p.Absent) > 0 {
		_, e := fmt.Fprintln(w, "absent         ", strings.Join(p.Absent, ", "))
		err = errors.Join(err, e)
	}
	if p.DestroyOld {
		_, e := fmt.Fprintf(w, "destroys        versions %d, the transport keys of all nodes, recovery keys %v\n\n%s\n", p.Older, p.RecoveryKeys, deadBackups)
		err = errors.Join(err, e)
	}
	return err
}

func recoveryKeyCommand() *cobra.Command {
	return group("recovery-key", "Offline keys by which a snapshot outlives every HSM of the region",
		recoveryGenerateCommand(), recoveryRegisterCommand(), recoveryListCommand(), recoveryRemoveCommand())
}

// recoveryMade is what recovery-key generate prints.
type recoveryMade struct {
	Name    string `json:"name"`
	Private string `json:"privateKeyFile"`
	Public  string `json:"publicKeyFile"`
}

func recoveryGenerateCommand() *cobra.Command {
	var form format
	var passphrase string
	cmd := &cobra.Command{
		Use: "generate FILE", Short: "Make a recovery key: FILE sealed under a passphrase, and FILE.pub", Args: arguments(cobra.ExactArgs(1)),
		Long: "Make a recovery key on a machine that is offline. FILE holds the private half, PKCS #8 encrypted by the passphrase, which openssl\n" +
			"reads too; FILE.pub holds the public half, to be registered with the region. Keep FILE and the passphrase apart from each\n" +
			"other and from the snapshots: whoever has all three has every key of the region.",
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := readPassphrase(passphrase, cmd.InOrStdin())
			if err != nil {
				return usageError{err}
			}
			defer clear(secret)
			made, err := makeRecoveryKey(args[0], secret)
			if err != nil {
				return err
			}
			if form == formatJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(made)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\nprivate half  %s\npublic half   %s, for 'trent operator recovery-key register'\n", made.Name, made.Private, made.Public)
			return err
		},
	}
	formatFlag(cmd, &form)
	passphraseFlag(cmd, &passphrase)
	return cmd
}

func passphraseFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "passphrase-file", "", "file with the passphrase of the recovery key, - for standard input")
}

func readPassphrase(path string, stdin io.Reader) ([]byte, error) {
	var b []byte
	var err error
	switch path {
	case "":
		return nil, errors.New("name the file with the passphrase with --passphrase-file, - for standard input")
	case "-":
		b, err = io.ReadAll(io.LimitReader(stdin, 4096))
	default:
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}

func makeRecoveryKey(path string, passphrase []byte) (made recoveryMade, err error) {
	if err := protectProcess(); err != nil {
		return made, err
	}
	key, err := recovery.Generate()
	if err != nil {
		return made, err
	}
	private, err := key.Seal(passphrase)
	if err != nil {
		return made, usageError{err}
	}
	public, err := key.PublicPEM()
	if err != nil {
		return made, err
	}
	spki, err := key.Public()
	if err != nil {
		return made, err
	}
	made = recoveryMade{Private: path, Public: path + ".pub"}
	if made.Name, err = region.RecoveryKeyName(spki); err != nil {
		return made, err
	}
	for name, data := range map[string][]byte{made.Private: private, made.Public: public} {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return made, err
		}
		_, err = f.Write(data)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return made, err
		}
	}
	return made, nil
}

func readPublic(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return recovery.ParsePublic(b)
}

// readRecoveryKey opens the file of a recovery key; nil without a path.
func readRecoveryKey(path, passphrase string, stdin io.Reader) (*recovery.Key, error) {
	if path == "" {
		return nil, nil
	}
	secret, err := readPassphrase(passphrase, stdin)
	if err != nil {
		return nil, usageError{err}
	}
	defer clear(secret)
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return recovery.Parse(file, secret)
}

func recoveryRegisterCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "register FILE.pub", Short: "Wrap the domain key for a recovery key, now and after every rotation", Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			spki, err := readPublic(args[0])
			if err != nil {
				return usageError{err}
			}
			var info region.RecoveryKeyInfo
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/recovery-keys", spki, &info); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), info, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s opens domain key versions %d. Take a snapshot now: older ones do not know it.\n", info.Name, info.Versions)
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}

func recoveryListCommand() *cobra.Command {
	return showing(&cobra.Command{
		Use: "list", Short: "List the registered recovery keys", Args: arguments(cobra.NoArgs),
	}, "/v1/recovery-keys", func(w io.Writer, all []region.RecoveryKeyInfo) error {
		for _, k := range all {
			if _, err := fmt.Fprintf(w, "%s  since %s, versions %d\n", k.Name, k.CreatedAt.Format(time.RFC3339), k.Versions); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeRecoveryDry says what the removal of a recovery key would do.
func removeRecoveryDry(cmd *cobra.Command, f *adminFlags, name string) error {
	var all []region.RecoveryKeyInfo
	if err := f.call(cmd.Context(), http.MethodGet, "/v1/recovery-keys", nil, &all); err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(k region.RecoveryKeyInfo) bool { return k.Name == name })
	if at < 0 {
		return fmt.Errorf("there is no recovery key %q", name)
	}
	left := map[string]any{"name": name, "versions": all[at].Versions, "recoveryKeysLeft": len(all) - 1, "dryRun": true}
	return f.print(cmd.OutOrStdout(), left, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "Recovery key %s would be removed, with %d wrapped versions of the domain key; %d recovery keys would be left. Nothing was done.\n",
			name, all[at].Versions, len(all)-1)
		return err
	})
}

func recoveryRemoveCommand() *cobra.Command {
	var f adminFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Wrap the domain key for a recovery key no longer", Args: arguments(cobra.ExactArgs(1)),
		Long: "Wrap the domain key for a recovery key no longer. It still opens snapshots taken before, until the domain key versions in them\n" +
			"are destroyed (rotate-domain-key --destroy-old).",
		RunE: func(cmd *cobra.Command, args []string) error {
			if dryRun {
				return removeRecoveryDry(cmd, &f, args[0])
			}
			var none struct{}
			return f.call(cmd.Context(), http.MethodDelete, "/v1/recovery-keys/"+args[0], nil, &none)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done and do nothing")
	return cmd
}
