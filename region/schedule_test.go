package region

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

func (l *clockLab) scheduleDeletion(id string, days int32) *ScheduleKeyDeletionOutput {
	l.t.Helper()
	out, err := perform(l, "ScheduleKeyDeletion", (*Service).ScheduleKeyDeletion, &ScheduleKeyDeletionInput{KeyID: id, PendingWindowInDays: days})
	return must(l, out, err)
}

// TestDeletionWhenDue: never early, then for good (spec 01 DEL-05, DEL-08).
func TestDeletionWhenDue(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey()
	blob, err := l.encrypt(md.KeyID, "lost with the key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := perform(l, "CreateAlias", (*Service).CreateAlias, &CreateAliasInput{AliasName: "alias/doomed", TargetKeyID: md.KeyID}); err != nil {
		t.Fatal(err)
	}
	before := l.node.State().Account(labAccount).KeyCount
	due := l.scheduleDeletion(md.KeyID, 7).DeletionDate.Value
	l.pass(due.Sub(l.service.Now()) - time.Minute)
	l.runDue()
	if got, err := l.describe(md.KeyID); err != nil || got.KeyState != shape.KeyStatePendingDeletion {
		t.Fatalf("a minute before: %v, %v", got, err)
	}
	l.pass(time.Minute + time.Millisecond)
	l.runDue()
	gone := "NotFoundException: Key '" + md.Arn + "' does not exist"
	_, err = l.describe(md.KeyID)
	refused(t, err, gone)
	_, err = l.describe("alias/doomed")
	refused(t, err, "NotFoundException: Alias arn:aws:kms:us-east-1:111122223333:alias/doomed is not found.")
	if _, err := l.encrypt(md.KeyID, "x"); err == nil {
		t.Error("a deleted key encrypts")
	}
	st := l.node.State()
	if st.Key(labAccount, md.KeyID) != nil || st.Account(labAccount).KeyCount != before-1 || l.happened("DeleteKey") != 1 {
		t.Errorf("row %v, %d keys, %d events", st.Key(labAccount, md.KeyID), st.Account(labAccount).KeyCount, l.happened("DeleteKey"))
	}
	if n := l.service.CachedKeys(); n != 0 {
		t.Errorf("%d keys are still loaded in the HSM", n)
	}
	// The ciphertext names a key that is not there, and is told nothing about it: the edge denies a target without a key.
	c := &Call{State: st, Caller: &Caller{Account: labAccount}}
	r := l.service.NewResolver(c, "Decrypt", true, true)
	in := &DecryptInput{CiphertextBlob: blob, EncryptionAlgorithm: shape.EncryptionAlgorithmSymmetricDefault}
	if err := in.Resolve(&r); err != nil || len(c.Targets) != 1 || c.Targets[0].Key != nil || !c.Targets[0].FromCiphertext {
		t.Errorf("targets %+v, %v", c.Targets, err)
	}
	l.runDue() // nothing is left to do
	if l.happened("DeleteKey") != 1 {
		t.Error("deleted twice")
	}
}

// TestDeletionOfAnotherDate: a deletion that was cancelled and scheduled anew is not carried out at the old date.
func TestDeletionOfAnotherDate(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey()
	l.scheduleDeletion(md.KeyID, 7)
	old := *l.node.State().Key(labAccount, md.KeyID)
	out, err := perform(l, "CancelKeyDeletion", (*Service).CancelKeyDeletion, &KeyInput{KeyID: md.KeyID})
	must(l, out, err)
	l.scheduleDeletion(md.KeyID, 30)
	l.pass(8 * day)
	if err := l.service.deleteKey(t.Context(), &old, l.service.Now()); err != nil { // as a pass that began before would
		t.Fatal(err)
	}
	l.runDue()
	if got, err := l.describe(md.KeyID); err != nil || got.KeyState != shape.KeyStatePendingDeletion {
		t.Errorf("deleted at the old date: %v, %v", got, err)
	}
	l.pass(23 * day)
	l.runDue()
	if _, err := l.describe(md.KeyID); err == nil {
		t.Error("not deleted at the new date")
	}
}

// TestDeletionsInBatches: a pass is bounded, and passes finish the work.
func TestDeletionsInBatches(t *testing.T) {
	l := newClockLab(t)
	const n = scheduleBatch + 20
	st := l.node.State()
	for i := range n { // past the API: many keys without material
		id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
		for _, body := range []fsm.Body{
			&fsm.CreateKey{Key: fsm.Key{
				Account: labAccount, ID: id, Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "EXTERNAL", Manager: "CUSTOMER",
				CreatedAt: l.service.Now().UnixMilli(), Enabled: true, Policy: DefaultKeyPolicy("aws", labAccount), Current: -1,
			}},
			&fsm.ScheduleDeletion{Key: fsm.KeyRef{Account: labAccount, ID: id}, DeletionAt: l.service.Now().Add(7 * day).UnixMilli(), WindowDays: 7},
		} {
			if res, err := l.node.Propose(t.Context(), fsm.Command{Attempt: 1, Body: body}); err != nil || res.Code != fsm.OK {
				t.Fatalf("%+v, %v", res, err)
			}
		}
	}
	l.pass(8 * day)
	l.runDue()
	if left := l.node.State().Account(labAccount).KeyCount; left != n-scheduleBatch {
		t.Errorf("%d keys are left after one pass", left)
	}
	l.runDue()
	if left := l.node.State().Account(labAccount).KeyCount; left != 0 {
		t.Errorf("%d keys are left after two passes", left)
	}
	if st.Account(labAccount).KeyCount != 0 {
		t.Error("an old state changed")
	}
}

// TestExpiry: material is refused from its expiry on, removed by the scheduler, and comes back by an import of the same.
func TestExpiry(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey(external)
	material := make([]byte, 32)
	_, _ = rand.Read(material)
	p := l.parameters(md.KeyID)
	if err := l.importMaterial(md.KeyID, p, material, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	blob, err := l.encrypt(md.KeyID, "kept")
	if err != nil {
		t.Fatal(err)
	}
	validTo := mustDescribe(l, md.KeyID).ValidTo.Value
	l.pass(2*time.Hour - time.Minute)
	l.runDue()
	if got, err := l.decrypt(blob); err != nil || got != "kept" {
		t.Errorf("a minute before: %q, %v", got, err)
	}
	l.pass(time.Minute + time.Millisecond)
	pending := "KMSInvalidStateException: " + md.Arn + " is pending import."
	_, err = l.decrypt(blob) // before the scheduler has seen it: a late scheduler extends no life
	refused(t, err, pending)
	if got := mustDescribe(l, md.KeyID); got.KeyState != shape.KeyStatePendingImport || !got.ValidTo.Value.Equal(validTo) {
		t.Errorf("expired, not removed: %s", asJSON(got))
	}
	l.runDue()
	l.runDue()
	row := l.node.State().Key(labAccount, md.KeyID)
	if row.Materials[0].Present() || l.happened("DeleteExpiredKeyMaterial") != 1 || l.service.CachedKeys() != 0 {
		t.Errorf("present %v, %d events, %d keys loaded", row.Materials[0].Present(), l.happened("DeleteExpiredKeyMaterial"), l.service.CachedKeys())
	}
	got := mustDescribe(l, md.KeyID)
	if got.KeyState != shape.KeyStatePendingImport || got.ExpirationModel.Value != shape.ExpirationModelKeyMaterialExpires || !got.ValidTo.Value.Equal(validTo) {
		t.Errorf("removed: %s", asJSON(got))
	}
	_, err = l.decrypt(blob)
	refused(t, err, pending)
	if err := l.importMaterial(md.KeyID, p, material, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := l.decrypt(blob); err != nil || got != "kept" {
		t.Errorf("imported again: %q, %v", got, err)
	}
	if got := mustDescribe(l, md.KeyID); got.ValidTo.Set || got.ExpirationModel.Value != shape.ExpirationModelKeyMaterialDoesNotExpire {
		t.Errorf("imported again: %s", asJSON(got))
	}
}

func mustDescribe(l *clockLab, id string) *KeyMetadata {
	l.t.Helper()
	md, err := l.describe(id)
	return must(l, md, err)
}

// TestExpiryOfAnotherDate: an import that moved the expiry is not overtaken by a pass that saw the old one.
func TestExpiryOfAnotherDate(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey(external)
	material := make([]byte, 32)
	p := l.parameters(md.KeyID)
	if err := l.importMaterial(md.KeyID, p, material, time.Hour); err != nil {
		t.Fatal(err)
	}
	old := *l.node.State().Key(labAccount, md.KeyID)
	if err := l.importMaterial(md.KeyID, p, material, 100*time.Hour); err != nil {
		t.Fatal(err)
	}
	l.pass(2 * time.Hour)
	if err := l.service.expireMaterial(t.Context(), &old, &old.Materials[0], l.service.Now()); err != nil {
		t.Fatal(err)
	}
	if got := mustDescribe(l, md.KeyID); got.KeyState != shape.KeyStateEnabled {
		t.Errorf("state %s", got.KeyState)
	}
}

// TestImportTokenLife: 24 hours by region time, to the millisecond.
func TestImportTokenLife(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey(external)
	p := l.parameters(md.KeyID)
	material := make([]byte, 32)
	l.pass(importLife - time.Minute)
	if err := l.importMaterial(md.KeyID, p, material, 0); err != nil {
		t.Errorf("a minute before its end: %v", err)
	}
	l.pass(time.Minute)
	refused(t, l.importMaterial(md.KeyID, p, material, 0), "ExpiredImportTokenException")
	if err := l.importMaterial(md.KeyID, l.parameters(md.KeyID), material, 0); err != nil {
		t.Errorf("with a new set: %v", err)
	}
}

// TestAutomaticRotation: at the date, once, whatever was missed, and never while the key cannot be used (spec 02 ROT-23 to ROT-31).
func TestAutomaticRotation(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey()
	blob, err := l.encrypt(md.KeyID, "under the first material")
	if err != nil {
		t.Fatal(err)
	}
	enable := func(days int32) {
		t.Helper()
		out, err := perform(l, "EnableKeyRotation", (*Service).EnableKeyRotation, &EnableKeyRotationInput{KeyID: md.KeyID, RotationPeriodInDays: shape.Some(days)})
		must(l, out, err)
	}
	next := func() time.Time {
		t.Helper()
		out, err := perform(l, "GetKeyRotationStatus", (*Service).GetKeyRotationStatus, &KeyInput{KeyID: md.KeyID})
		return must(l, out, err).NextRotationDate.Value
	}
	rotations := func() []RotationsListEntry {
		t.Helper()
		out, err := perform(l, "ListKeyRotations", (*Service).ListKeyRotations, &ListKeyRotationsInput{KeyID: md.KeyID})
		return must(l, out, err).Rotations
	}
	enable(90)
	first := next()
	l.pass(90*day - time.Minute)
	l.runDue()
	if n := len(rotations()); n != 0 {
		t.Fatalf("%d rotations a minute before", n)
	}
	l.pass(time.Minute + time.Millisecond)
	l.runDue()
	l.runDue()
	if got := rotations(); len(got) != 1 || got[0].RotationType.Value != shape.RotationAutomatic || got[0].KeyMaterialID != mustDescribe(l, md.KeyID).CurrentKeyMaterialID.Value {
		t.Fatalf("at the date: %s", asJSON(got))
	}
	if got := next(); !got.Equal(first.Add(90 * day)) {
		t.Errorf("next at %v, want %v", got, first.Add(90*day))
	}
	if got, err := l.decrypt(blob); err != nil || got != "under the first material" {
		t.Errorf("an old ciphertext: %q, %v", got, err)
	}
	// Disabled: nothing happens, and one rotation makes up for all dates that were missed.
	setEnabled := func(do func(*Service, context.Context, *Call, *KeyInput) (*None, error), op string) {
		t.Helper()
		out, err := perform(l, op, do, &KeyInput{KeyID: md.KeyID})
		must(l, out, err)
	}
	setEnabled((*Service).DisableKey, "DisableKey")
	l.pass(400 * day)
	l.runDue()
	if n := len(rotations()); n != 1 {
		t.Errorf("%d rotations of a disabled key", n)
	}
	setEnabled((*Service).EnableKey, "EnableKey")
	l.runDue()
	l.runDue()
	if n := len(rotations()); n != 2 {
		t.Errorf("%d rotations after the key was enabled again", n)
	}
	if got, want := next(), l.service.Now().Add(90*day); got.Sub(want).Abs() > time.Minute {
		t.Errorf("next at %v, want about %v", got, want)
	}
	// Pending deletion: the same.
	l.scheduleDeletion(md.KeyID, 30)
	l.pass(10 * day)
	l.runDue()
	if n := len(rotations()); n != 2 {
		t.Errorf("%d rotations while pending deletion", n)
	}
}

// TestRotationGuard: an on-demand rotation is refused shortly before an automatic one (spec 02 ROT-46).
func TestRotationGuard(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey()
	out, err := perform(l, "EnableKeyRotation", (*Service).EnableKeyRotation, &EnableKeyRotationInput{KeyID: md.KeyID, RotationPeriodInDays: shape.Some(int32(90))})
	must(l, out, err)
	rotate := func() error {
		_, err := perform(l, "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: md.KeyID})
		return err
	}
	l.pass(90*day - 21*time.Minute)
	if err := rotate(); err != nil {
		t.Errorf("21 minutes before: %v", err)
	}
	l.pass(2 * time.Minute)
	refused(t, rotate(), "ConflictException: An automatic rotation of "+md.Arn+" is due within 20 minutes.")
	l.pass(time.Hour)
	l.runDue()
	if err := rotate(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestClockJump: a clock that steps over a waiting period destroys nothing for a day, and a region that was only idle has no such
// step.
func TestClockJump(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey()
	l.scheduleDeletion(md.KeyID, 7)
	l.jump(8 * day)
	l.runDue()
	l.runDue()
	if l.node.State().Key(labAccount, md.KeyID) == nil {
		t.Fatal("the key was deleted right after the jump")
	}
	l.pass(day + time.Second)
	l.runDue()
	if l.node.State().Key(labAccount, md.KeyID) != nil {
		t.Error("the key was not deleted a day after the jump")
	}
}

// TestScheduleEnds: the scheduler's loop ends with its context.
func TestScheduleEnds(t *testing.T) {
	l := newClockLab(t)
	md := l.createKey()
	l.scheduleDeletion(md.KeyID, 7)
	l.pass(8 * day)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		l.service.Schedule(ctx)
		close(done)
	}()
	deadline, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	for l.node.State().Key(labAccount, md.KeyID) != nil { // its first pass is at once
		if _, err := l.node.Wait(deadline, l.node.State().Index()+1); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-done
}

// TestNothingIsDestroyedAfterAJump: a clock that was set forward by more than a day destroys nothing for a day, while what has expired
// is refused at once (design: time).
func TestNothingIsDestroyedAfterAJump(t *testing.T) {
	l := newClockLab(t)
	doomed, expiring := l.createKey(), l.createKey(external)
	material := make([]byte, 32)
	if err := l.importMaterial(expiring.KeyID, l.parameters(expiring.KeyID), material, 2*day); err != nil {
		t.Fatal(err)
	}
	l.scheduleDeletion(doomed.KeyID, 7)
	l.jump(8 * day)
	l.runDue()
	l.runDue()
	if got, err := l.describe(doomed.KeyID); err != nil || got.KeyState != shape.KeyStatePendingDeletion {
		t.Errorf("deleted after a jump: %v, %v", got, err)
	}
	_, err := l.encrypt(expiring.KeyID, "x")
	refused(t, err, "KMSInvalidStateException: "+expiring.Arn+" is pending import.")
	if !l.node.State().Key(labAccount, expiring.KeyID).Materials[0].Present() {
		t.Error("expired material was removed after a jump")
	}
	l.pass(25 * time.Hour)
	l.runDue()
	if _, err := l.describe(doomed.KeyID); err == nil {
		t.Error("not deleted a day later")
	}
	if l.node.State().Key(labAccount, expiring.KeyID).Materials[0].Present() {
		t.Error("expired material was not removed a day later")
	}
}
