package workload

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// quotas has clients of all nodes fight for the last places of a quota: the 50 tags of a key.
type quotas struct {
	keys  slots[string]
	begun notebook
}

// Quotas is the workload of quotas: however many ask at once and wherever, none is exceeded, and none refuses before it is used up.
func Quotas() Workload { return &quotas{keys: slots[string]{maxUses: 300, maxUnknown: 4}} }

func (w *quotas) Name() string { return check.QuotasName }

func (w *quotas) Setup(_ context.Context, t *Target) error {
	return w.keys.fill(t.setup(w.Name(), &w.begun), 1, "key", w.newKey)
}

// maxTags is the quota of tags of a key.
const maxTags = 50

const filler = "filler-"

func (w *quotas) newKey(s *session) (string, bool) {
	var tags []types.Tag
	for i := range maxTags - check.QuotaRoom {
		tags = append(tags, types.Tag{TagKey: aws.String(fmt.Sprint(filler, i)), TagValue: aws.String("x")})
	}
	op := s.createKey(s.here(), &kms.CreateKeyInput{Tags: tags})
	return op.Key, op.Outcome == history.OK
}

func (w *quotas) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for ctx.Err() == nil {
		x := w.keys.pick(rng)
		d, key, tag := s.here(), x.v, fmt.Sprint("t", rng.Intn(check.QuotaRoom+3))
		var op history.Op
		switch weighted(rng, 5, 4, 4) {
		case 0:
			op = w.tag(s, d, key, tag)
		case 1:
			op = s.write(d, "UntagResource", key, map[string]string{"tag": tag}, func(ctx context.Context, _ map[string]string) error {
				_, err := s.kms(d).UntagResource(ctx, &kms.UntagResourceInput{KeyId: &key, TagKeys: []string{tag}})
				return err
			})
		case 2:
			op = w.list(s, d, key)
		}
		ops := []history.Op{op}
		if op.Kind == "UntagResource" && op.Outcome == history.OK && rng.Intn(3) == 0 {
			nodes := t.everywhere(0)
			ops = append(ops, s.together(check.QuotaRoom+1, func(i int, s *session) { w.tag(s, nodes[i%len(nodes)], key, fmt.Sprint("t", i)) })...)
		}
		w.keys.turn(s, x, w.newKey, ops...)
		s.pause(ctx, op)
	}
}

func (w *quotas) tag(s *session, d door, key, tag string) history.Op {
	return s.write(d, "TagResource", key, map[string]string{"tag": tag}, func(ctx context.Context, _ map[string]string) error {
		_, err := s.kms(d).TagResource(ctx, &kms.TagResourceInput{KeyId: &key, Tags: []types.Tag{{TagKey: &tag, TagValue: aws.String("x")}}})
		return err
	})
}

func (w *quotas) list(s *session, d door, key string) history.Op {
	return s.read(d, "ListResourceTags", key, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &key, Limit: aws.Int32(50)})
		if err != nil {
			return err
		}
		var tags []string
		for _, t := range o.Tags {
			if !strings.HasPrefix(*t.TagKey, filler) {
				tags = append(tags, *t.TagKey)
			}
		}
		slices.Sort(tags)
		out["tags"] = strings.Join(tags, ",")
		return nil
	})
}

// Check lists the tags of every key on every node, and judges.
func (w *quotas) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	var silent sync.Map
	for _, key := range w.keys.ever() {
		for _, d := range t.everywhere(0) {
			if op := s.insist(func() history.Op { return w.list(s, d, key) }); op.Outcome == history.Failed {
				silent.Store(d.Name, op)
			}
		}
	}
	return append(check.Quotas(append(ops, last.ops...), check.QuotaRoom), unserved(w.Name(), &silent)...)
}
