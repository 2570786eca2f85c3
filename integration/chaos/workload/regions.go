package workload

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// regions replicates multi-Region keys, moves their primary about, rotates them, uses them everywhere, and schedules their deletion.
type regions struct {
	keys    slots[*regionsKey]
	leaving leaving
	begun   notebook
}

// regionsKey is a multi-Region key.
type regionsKey struct {
	id   string
	mu   sync.Mutex
	in   []int // regions that are known to hold it
	made []string
}

// Regions is W8: never two primaries, what one region encrypted opens in all, after a partition the regions agree, and what one region
// does to its own key another one does not take back.
func Regions() Workload { return &regions{keys: slots[*regionsKey]{maxUses: 300, maxUnknown: 4}} }

func (w *regions) Name() string { return check.RegionsName }

func (w *regions) Setup(ctx context.Context, t *Target) error {
	if len(t.Regions) < 2 {
		return nil
	}
	s := t.setup(w.Name(), &w.begun)
	for range 2 {
		k, ok := w.newKey(s)
		if !ok {
			return fmt.Errorf("%s: no multi-Region key could be made", w.Name())
		}
		w.keys.add(k)
	}
	return w.leaving.setup(ctx, w, s)
}

func (w *regions) newKey(s *session) (*regionsKey, bool) {
	home := s.rng.Intn(len(s.t.Regions))
	d := s.entry(home)
	op := s.write(d, "CreateKey", "", nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
		if err == nil {
			out["key"] = *o.KeyMetadata.KeyId
		}
		return err
	})
	return &regionsKey{id: op.Key, in: []int{home}}, op.Outcome == history.OK
}

func (w *regions) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	if len(t.Regions) < 2 {
		return
	}
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for ctx.Err() == nil {
		if rng.Intn(12) == 0 && w.leaving.take() {
			s.pause(ctx, w.leaving.step(s, s.entry(rng.Intn(len(t.Regions)))))
		}
		x := w.keys.pick(rng)
		op := w.step(s, x.v, rng.Intn(len(t.Regions)))
		if w.keys.spent(x, op) {
			k, ok := w.newKey(s)
			w.keys.replace(x, k, ok)
		}
		s.pause(ctx, op)
	}
}

// holds tells whether a region is known to hold the key.
func (k *regionsKey) holds(region int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(k.in, region)
}

func (w *regions) step(s *session, k *regionsKey, at int) history.Op {
	d := s.entry(at)
	if !k.holds(at) {
		return w.replicate(s, k, at)
	}
	switch weighted(s.rng, 30, 30, 30, 5, 3) {
	case 0:
		return w.encrypt(s, d, k)
	case 1:
		k.mu.Lock()
		blob := ""
		if len(k.made) > 0 {
			blob = k.made[s.rng.Intn(len(k.made))]
		}
		k.mu.Unlock()
		if blob == "" {
			return w.describe(s, d, k, nil)
		}
		return w.open(s, d, k, blob, "")
	case 3:
		to := s.t.Regions[(at+1+s.rng.Intn(len(s.t.Regions)-1))%len(s.t.Regions)].Name
		op := s.write(d, "UpdatePrimaryRegion", k.id, map[string]string{"to": to}, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: &k.id, PrimaryRegion: &to})
			return err
		})
		if op.Outcome == history.OK { // the moment at which an old primary would betray itself
			w.describe(s, d, k, nil)
		}
		return op
	case 4:
		op := s.write(d, "RotateKeyOnDemand", k.id, nil, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &k.id})
			return err
		})
		if op.Outcome == history.OK { // the moment at which others may lack what is used
			w.usedEverywhere(s, d, k)
		}
		return op
	}
	return w.describe(s, d, k, nil)
}

func (w *regions) encrypt(s *session, d door, k *regionsKey) history.Op {
	return s.read(d, "Encrypt", k.id, map[string]string{"aux": "1"}, func(ctx context.Context, _ map[string]string) error {
		o, err := s.kms(d).Encrypt(ctx, &kms.EncryptInput{KeyId: &k.id, Plaintext: message})
		if err == nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.made = append(k.made, string(o.CiphertextBlob))
		}
		return err
	})
}

// usedEverywhere encrypts at a door and decrypts that at once in every region that holds the key.
func (w *regions) usedEverywhere(s *session, d door, k *regionsKey) {
	if w.encrypt(s, d, k).Outcome != history.OK {
		return
	}
	k.mu.Lock()
	blob, in := k.made[len(k.made)-1], slices.Clone(k.in)
	k.mu.Unlock()
	for _, r := range in {
		w.open(s, s.entry(r), k, blob, "")
	}
}

// replicate brings the key to a region, by way of the region that calls itself primary.
func (w *regions) replicate(s *session, k *regionsKey, to int) history.Op {
	k.mu.Lock()
	from := k.in[s.rng.Intn(len(k.in))]
	k.mu.Unlock()
	d, name := s.entry(from), s.t.Regions[to].Name
	op := s.write(d, "ReplicateKey", k.id, map[string]string{"to": name}, func(ctx context.Context, _ map[string]string) error {
		_, err := s.kms(d).ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: &k.id, ReplicaRegion: &name})
		return err
	})
	// A replica is known when its own region shows it as made, whoever made it.
	there := s.entry(to)
	shown := s.read(there, "DescribeKey", k.id, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(there).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.id})
		if err == nil {
			w.note(o.KeyMetadata, out)
		}
		return err
	})
	if shown.Outcome == history.OK && shown.Out["state"] == string(types.KeyStateEnabled) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if !slices.Contains(k.in, to) {
			k.in = append(k.in, to)
		}
	}
	return op
}

// open decrypts in a region that holds the key. final marks what is asked after the end of all faults.
func (w *regions) open(s *session, d door, k *regionsKey, blob, final string) history.Op {
	return s.read(d, "Decrypt", k.id, map[string]string{"plaintext": encode(message), "final": final}, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: []byte(blob)})
		if err == nil {
			out["plaintext"] = encode(o.Plaintext)
		}
		return err
	})
}

func (w *regions) describe(s *session, d door, k *regionsKey, in map[string]string) history.Op {
	return s.read(d, "DescribeKey", k.id, in, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.id})
		if err == nil {
			w.note(o.KeyMetadata, out)
		}
		return err
	})
}

// note reads what a region says of the key's set.
func (w *regions) note(m *types.KeyMetadata, out map[string]string) {
	out["state"] = string(m.KeyState)
	if c := m.MultiRegionConfiguration; c != nil {
		out["type"] = string(c.MultiRegionKeyType)
		var all []string
		for _, r := range c.ReplicaKeys {
			all = append(all, aws.ToString(r.Region))
		}
		slices.Sort(all)
		primary := ""
		if c.PrimaryKey != nil {
			primary = aws.ToString(c.PrimaryKey.Region)
		}
		out["shared"] = fmt.Sprintf("primary %s, replicas %s, material %s", primary, strings.Join(all, " "), aws.ToString(m.CurrentKeyMaterialId))
	}
}

// convergence bounds how long regions may differ after the end of all faults.
const convergence = 60 * time.Second

// Settle waits until the regions that hold a key agree and nothing is under way any more.
func (w *regions) Settle(ctx context.Context, t *Target) []check.Anomaly {
	s := t.final(w.Name(), new(notebook))
	ctx, cancel := context.WithTimeout(ctx, convergence)
	defer cancel()
	for _, k := range w.keys.ever() {
		w.forgetLost(s, k)
		for !w.agree(s, k) && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return w.converged(t)
}

// Check opens a sample of each key's ciphertexts in all regions that hold it, and judges.
func (w *regions) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	for _, k := range w.keys.ever() {
		for _, r := range k.in {
			for _, d := range t.everywhere(r) {
				s.insist(func() history.Op { return w.describe(s, d, k, map[string]string{"final": "1"}) })
				for i := 0; i < len(k.made); i += 1 + len(k.made)/5 {
					s.insist(func() history.Op { return w.open(s, d, k, k.made[i], "1") })
				}
			}
		}
	}
	return check.Regions(append(ops, last.ops...))
}

// converged notes how long the regions took to agree, and finds it too long or not.
func (w *regions) converged(t *Target) []check.Anomaly {
	if t.Settled.IsZero() {
		return nil
	}
	if t.Converged = time.Since(t.Settled); t.Within == 0 || t.Converged <= t.Within {
		return nil
	}
	return []check.Anomaly{{Workload: w.Name(), Text: fmt.Sprintf("the regions took %v to agree after they could speak again; %v are allowed on this machine", t.Converged.Round(time.Millisecond), t.Within.Round(time.Millisecond))}}
}

// forgetLost takes regions out that were restored from a state before they had the key.
func (w *regions) forgetLost(s *session, k *regionsKey) {
	k.in = slices.DeleteFunc(k.in, func(r int) bool {
		if !s.t.restored(s.t.Regions[r].Name) {
			return false
		}
		op := s.insist(func() history.Op { return w.describe(s, s.t.everywhere(r)[0], k, nil) })
		return op.Error == "NotFoundException"
	})
}

// orphan tells whether the primary of a key, as a region shows it, was lost: what it had begun is not ended.
func (k *regionsKey) orphan(t *Target, shared string) bool {
	return len(k.in) > 0 && !slices.ContainsFunc(k.in, func(r int) bool { return strings.HasPrefix(shared, "primary "+t.Regions[r].Name+",") })
}

// agree tells that the regions which hold the key say the same of it, and that neither the primary nor the material is on its way.
func (w *regions) agree(s *session, k *regionsKey) bool {
	shared := make(map[string]bool)
	for _, r := range k.in {
		d := s.t.everywhere(r)[0]
		rotation := s.read(d, "GetKeyRotationStatus", k.id, nil, func(ctx context.Context, out map[string]string) error {
			o, err := s.kms(d).GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &k.id})
			if err == nil && o.OnDemandRotationStartDate != nil {
				out["rotating"] = o.OnDemandRotationStartDate.UTC().Format(time.RFC3339)
			}
			return err
		})
		op := w.describe(s, d, k, nil)
		if op.Outcome != history.OK || rotation.Outcome != history.OK || rotation.Out["rotating"] != "" && !k.orphan(s.t, op.Out["shared"]) || op.Out["state"] != string(types.KeyStateEnabled) {
			return false
		}
		shared[op.Out["shared"]] = true
	}
	return len(shared) <= 1
}
