package sigv4_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/trentkms/trent/api/sigv4"
)

func scopeOf(id, date string) sigv4.Scope {
	return sigv4.Scope{AccessKeyID: id, Date: date, Region: region, Service: "kms"}
}

// TestCacheServesOneVersion: a changed row misses, and the old key is gone for those who hold the new row.
func TestCacheServesOneVersion(t *testing.T) {
	cache := sigv4.NewKeyCache[int](100)
	asked := 0
	get := func(s sigv4.Scope, version int) *sigv4.SigningKey {
		t.Helper()
		key, err := cache.Get(s, version, func() ([]byte, error) { asked++; return fmt.Appendf(nil, "secret-%08d", version), nil })
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	first := get(scopeOf("a", "20260203"), 1)
	if get(scopeOf("a", "20260203"), 1) != first || asked != 1 {
		t.Error("a hit asked for the secret")
	}
	second := get(scopeOf("a", "20260203"), 2)
	if second == first || asked != 2 {
		t.Error("a new version was served the key of the old one")
	}
	if get(scopeOf("a", "20260203"), 1) == second || asked != 3 {
		t.Error("an old version was served the key of the new one")
	}
	for i, s := range []sigv4.Scope{
		scopeOf("a", "20260204"), scopeOf("b", "20260203"),
		{AccessKeyID: "a", Date: "20260203", Region: "x", Service: "kms"}, {AccessKeyID: "a", Date: "20260203", Region: region, Service: "iam"},
	} {
		if get(s, 1); asked != 4+i {
			t.Errorf("%+v was served another scope's key", s)
		}
	}
	cache.Forget("a")
	if cache.Len() != 1 {
		t.Errorf("%d entries after Forget, want that of b", cache.Len())
	}
}

func TestCacheErrors(t *testing.T) {
	cache := sigv4.NewKeyCache[int](1)
	gone := errors.New("gone")
	if _, err := cache.Get(scopeOf("a", "20260203"), 1, func() ([]byte, error) { return nil, gone }); err != gone {
		t.Errorf("got %v", err)
	}
	if _, err := cache.Get(scopeOf("a", "20260203"), 1, func() ([]byte, error) { return []byte("012345678"), nil }); !errors.Is(err, sigv4.ErrShortSecret) {
		t.Errorf("got %v", err)
	}
	if cache.Len() != 0 {
		t.Error("an error was cached")
	}
}

// TestCacheIsBounded: whatever comes, and yesterday's keys go first.
func TestCacheIsBounded(t *testing.T) {
	cache := sigv4.NewKeyCache[int](64)
	secret := func() ([]byte, error) { return []byte("0123456789"), nil }
	for i := range 1000 {
		if _, err := cache.Get(scopeOf(fmt.Sprint(i), "20260203"), 1, secret); err != nil {
			t.Fatal(err)
		}
	}
	if n := cache.Len(); n > 64 || n < 32 {
		t.Errorf("%d entries, want at most 64 and not much less", n)
	}
	for i := range 1000 {
		if _, err := cache.Get(scopeOf(fmt.Sprint(i), "20260204"), 1, secret); err != nil {
			t.Fatal(err)
		}
	}
	if n := cache.Len(); n > 64 {
		t.Errorf("%d entries", n)
	}
}

// TestCacheConcurrently: readers, writers and Forget at once; the race detector watches.
func TestCacheConcurrently(t *testing.T) {
	cache := sigv4.NewKeyCache[int](32)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				id := fmt.Sprint(i % 40)
				if _, err := cache.Get(scopeOf(id, "20260203"), i%3, func() ([]byte, error) { return []byte("0123456789"), nil }); err != nil {
					t.Error(err)
				}
				if i%50 == g {
					cache.Forget(id)
				}
			}
		})
	}
	wg.Wait()
}

func TestSigningKeyIsNotShown(t *testing.T) {
	key, err := sigv4.DeriveKey([]byte(secretKey), scopeOf("a", "20260203"))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, key); got != "[signing key]" {
			t.Errorf("%s: %s", verb, got)
		}
	}
	if _, err := sigv4.DeriveKey([]byte("012345678"), scopeOf("a", "20260203")); !errors.Is(err, sigv4.ErrShortSecret) {
		t.Errorf("got %v", err)
	}
}
