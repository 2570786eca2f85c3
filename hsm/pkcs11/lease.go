package pkcs11

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// lease is the right to call the token with one session: what the functions given to do work with. It is used by one
// goroutine.
type lease struct {
	m       *Module
	ck      cryptoki
	conn    *conn
	session pkcs11.SessionHandle
	// spoiled says that the session is to be closed: a call on it failed, so that an operation may be left open in it.
	spoiled bool
	// renewed counts the sessions that were exchanged for another.
	renewed int
}

// refresh exchanges a spoiled session for another one. Its objects are gone.
func (l *lease) refresh() error {
	if !l.spoiled {
		return nil
	}
	s, err := l.m.takeSession(l.conn)
	if err != nil {
		return err
	}
	l.m.returnSession(l.conn, l.session, true)
	l.session, l.spoiled = s, false
	l.renewed++
	return nil
}

// spoil notes that err came out of a call on the session, and names the call.
func (l *lease) spoil(call string, err error) error {
	if err == nil {
		return nil
	}
	l.spoiled = true
	return failed(call, err)
}

// sign is C_SignInit and C_Sign: signatures, and MACs.
func (l *lease) sign(m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, in []byte) ([]byte, error) {
	if err := l.ck.SignInit(l.session, m, key); err != nil {
		return nil, l.spoil("C_SignInit", err)
	}
	out, err := l.ck.Sign(l.session, in)
	return out, l.spoil("C_Sign", err)
}

// verify is C_VerifyInit and C_Verify. A wrong signature is false; it ends the operation like a right one.
func (l *lease) verify(m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, in, sig []byte) (bool, error) {
	if err := l.ck.VerifyInit(l.session, m, key); err != nil {
		return false, l.spoil("C_VerifyInit", err)
	}
	err := l.ck.Verify(l.session, in, sig)
	if isCode(err, pkcs11.CKR_SIGNATURE_INVALID, pkcs11.CKR_SIGNATURE_LEN_RANGE) {
		return false, nil
	}
	return err == nil, l.spoil("C_Verify", err)
}

func (l *lease) encrypt(m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, in []byte) ([]byte, error) {
	if err := l.ck.EncryptInit(l.session, m, key); err != nil {
		return nil, l.spoil("C_EncryptInit", err)
	}
	out, err := l.ck.Encrypt(l.session, in)
	return out, l.spoil("C_Encrypt", err)
}

func (l *lease) decrypt(m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, in []byte) ([]byte, error) {
	if err := l.ck.DecryptInit(l.session, m, key); err != nil {
		return nil, l.spoil("C_DecryptInit", err)
	}
	out, err := l.ck.Decrypt(l.session, in)
	return out, l.spoil("C_Decrypt", err)
}

func (l *lease) wrap(m []*pkcs11.Mechanism, wrapping, key pkcs11.ObjectHandle) ([]byte, error) {
	out, err := l.ck.WrapKey(l.session, m, wrapping, key)
	return out, l.spoil("C_WrapKey", err)
}

// attribute returns one attribute's value, which is empty if the object does not tell.
func (l *lease) attribute(o pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	got, err := l.ck.GetAttributeValue(l.session, o, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if isCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_SENSITIVE) {
		return nil, nil
	}
	if err != nil {
		return nil, l.spoil("C_GetAttributeValue", err)
	}
	return got[0].Value, nil
}

const maxFind = 16

// find returns up to maxFind objects that match the template. Nothing found is only believed of a token that is there.
func (l *lease) find(template attrs) (found []pkcs11.ObjectHandle, err error) {
	err = l.m.lib.exclusively(func() error {
		found, err = l.search(template, maxFind)
		return err
	})
	if err == nil && len(found) == 0 {
		err = l.conn.answers(l.ck)
	}
	return found, l.spoil("C_FindObjects", err)
}

// search must end what it began even if it fails: an open search blocks the session.
func (l *lease) search(template attrs, most int) ([]pkcs11.ObjectHandle, error) {
	if err := l.ck.FindObjectsInit(l.session, template); err != nil {
		return nil, err
	}
	found, _, err := l.ck.FindObjects(l.session, most)
	return found, errors.Join(err, l.ck.FindObjectsFinal(l.session))
}

// scratch collects objects that live for one call, in the lease's own session, so that closing the session is the last
// resort for what cannot be destroyed.
type scratch struct {
	l       *lease
	objects []scratchObject
}

// scratchObject is an object of the session that the lease had at the time.
type scratchObject struct {
	handle  pkcs11.ObjectHandle
	renewed int
}

func (l *lease) scratch() *scratch { return &scratch{l: l} }

// keep has the object destroyed with the others.
func (s *scratch) keep(o pkcs11.ObjectHandle) {
	s.objects = append(s.objects, scratchObject{o, s.l.renewed})
}

// drop destroys the objects, but for those that went with their session: tokens may have given their handles to others.
func (s *scratch) drop() {
	for _, o := range s.objects {
		if o.renewed != s.l.renewed {
			continue
		}
		if err := s.l.destroy(o.handle); err != nil {
			s.l.spoiled = true
		}
	}
	s.objects = nil
}

// destroy removes an object of any kind. One that is gone already counts as removed.
func (l *lease) destroy(o pkcs11.ObjectHandle) error {
	err := l.m.lib.exclusively(func() error { return l.ck.DestroyObject(l.session, o) })
	if isCode(err, pkcs11.CKR_OBJECT_HANDLE_INVALID) {
		return nil
	}
	return l.spoil("C_DestroyObject", err)
}

// discard destroys an object of the anchor session in some later call.
func (c *conn) discard(o pkcs11.ObjectHandle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trash = append(c.trash, o)
}

// sweep destroys a few of the objects that could not be destroyed in their time.
func (l *lease) sweep() {
	const few = 4
	l.conn.mu.Lock()
	n := min(len(l.conn.trash), few)
	some := l.conn.trash[:n:n]
	l.conn.trash = l.conn.trash[n:]
	l.conn.mu.Unlock()
	for _, o := range some {
		if err := l.destroy(o); err != nil {
			l.m.log.Debug("pkcs11: an object stays until the session ends", "cause", err)
		}
	}
}

// create, generate, generatePair, unwrap and derive make objects in session s.

func (l *lease) create(s pkcs11.SessionHandle, template attrs) (o pkcs11.ObjectHandle, err error) {
	err = l.m.lib.exclusively(func() error {
		o, err = l.ck.CreateObject(s, template)
		return err
	})
	return o, l.made(s, "C_CreateObject", err)
}

func (l *lease) generate(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, template attrs) (o pkcs11.ObjectHandle, err error) {
	err = l.m.lib.exclusively(func() error {
		o, err = l.ck.GenerateKey(s, m, template)
		return err
	})
	return o, l.made(s, "C_GenerateKey", err)
}

func (l *lease) generatePair(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, public, private attrs) (pub, priv pkcs11.ObjectHandle, err error) {
	err = l.m.lib.exclusively(func() error {
		pub, priv, err = l.ck.GenerateKeyPair(s, m, public, private)
		return err
	})
	return pub, priv, l.made(s, "C_GenerateKeyPair", err)
}

func (l *lease) unwrap(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, wrapped []byte, template attrs) (o pkcs11.ObjectHandle, err error) {
	if len(wrapped) == 0 {
		return 0, fmt.Errorf("C_UnwrapKey: %w", pkcs11.Error(pkcs11.CKR_WRAPPED_KEY_LEN_RANGE))
	}
	err = l.m.lib.exclusively(func() error {
		o, err = l.ck.UnwrapKey(s, m, key, wrapped, template)
		return err
	})
	return o, l.made(s, "C_UnwrapKey", err)
}

func (l *lease) derive(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, template attrs) (o pkcs11.ObjectHandle, err error) {
	err = l.m.lib.exclusively(func() error {
		o, err = l.ck.DeriveKey(s, m, key, template)
		return err
	})
	return o, l.made(s, "C_DeriveKey", err)
}

// made spoils the lease's own session, but not the anchor, where these calls leave no operation open.
func (l *lease) made(s pkcs11.SessionHandle, call string, err error) error {
	if s == l.session {
		return l.spoil(call, err)
	}
	return failed(call, err)
}

// anchored runs f with the anchor session, whose objects outlive the lease.
func (l *lease) anchored(f func(anchor pkcs11.SessionHandle) error) error {
	l.conn.anchorMu.Lock()
	defer l.conn.anchorMu.Unlock()
	return f(l.conn.anchor)
}
