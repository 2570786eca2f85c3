package fsm

import (
	"cmp"
	"errors"
	"slices"
)

func (c *TagKey) check() error {
	if len(c.Tags) == 0 {
		return errors.New("no tags")
	}
	return errors.Join(c.Key.check(), checkTags(c.Tags))
}

// applyTagKey replaces the values of tag keys that exist and adds the others (spec 01 TAG-05), all or none.
func applyTagKey(t *tx, c *TagKey) outcome {
	k, out := t.notPending(&c.Key)
	if !out.ok() {
		return out
	}
	k.Tags = slices.Clone(k.Tags)
	for _, tag := range c.Tags {
		if i, found := slices.BinarySearchFunc(k.Tags, tag.Key, compareTag); found {
			k.Tags[i].Value = tag.Value
		} else {
			tag.Key = t.d.interner.string(tag.Key)
			k.Tags = slices.Insert(k.Tags, i, tag)
		}
	}
	if len(k.Tags) > t.d.quotas.TagsPerKey {
		return stale("tags are over the quota")
	}
	k.TagsVersion = t.index
	t.putKey(k)
	return done()
}

func compareTag(tag Tag, key string) int { return cmp.Compare(tag.Key, key) }

func (c *UntagKey) check() error {
	if len(c.Keys) == 0 {
		return errors.New("no tag keys")
	}
	if err := checkLength("number of tag keys", len(c.Keys), maxTags); err != nil {
		return err
	}
	for _, key := range c.Keys {
		if len(key) > maxTagKey {
			return errors.New("tag key too long")
		}
	}
	return c.Key.check()
}

func applyUntagKey(t *tx, c *UntagKey) outcome {
	k, out := t.notPending(&c.Key)
	if !out.ok() {
		return out
	}
	k.Tags = slices.DeleteFunc(slices.Clone(k.Tags), func(tag Tag) bool { return slices.Contains(c.Keys, tag.Key) })
	k.TagsVersion = t.index
	t.putKey(k)
	return done()
}
