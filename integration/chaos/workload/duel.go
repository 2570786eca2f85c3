package workload

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/history"
)

// change is a write of a principal: it sets the tag of its name. Grants do not give that right.
func (w *rights) change(s *session, d door, k *sharedKey, p *person, value string) history.Op {
	p.mu.Lock()
	as := p.now
	p.mu.Unlock()
	in := map[string]string{"principal": p.name, "accessKeyId": as.AccessKeyID, "value": value}
	return s.write(d, "TagResource", k.id, in, func(ctx context.Context, _ map[string]string) error {
		_, err := s.t.KMS(d.region, d.URL, as).TagResource(ctx, &kms.TagResourceInput{KeyId: &k.id, Tags: []types.Tag{{TagKey: &p.name, TagValue: &value}}})
		return err
	})
}

// changed reads the tag of a principal's name.
func (w *rights) changed(s *session, d door, k *sharedKey, p *person) history.Op {
	return s.read(d, "ListResourceTags", k.id, map[string]string{"principal": p.name}, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &k.id, Limit: aws.Int32(50)})
		if err != nil {
			return err
		}
		for _, t := range o.Tags {
			if *t.TagKey == p.name {
				out["value"] = *t.TagValue
			}
		}
		return nil
	})
}

// duel has a principal write on all nodes while the right to do so is taken away. A write that was decided before and takes effect
// after, as a reader in between can tell, is forbidden.
func (w *rights) duel(s *session, k *sharedKey, p *person, value string) []history.Op {
	if op := w.setKeyPolicy(s, s.here(), k, map[string]string{p.name: "Allow"}); op.Outcome != history.OK {
		return []history.Op{op}
	}
	nodes := s.t.everywhere(0)
	return s.together(len(nodes)+1, func(i int, s *session) {
		if i == len(nodes) {
			d := s.here()
			w.setKeyPolicy(s, d, k, map[string]string{p.name: "Deny"})
			w.changed(s, d, k, p)
			w.changed(s, d, k, p)
			return
		}
		for n := range 3 {
			w.change(s, nodes[i], k, p, fmt.Sprint(value, "-", i, n))
		}
	})
}
