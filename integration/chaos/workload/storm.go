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

// storm makes and removes keys, aliases, grants and tags, and lists them page by page meanwhile.
type storm struct {
	key   string // what aliases, grants and tags are of
	begun notebook

	mu   sync.Mutex
	here map[string][]member // what is there, by set
}

// member is an element of a set: its item in the history and what the service removes it by.
type member struct{ item, id string }

// Storm is W7: an acknowledged creation is there once, and lists miss and repeat nothing that stays.
func Storm() Workload { return &storm{here: make(map[string][]member)} }

func (w *storm) Name() string { return check.StormName }

func (w *storm) Setup(_ context.Context, t *Target) error {
	s := t.setup(w.Name(), &w.begun)
	op := s.createKey(s.here(), &kms.CreateKeyInput{})
	if op.Outcome != history.OK {
		return fmt.Errorf("%s: no key could be made: %s", w.Name(), op.Error)
	}
	w.key = op.Key
	return nil
}

// Sets of the storm.
const (
	keySet   = "keys"
	aliasSet = "aliases"
	grantSet = "grants"
	tagSet   = "tags"
)

// most bounds the members of each set: tags have a quota of 50, the others are kept short for the sake of the walks.
var most = map[string]int{aliasSet: 40, grantSet: 40, tagSet: 30}

const noncePrefix = "storm "

func (w *storm) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("%d-%d", client, n)
		var op history.Op
		switch weighted(rng, 4, 25, 20, 15, 30) {
		case 0:
			op = w.createKey(s, name)
		case 1:
			op = w.change(s, aliasSet, name)
		case 2:
			op = w.change(s, grantSet, name)
		case 3:
			op = w.change(s, tagSet, name)
		case 4:
			op = w.walk(ctx, s)
		}
		s.pause(ctx, op)
	}
}

func (w *storm) createKey(s *session, name string) history.Op {
	d, nonce := s.here(), noncePrefix+name
	return s.write(d, "CreateKey", keySet, map[string]string{"nonce": nonce}, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).CreateKey(ctx, &kms.CreateKeyInput{Description: &nonce})
		if err == nil {
			out["item"] = *o.KeyMetadata.KeyId
		}
		return err
	})
}

// change adds a member to a set or removes one.
func (w *storm) change(s *session, set, name string) history.Op {
	w.mu.Lock()
	if all := w.here[set]; len(all) > 0 && (len(all) >= most[set] || s.rng.Intn(5) < 2) {
		i := s.rng.Intn(len(all))
		m := all[i]
		w.here[set] = slices.Delete(all, i, i+1)
		w.mu.Unlock()
		return w.remove(s, set, m)
	}
	w.mu.Unlock()
	return w.add(s, set, name)
}

func (w *storm) add(s *session, set, name string) history.Op {
	d := s.here()
	c, m := s.kms(d), member{item: name, id: name}
	kind, f := "TagResource", func(ctx context.Context) error {
		_, err := c.TagResource(ctx, &kms.TagResourceInput{KeyId: &w.key, Tags: []types.Tag{{TagKey: &name, TagValue: aws.String("x")}}})
		return err
	}
	switch set {
	case aliasSet:
		m.item = "alias/storm-" + name
		m.id = m.item
		kind, f = "CreateAlias", func(ctx context.Context) error {
			_, err := c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &m.item, TargetKeyId: &w.key})
			return err
		}
	case grantSet:
		kind, f = "CreateGrant", func(ctx context.Context) error {
			o, err := c.CreateGrant(ctx, &kms.CreateGrantInput{
				KeyId: &w.key, Name: &name, GranteePrincipal: aws.String("arn:aws:iam::" + s.t.Account + ":root"), Operations: []types.GrantOperation{types.GrantOperationEncrypt},
			})
			if err == nil {
				m.id = *o.GrantId
			}
			return err
		}
	}
	op := s.write(d, kind, set, map[string]string{"item": m.item}, func(ctx context.Context, _ map[string]string) error { return f(ctx) })
	// What may be there is removed like what is, so that quotas do not fill; a grant without an answer has no id to remove it by.
	if op.Outcome == history.OK || op.Outcome == history.Unknown && set != grantSet {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.here[set] = append(w.here[set], m)
	}
	return op
}

func (w *storm) remove(s *session, set string, m member) history.Op {
	d := s.here()
	c := s.kms(d)
	kind, f := "UntagResource", func(ctx context.Context) error {
		_, err := c.UntagResource(ctx, &kms.UntagResourceInput{KeyId: &w.key, TagKeys: []string{m.id}})
		return err
	}
	switch set {
	case aliasSet:
		kind, f = "DeleteAlias", func(ctx context.Context) error {
			_, err := c.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &m.id})
			return err
		}
	case grantSet:
		kind, f = "RevokeGrant", func(ctx context.Context) error {
			_, err := c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &w.key, GrantId: &m.id})
			return err
		}
	}
	return s.write(d, kind, set, map[string]string{"gone": m.item}, func(ctx context.Context, _ map[string]string) error { return f(ctx) })
}

// everyNode stands for the node of an operation that asked several.
const everyNode = "all"

// walk reads all pages of a set, each from any node, and records what it saw as one operation beside its calls.
func (w *storm) walk(ctx context.Context, s *session) history.Op {
	return w.walkSet(ctx, s, []string{keySet, aliasSet, grantSet, tagSet}[weighted(s.rng, 1, 3, 3, 3)], s.here)
}

// walkSet walks a set; each page is asked of a door that from chooses.
func (w *storm) walkSet(ctx context.Context, s *session, set string, from func() door) history.Op {
	whole := history.Op{
		Workload: s.workload, Client: s.client, Node: everyNode, Region: s.t.Regions[0].Name, Kind: "walk", Key: set,
		In: map[string]string{"walk": "1"}, Out: make(map[string]string), Call: s.t.Clock.Now(),
	}
	limit := int32(3 + s.rng.Intn(20))
	if set == keySet {
		limit = 100 + int32(s.rng.Intn(900))
	}
	var items []string
	var marker *string
	for {
		got, next, op := w.page(s, from(), set, limit, marker)
		if op.Outcome != history.OK || next != nil && ctx.Err() != nil {
			return op // a walk that does not end says nothing
		}
		items = append(items, got...)
		if marker = next; marker == nil {
			break
		}
	}
	whole.Return = s.t.Clock.Now()
	whole.Out["items"] = strings.Join(items, ",")
	s.rec(whole)
	return whole
}

func (w *storm) page(s *session, d door, set string, limit int32, marker *string) (items []string, next *string, op history.Op) {
	c := s.kms(d)
	kind := map[string]string{keySet: "ListKeys", aliasSet: "ListAliases", grantSet: "ListGrants", tagSet: "ListResourceTags"}[set]
	op = s.read(d, kind, set, map[string]string{"aux": "1"}, func(ctx context.Context, _ map[string]string) error {
		items, next = nil, nil
		switch set {
		case keySet:
			o, err := c.ListKeys(ctx, &kms.ListKeysInput{Limit: &limit, Marker: marker})
			if err != nil {
				return err
			}
			for _, k := range o.Keys {
				items = append(items, *k.KeyId)
			}
			next = o.NextMarker
		case aliasSet:
			o, err := c.ListAliases(ctx, &kms.ListAliasesInput{KeyId: &w.key, Limit: &limit, Marker: marker})
			if err != nil {
				return err
			}
			for _, a := range o.Aliases {
				items = append(items, *a.AliasName)
			}
			next = o.NextMarker
		case grantSet:
			o, err := c.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &w.key, Limit: &limit, Marker: marker})
			if err != nil {
				return err
			}
			for _, g := range o.Grants {
				items = append(items, aws.ToString(g.Name))
			}
			next = o.NextMarker
		default:
			o, err := c.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &w.key, Limit: &limit, Marker: marker})
			if err != nil {
				return err
			}
			for _, t := range o.Tags {
				items = append(items, *t.TagKey)
			}
			next = o.NextMarker
		}
		return nil
	})
	return items, next, op
}

// Check walks all sets on every node, reads the keys that nobody was told of, and judges.
func (w *storm) Check(ctx context.Context, t *Target, ops []history.Op) []check.Anomaly {
	if len(t.Regions) == 0 {
		return check.Storm(ops) // a stored history
	}
	var last notebook
	s := t.final(w.Name(), &last)
	for _, d := range t.everywhere(0) {
		for _, set := range []string{keySet, aliasSet, grantSet, tagSet} {
			s.insist(func() history.Op { return w.walkSet(ctx, s, set, func() door { return d }) })
		}
	}
	known := make(map[string]bool) // keys that were acknowledged, to whatever workload
	for i := range ops {
		if op := &ops[i]; op.Kind == "CreateKey" && op.Outcome == history.OK {
			known[op.Key], known[op.Out["item"]] = true, true
		}
	}
	var work []func()
	all, err := w.allKeys(ctx, s)
	for _, id := range all {
		if !known[id] {
			work = append(work, func() { s.insist(func() history.Op { return w.describe(s, s.t.everywhere(0)[0], id) }) })
		}
	}
	parallel(4, work)
	anomalies := check.Storm(append(ops, last.ops...))
	if err != nil {
		anomalies = append(anomalies, check.Anomaly{Workload: w.Name(), Text: fmt.Sprintf("the keys cannot be listed: %v", err)})
	}
	return anomalies
}

func (w *storm) allKeys(ctx context.Context, s *session) (ids []string, err error) {
	d := s.t.everywhere(0)[0]
	for p := kms.NewListKeysPaginator(s.kms(d), &kms.ListKeysInput{Limit: aws.Int32(1000)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		if err != nil {
			return ids, err
		}
		for _, k := range page.Keys {
			ids = append(ids, *k.KeyId)
		}
	}
	return ids, nil
}

func (w *storm) describe(s *session, d door, id string) history.Op {
	return s.read(d, "DescribeKey", id, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
		if err == nil {
			if text := aws.ToString(o.KeyMetadata.Description); strings.HasPrefix(text, noncePrefix) {
				out["nonce"] = text
			}
		}
		return err
	})
}
