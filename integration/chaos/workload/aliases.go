package workload

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// aliases makes, moves and deletes alias names that several clients want at once, and uses them.
type aliases struct {
	names  slots[string]
	keys   []string
	number atomic.Int64
	begun  notebook
}

// Aliases is W3: an alias has one target at a time, and of several that make it at once one succeeds.
func Aliases() Workload {
	return &aliases{names: slots[string]{maxUses: 400, maxUnknown: 5}}
}

func (w *aliases) Name() string { return check.AliasesName }

func (w *aliases) newName() string { return fmt.Sprint("alias/chaos-", w.number.Add(1)) }

func (w *aliases) Setup(_ context.Context, t *Target) error {
	s := t.setup(w.Name(), &w.begun)
	for range 4 {
		op := s.createKey(s.here(), &kms.CreateKeyInput{})
		if op.Outcome != history.OK {
			return fmt.Errorf("%s: no key could be made: %s", w.Name(), op.Error)
		}
		w.keys = append(w.keys, op.Key)
	}
	for range 4 {
		w.names.add(w.newName())
	}
	return nil
}

func (w *aliases) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for ctx.Err() == nil {
		x := w.names.pick(rng)
		op := w.step(s, s.here(), x.v, w.keys[rng.Intn(len(w.keys))])
		ops := []history.Op{op}
		if op.Kind == "DeleteAlias" && op.Outcome == history.OK && rng.Intn(2) == 0 {
			nodes := t.everywhere(0)
			ops = append(ops, s.together(len(w.keys), func(i int, s *session) { w.create(s, nodes[i%len(nodes)], x.v, w.keys[i]) })...)
		}
		if w.names.spent(x, ops...) {
			w.delete(s, s.here(), x.v) // names that stay would fill the quota of their key
			w.names.replace(x, w.newName(), true)
		}
		s.pause(ctx, op)
	}
}

func (w *aliases) step(s *session, d door, name, target string) history.Op {
	c := s.kms(d)
	switch weighted(s.rng, 20, 14, 14, 25, 12, 6) {
	case 0:
		return w.create(s, d, name, target)
	case 1:
		return s.write(d, "UpdateAlias", name, map[string]string{"target": target}, func(ctx context.Context, _ map[string]string) error {
			_, err := c.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: &target})
			return err
		})
	case 2:
		return w.delete(s, d, name)
	case 3:
		return w.describe(s, d, name)
	case 4:
		return s.read(d, "Encrypt", name, nil, func(ctx context.Context, out map[string]string) error {
			o, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: &name, Plaintext: message})
			if err == nil {
				out["target"] = keyOf(aws.ToString(o.KeyId))
			}
			return err
		})
	}
	return s.read(d, "ListAliases", name, map[string]string{"target": target}, func(ctx context.Context, out map[string]string) error {
		o, err := c.ListAliases(ctx, &kms.ListAliasesInput{KeyId: &target, Limit: aws.Int32(100)})
		if err != nil {
			return err
		}
		if o.Truncated {
			return fmt.Errorf("more than 100 aliases of key %s", target)
		}
		out["listed"] = "no"
		for _, a := range o.Aliases {
			if aws.ToString(a.AliasName) == name {
				out["listed"] = "yes"
			}
		}
		return nil
	})
}

func (w *aliases) create(s *session, d door, name, target string) history.Op {
	return s.write(d, "CreateAlias", name, map[string]string{"target": target}, func(ctx context.Context, _ map[string]string) error {
		_, err := s.kms(d).CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &target})
		return err
	})
}

func (w *aliases) delete(s *session, d door, name string) history.Op {
	return s.write(d, "DeleteAlias", name, nil, func(ctx context.Context, _ map[string]string) error {
		_, err := s.kms(d).DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &name})
		return err
	})
}

func (w *aliases) describe(s *session, d door, name string) history.Op {
	return s.read(d, "DescribeKey", name, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &name})
		if err == nil {
			out["target"] = *o.KeyMetadata.KeyId
		}
		return err
	})
}

// keyOf is the id in a key ARN.
func keyOf(arn string) string {
	for i := len(arn) - 1; i >= 0; i-- {
		if arn[i] == '/' {
			return arn[i+1:]
		}
	}
	return arn
}

// Check asks every node for the target of every name, and judges.
func (w *aliases) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	var silent sync.Map
	for _, name := range w.names.ever() {
		for _, d := range t.everywhere(0) {
			if op := s.insist(func() history.Op { return w.describe(s, d, name) }); op.Outcome == history.Failed {
				silent.Store(d.Name, op)
			}
		}
	}
	return append(check.Aliases(append(ops, last.ops...)), unserved(w.Name(), &silent)...)
}
