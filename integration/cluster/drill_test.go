package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// softHSM is where the module of SoftHSM2 may be.
var softHSM = []string{os.Getenv("SOFTHSM2_MODULE"), "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"}

func softHSMModule(t *testing.T) string {
	t.Helper()
	at := slices.IndexFunc(softHSM, func(path string) bool { _, err := os.Stat(path); return path != "" && err == nil })
	if at < 0 {
		t.Fatal("SoftHSM2 is not installed: run apt-get install softhsm2")
	}
	return softHSM[at]
}

// useSoftHSM gives a node a token of its own, of a name.
func (p *process) useSoftHSM(t *testing.T, label string) {
	t.Helper()
	module := softHSMModule(t)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", "1234567890abcdef", "--so-pin", "1234567890abcdef").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
	p.edit(t, func(text string) string {
		return strings.Replace(text, "hsm \"embedded\" {\n", fmt.Sprintf("hsm \"pkcs11\" {\n  module = %q\n  token = %q\n  allow_oaep_sha1_transport = true\n", module, label), 1)
	})
}

func (p *process) edit(t *testing.T, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(p.config)
	if err == nil {
		err = os.WriteFile(p.config, []byte(change(string(text))), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// inventory is everything about a region's keys that a client can see or use.
type inventory struct {
	objects map[string]string // what it is, by name
	sealed  map[string][]byte // ciphertexts, signatures and MACs by key id
}

var drillMessage = []byte("a message that outlives its region")

// makeKeys fills a region with keys of several kinds.
func (r *regionOf) makeKeys(t *testing.T, p *process, n int) inventory {
	t.Helper()
	c := r.client(p, 5)
	inv := inventory{sealed: map[string][]byte{}}
	for i := range n {
		in := &kms.CreateKeyInput{Description: aws.String(fmt.Sprint("key ", i)), Tags: []types.Tag{{TagKey: aws.String("n"), TagValue: aws.String(fmt.Sprint(i))}}}
		switch i % 4 {
		case 1:
			in.KeySpec, in.KeyUsage = types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify
		case 2:
			in.KeySpec, in.KeyUsage = types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac
		}
		made, err := c.CreateKey(ctx(t), in)
		if err != nil {
			t.Fatal(err)
		}
		id := *made.KeyMetadata.KeyId
		if _, err := c.CreateAlias(ctx(t), &kms.CreateAliasInput{AliasName: aws.String(fmt.Sprint("alias/drill-", i)), TargetKeyId: &id}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateGrant(ctx(t), &kms.CreateGrantInput{KeyId: &id, GranteePrincipal: aws.String("arn:aws:iam::" + account + ":root"),
			Operations: []types.GrantOperation{types.GrantOperationDescribeKey}}); err != nil {
			t.Fatal(err)
		}
		if inv.sealed[id], err = useKey(c, id, i); err != nil {
			t.Fatal(err)
		}
	}
	inv.objects = r.look(t, p)
	return inv
}

func useKey(c *kms.Client, id string, i int) ([]byte, error) {
	limit, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch i % 4 {
	case 1:
		out, err := c.Sign(limit, &kms.SignInput{KeyId: &id, Message: drillMessage, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		if err != nil {
			return nil, err
		}
		return out.Signature, nil
	case 2:
		out, err := c.GenerateMac(limit, &kms.GenerateMacInput{KeyId: &id, Message: drillMessage, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
		if err != nil {
			return nil, err
		}
		return out.Mac, nil
	}
	out, err := c.Encrypt(limit, &kms.EncryptInput{KeyId: &id, Plaintext: drillMessage})
	if err != nil {
		return nil, err
	}
	return out.CiphertextBlob, nil
}

// look describes all keys with their aliases, tags, policies and grants.
func (r *regionOf) look(t *testing.T, p *process) map[string]string {
	t.Helper()
	c := r.client(p, 5)
	all := map[string]string{}
	put := func(name string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	keys := kms.NewListKeysPaginator(c, &kms.ListKeysInput{})
	for keys.HasMorePages() {
		page, err := keys.NextPage(ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Keys {
			d, err := c.DescribeKey(ctx(t), &kms.DescribeKeyInput{KeyId: k.KeyId})
			if err != nil {
				t.Fatal(err)
			}
			put("key "+*k.KeyId, d.KeyMetadata)
			policy, err := c.GetKeyPolicy(ctx(t), &kms.GetKeyPolicyInput{KeyId: k.KeyId})
			if err != nil {
				t.Fatal(err)
			}
			put("policy "+*k.KeyId, *policy.Policy)
			tags, err := c.ListResourceTags(ctx(t), &kms.ListResourceTagsInput{KeyId: k.KeyId})
			if err != nil {
				t.Fatal(err)
			}
			put("tags "+*k.KeyId, tags.Tags)
			grants, err := c.ListGrants(ctx(t), &kms.ListGrantsInput{KeyId: k.KeyId})
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range grants.Grants {
				put("grant "+*g.GrantId, g)
			}
		}
	}
	aliases := kms.NewListAliasesPaginator(c, &kms.ListAliasesInput{})
	for aliases.HasMorePages() {
		page, err := aliases.NextPage(ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Aliases {
			put("alias "+*a.AliasName, a)
		}
	}
	return all
}

// same checks that a region has what another had, and that what the keys made there is good here. It returns how many objects it
// compared.
func (r *regionOf) same(t *testing.T, p *process, want inventory) int {
	t.Helper()
	got := r.look(t, p)
	for _, name := range slices.Sorted(maps.Keys(want.objects)) {
		if got[name] != want.objects[name] {
			t.Errorf("%s was\n%s, is\n%s", name, want.objects[name], got[name])
		}
	}
	for name := range got {
		if want.objects[name] == "" {
			t.Errorf("%s was not there before", name)
		}
	}
	c := r.client(p, 5)
	for id, what := range want.sealed {
		if err := r.opensOld(c, id, want.objects["key "+id], what); err != nil {
			t.Errorf("key %s: %v", id, err)
		}
	}
	return len(want.objects) + len(want.sealed)
}

func (r *regionOf) opensOld(c *kms.Client, id, description string, what []byte) error {
	limit, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch {
	case strings.Contains(description, "ECC_NIST_P256"):
		_, err := c.Verify(limit, &kms.VerifyInput{KeyId: &id, Message: drillMessage, Signature: what, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		return err
	case strings.Contains(description, "HMAC_256"):
		_, err := c.VerifyMac(limit, &kms.VerifyMacInput{KeyId: &id, Message: drillMessage, Mac: what, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
		return err
	}
	out, err := c.Decrypt(limit, &kms.DecryptInput{CiphertextBlob: what})
	if err == nil && !bytes.Equal(out.Plaintext, drillMessage) {
		err = errors.New("another plaintext")
	}
	return err
}

// solo makes a region of one node. change is done to it before the region is made.
func solo(t *testing.T, change func(*process)) *regionOf {
	t.Helper()
	r := emptyRegion(t)
	p := r.configure()
	change(p)
	var made struct{ NodeID, AccessKeyID, SecretAccessKey string }
	if err := json.Unmarshal(r.must("operator", "init", "--format", "json", "--config", p.config), &made); err != nil {
		t.Fatal(err)
	}
	p.id, r.key, r.secret = made.NodeID, made.AccessKeyID, made.SecretAccessKey
	p.start()
	p.await()
	return r
}

// drillReport is what snapshot restore prints.
type drillReport struct {
	ClusterID  string
	NotRevived []string
	Reapply    []struct{ Event string }
	Lost       []struct{ Event string }
	Gaps       []string
}

// exitCode runs trent and returns how it ended.
func (r *regionOf) exitCode(args ...string) (int, string) {
	_, err := r.run(args...)
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return failed.ExitCode(), err.Error()
	}
	if err != nil {
		return -1, err.Error()
	}
	return 0, ""
}

// TestRestoreDrill takes a snapshot of a region, loses the region, and brings it back: with the HSM that is left, and with the
// recovery key into another one. TRENT_DRILL_KEYS sets how many keys there are.
func TestRestoreDrill(t *testing.T) {
	keys := 8
	if n, err := fmt.Sscan(os.Getenv("TRENT_DRILL_KEYS"), &keys); n == 0 && err == nil {
		keys = 8
	}
	for _, c := range []struct {
		name string
		hsm  func(t *testing.T, p *process, label string)
	}{
		{"embedded", func(*testing.T, *process, string) {}},
		{"SoftHSM2", func(t *testing.T, p *process, label string) { p.useSoftHSM(t, label) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tokens := t.TempDir()
			conf := filepath.Join(tokens, "softhsm2.conf")
			if err := os.WriteFile(conf, fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("SOFTHSM2_CONF", conf)
			drill(t, keys, c.name, func(p *process, label string) { c.hsm(t, p, label) })
		})
	}
}

func drill(t *testing.T, keys int, name string, useHSM func(*process, string)) {
	began := time.Now()
	r := solo(t, func(p *process) { useHSM(p, "trent") })
	first := r.nodes[0]
	dir := t.TempDir()
	recovery, passphrase := filepath.Join(dir, "recovery.key"), filepath.Join(dir, "passphrase")
	if err := os.WriteFile(passphrase, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.must("operator", "recovery-key", "generate", recovery, "--passphrase-file", passphrase)
	r.must("operator", "recovery-key", "register", recovery+".pub", "--config", first.config)
	inv := r.makeKeys(t, first, keys)
	backup := filepath.Join(dir, "region.snapshot")
	r.must("operator", "snapshot", "save", backup, "--config", first.config)
	file, err := os.ReadFile(backup)
	if err != nil || bytes.Contains(file, []byte("alias/drill-0")) || bytes.Contains(file, []byte("kms:")) {
		t.Errorf("the snapshot is not encrypted: %v", err)
	}
	saved := time.Since(began)
	// What happens after the snapshot.
	c := r.client(first, 5)
	revoked := slices.Sorted(maps.Keys(inv.sealed))[0]
	for name := range inv.objects {
		if id, ok := strings.CutPrefix(name, "grant "); ok && strings.Contains(inv.objects[name], revoked) {
			if _, err := c.RevokeGrant(ctx(t), &kms.RevokeGrantInput{KeyId: &revoked, GrantId: &id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.DisableKey(ctx(t), &kms.DisableKeyInput{KeyId: &revoked}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateKey(ctx(t), &kms.CreateKeyInput{}); err != nil {
		t.Fatal(err)
	}
	first.kill()
	r.must("operator", "snapshot", "verify", backup, "--config", first.config) // by the HSM, without the node
	r.must("operator", "snapshot", "verify", backup, "--recovery-key", recovery, "--passphrase-file", passphrase)
	damaged := filepath.Join(dir, "damaged")
	file[len(file)/2] ^= 1
	if err := os.WriteFile(damaged, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"operator", "snapshot", "verify", damaged, "--digest-only"}, {"operator", "snapshot", "verify", damaged, "--config", first.config},
		{"operator", "snapshot", "restore", damaged, "--replace", "--accept-revival", "--config", first.config}} {
		if code, _ := r.exitCode(args...); code != 1 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	if code, _ := r.exitCode("operator", "snapshot", "restore", backup, "--config", first.config); code != 3 {
		t.Errorf("restore over a node that is there: exit code %d", code)
	}
	if code, _ := r.exitCode("operator", "snapshot", "restore", backup, "--replace", "--config", first.config); code != 3 {
		t.Errorf("restore without a trail: exit code %d", code)
	}
	// A failed restore leaves the old state.
	first.start()
	first.await()
	if d, err := r.client(first, 5).DescribeKey(ctx(t), &kms.DescribeKeyInput{KeyId: &revoked}); err != nil || d.KeyMetadata.Enabled {
		t.Errorf("after failed restores the node has another state: %v", err)
	}
	first.kill()

	restoring := time.Now()
	objects := 0
	report := r.restore(t, first, backup, "--replace", "--audit-trail", filepath.Join(first.dir, "data", "audit"))
	events := fmt.Sprint(report.Reapply)
	if len(report.Gaps) != 0 || !strings.Contains(events, "RevokeGrant") || !strings.Contains(events, "DisableKey") || !strings.Contains(fmt.Sprint(report.Lost), "CreateKey") {
		t.Errorf("restore says %+v", report)
	}
	first.start()
	first.await()
	objects += r.same(t, first, inv)
	r.audited(t, first, "RestoreSnapshot")
	first.kill()
	// Everything is lost but the snapshot and the recovery key.
	other := r.configure()
	useHSM(other, "trent-2")
	if code, text := r.exitCode("operator", "snapshot", "restore", backup, "--accept-revival", "--config", other.config); code != 1 || !strings.Contains(text, "recovery key") {
		t.Errorf("restore without the domain key: exit code %d, %s", code, text)
	}
	r.restore(t, other, backup, "--accept-revival", "--recovery-key", recovery, "--passphrase-file", passphrase)
	other.start()
	other.await()
	objects += r.same(t, other, inv)
	t.Logf("%s: %d keys, %d objects compared and used after two restores; snapshot taken in %.2f min, restored in %.2f min", name, keys, objects, saved.Minutes(), time.Since(restoring).Minutes())
}

func (r *regionOf) restore(t *testing.T, p *process, file string, args ...string) (report drillReport) {
	t.Helper()
	out := r.must(append([]string{"operator", "snapshot", "restore", file, "--format", "json", "--config", p.config}, args...)...)
	if err := json.Unmarshal(out, &report); err != nil || report.ClusterID == "" {
		t.Fatalf("%s, %v", out, err)
	}
	return report
}

// audited wants a record of an operator's event in a node's audit log, and the log to be whole.
func (r *regionOf) audited(t *testing.T, p *process, event string) {
	t.Helper()
	dir := filepath.Join(p.dir, "data", "audit")
	if out := r.must("audit", "search", dir, "--event", event); !bytes.Contains(out, []byte(event)) {
		t.Errorf("no audit record of %s", event)
	}
	r.must("audit", "verify", dir)
}
