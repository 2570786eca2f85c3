package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// key is a loaded key. It remembers its wrapped material, so that it loads itself again after the token was lost.
type key struct {
	m   *Module
	mat hsm.Material

	mu      sync.Mutex // guards what follows; held while the key is being loaded
	gen     uint64     // of the handles; 0 if there are none
	handle  pkcs11.ObjectHandle
	public  pkcs11.ObjectHandle // made at the first Verify or Encrypt; 0 before
	pub     *publicKey          // nil for secret keys, and before the first load
	lifeMu  sync.Mutex          // guards what follows
	users   int                 // calls in flight
	gone    bool                // Destroy was called
	settled chan struct{}       // made by Destroy if there are users; closed when the last one has destroyed the objects
}

var _ hsm.Key = (*key)(nil)

// Type is the key's type.
func (k *key) Type() hsm.KeyType { return k.mat.Type }

// use runs f with the key's handle. The key must have been made for u.
func use[T any](ctx context.Context, k *key, u hsm.Usage, f func(*lease, pkcs11.ObjectHandle) (T, error)) (T, error) {
	if k.mat.Usage != u {
		var zero T
		return zero, unsupported("the key is for %v, not for %v", k.mat.Usage, u)
	}
	return do(ctx, k.m, func(l *lease) (v T, err error) {
		if !k.enter() {
			return v, hsm.ErrClosed
		}
		defer k.leave(l)
		h, err := k.load(l)
		if err != nil {
			return v, err
		}
		v, err = f(l, h)
		var code pkcs11.Error
		if errors.As(err, &code) && classify(code) == classHandle {
			k.stale(h)
		}
		return v, err
	})
}

// load returns the key's handle in the lease's generation; it unwraps the key if there is none.
func (k *key) load(l *lease) (pkcs11.ObjectHandle, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gen == l.conn.gen {
		return k.handle, nil
	}
	d, kwp, err := l.open(k.mat)
	if err != nil {
		return 0, err
	}
	f := forms[k.mat.Type]
	if f.kind != kindSecret && k.pub == nil {
		if k.pub, err = parseSPKI(k.mat.Type, k.mat.Public); err != nil {
			return 0, fmt.Errorf("pkcs11: stored public key: %w", err)
		}
	}
	template := f.keyAttrs(false, false, k.m.granted(k.mat.Type, k.mat.Usage)...)
	err = l.anchored(func(anchor pkcs11.SessionHandle) error {
		k.handle, err = l.unwrap(anchor, k.m.keyWrap(), d.wrap, kwp, template)
		return err
	})
	if err != nil {
		return 0, err
	}
	k.gen, k.public = l.conn.gen, 0
	return k.handle, nil
}

// publicHandle returns the public key as an object. The key is loaded.
func (k *key) publicHandle(l *lease) (pkcs11.ObjectHandle, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.public != 0 && k.gen == l.conn.gen {
		return k.public, nil
	}
	template := k.pub.attrs(k.m.ecParams(forms[k.mat.Type]), grantedPublic(k.mat.Usage)...)
	err := l.anchored(func(anchor pkcs11.SessionHandle) (err error) {
		k.public, err = l.create(anchor, template)
		return err
	})
	if err != nil {
		k.public = 0
	}
	return k.public, err
}

// stale forgets handles that the token does not know any more.
func (k *key) stale(h pkcs11.ObjectHandle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.handle == h {
		k.gen = 0
	}
}

// enter counts a call in flight, unless the key is destroyed.
func (k *key) enter() bool {
	k.lifeMu.Lock()
	defer k.lifeMu.Unlock()
	if k.gone {
		return false
	}
	k.users++
	return true
}

// leave ends a call in flight. The last one of a destroyed key destroys the objects.
func (k *key) leave(l *lease) {
	k.lifeMu.Lock()
	k.users--
	last := k.gone && k.users == 0
	settled := k.settled
	k.lifeMu.Unlock()
	if last {
		k.destroyObjects(l)
		close(settled)
	}
}

// Destroy removes the key from the token. It waits for calls in flight, but for hanging ones no longer than calls may
// last; their key is destroyed when they return.
func (k *key) Destroy() {
	k.lifeMu.Lock()
	first, users := !k.gone, k.users
	k.gone = true
	if users > 0 && k.settled == nil {
		k.settled = make(chan struct{})
	}
	settled := k.settled
	k.lifeMu.Unlock()
	if settled != nil {
		k.await(settled)
		return
	}
	if !first || !k.loaded() {
		return
	}
	_, err := do(context.Background(), k.m, func(l *lease) (struct{}, error) {
		k.destroyObjects(l)
		return struct{}{}, nil
	})
	if err != nil && !errors.Is(err, hsm.ErrClosed) {
		k.discard()
	}
}

// retire is Destroy without the waiting.
func (k *key) retire() {
	k.lifeMu.Lock()
	k.gone = true
	if k.users > 0 && k.settled == nil {
		k.settled = make(chan struct{})
	}
	users := k.users
	k.lifeMu.Unlock()
	if users == 0 {
		k.discard()
	}
}

// loaded reports whether there is anything to destroy.
func (k *key) loaded() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gen != 0
}

func (k *key) await(settled chan struct{}) {
	timer := time.NewTimer(k.m.cfg.CallTimeout)
	defer timer.Stop()
	select {
	case <-settled:
	case <-timer.C:
	}
}

// destroyObjects destroys the key's objects, unless they went with their generation.
func (k *key) destroyObjects(l *lease) {
	for _, o := range k.release(l.conn) {
		if err := l.destroy(o); err != nil {
			l.conn.discard(o)
		}
	}
}

// discard leaves the key's objects to a later call, when the token has no time for them now.
func (k *key) discard() {
	if c := k.m.conn.Load(); c != nil {
		for _, o := range k.release(c) {
			c.discard(o)
		}
	}
}

// release takes the handles out of the key, if they are of this connection.
func (k *key) release(c *conn) (objects []pkcs11.ObjectHandle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gen != c.gen {
		return nil
	}
	objects = append(objects, k.handle)
	if k.public != 0 {
		objects = append(objects, k.public)
	}
	k.gen = 0
	return objects
}
