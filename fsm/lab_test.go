package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/hashicorp/raft"
)

// Names that the tests share.
const (
	account1 = "111122223333"
	account2 = "444455556666"
	now0     = int64(1_700_000_000_000)
	day      = int64(86_400_000)
	policy1  = `{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}`
)

// lab is an FSM with everything it tells the outside, and the log that it was given.
type lab struct {
	t       testing.TB
	fsm     *FSM
	index   uint64
	log     []*raft.Log
	audit   []string // index:record
	events  []Event
	fatal   []error
	sinkErr error
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t}
	f, err := New(Options{
		Sink: func(index uint64, record []byte) error {
			if l.sinkErr != nil {
				return l.sinkErr
			}
			l.audit = append(l.audit, fmt.Sprintf("%d:%s", index, record))
			return nil
		},
		OnEvent: func(e Event) { l.events = append(l.events, e) },
		Fatal:   func(err error) { l.fatal = append(l.fatal, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.fsm = f
	return l
}

// newRegion is a lab whose region is initialized, with two accounts and domain key version 1.
func newRegion(t testing.TB) *lab {
	t.Helper()
	l := newLab(t)
	l.ok(initBody())
	l.ok(&PutAccount{Account{ID: account2, CreatedAt: now0}})
	return l
}

func initBody() *InitRegion {
	return &InitRegion{
		Region:    Region{ClusterID: "cluster-1", Name: "us-east-1", Partition: "aws", CreatedAt: now0},
		Quotas:    DefaultQuotas(),
		Account:   Account{ID: account1, CreatedAt: now0},
		AccessKey: AccessKey{ID: "AKIAROOT", Account: account1, Principal: "root", Domain: 1, Secret: []byte("sealed"), Active: true, CreatedAt: now0},
		DomainKey: DomainKey{Version: 1, ID: "domain-1", CreatedAt: now0, Probe: []byte("probe")},
	}
}

// commandID makes an id of a number.
func commandID(n int) (id CommandID) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	copy(id[:], sum[:])
	return id
}

// command is a command with an id of its own.
func (l *lab) command(body Body) Command {
	n := int(l.index) + 1
	sig := commandID(-n)
	return Command{ID: commandID(n), Attempt: 1, Signature: [16]byte(sig), Time: now0, Body: body, Audit: fmt.Appendf(nil, "record %d", n)}
}

func (l *lab) entry(c Command) *raft.Log {
	l.t.Helper()
	data, err := Encode(c)
	if err != nil {
		l.t.Fatalf("Encode(%T): %v", c.Body, err)
	}
	l.index++
	return &raft.Log{Index: l.index, Type: raft.LogCommand, Data: data}
}

// apply applies an encoded command and returns its result.
func (l *lab) apply(c Command) Result {
	l.t.Helper()
	entry := l.entry(c)
	l.log = append(l.log, entry)
	switch response := l.fsm.Apply(entry).(type) {
	case Result:
		return response
	case error:
		l.t.Fatalf("%T: %v", c.Body, response)
	}
	return Result{}
}

// do applies a body as a command of its own at a time.
func (l *lab) do(body Body, time int64) Result {
	l.t.Helper()
	c := l.command(body)
	c.Time = time
	return l.apply(c)
}

// walk carries region time close to a time without a jump, as a region's own commands do.
func (l *lab) walk(time int64) {
	l.t.Helper()
	for step := int64(holdAfter); l.state().Now() > 0 && l.state().Now()+step < time; {
		if r := l.do(&TermStart{"node-1"}, l.state().Now()+step); r.Code != OK {
			l.t.Fatal(r)
		}
	}
}

// ok applies a body that must take effect, at the state's time.
func (l *lab) ok(body Body) Result {
	l.t.Helper()
	r := l.do(body, max(now0, l.state().Now()))
	if r.Code != OK || r.Repeat || r.Index != l.index {
		l.t.Fatalf("%T: %+v, want it to take effect at %d", body, r, l.index)
	}
	return r
}

// refused applies a body that must be refused with the code, and checks that it leaves nothing behind.
func (l *lab) refused(body Body, time int64, code Code, detail string) {
	l.t.Helper()
	before, audit, events := l.state(), len(l.audit), len(l.events)
	r := l.do(body, time)
	if r.Code != code || r.Detail != detail || r.Repeat || r.Index != l.index || r.Objects != nil {
		l.t.Fatalf("%T: %+v, want code %d, %q", body, r, code, detail)
	}
	l.untouched(before, audit, events)
}

// untouched checks that nothing but the applied index has moved.
func (l *lab) untouched(before *State, audit, events int) {
	l.t.Helper()
	after := *l.state()
	if after.Index() != l.index {
		l.t.Fatalf("applied index %d, want %d", after.Index(), l.index)
	}
	after.index = before.index
	if Hash(&after) != Hash(before) {
		l.t.Fatal("a refused command has changed the state")
	}
	if len(l.audit) != audit || len(l.events) != events {
		l.t.Fatal("a refused command has written audit records or sent events")
	}
}

func (l *lab) state() *State { return l.fsm.State() }

// key returns a key that must exist.
func (l *lab) key(account, id string) *Key {
	l.t.Helper()
	k := l.state().Key(account, id)
	if k == nil {
		l.t.Fatalf("key %s does not exist", id)
	}
	return k
}

func keyID(n int) string { return fmt.Sprintf("1234abcd-12ab-34cd-56ef-%012d", n) }

func materialID(n int) []byte {
	id := sha256.Sum256(fmt.Appendf(nil, "material %d", n))
	return id[:]
}

// newKey is a symmetric encryption key with generated material.
func newKey(account string, n int) *CreateKey {
	return &CreateKey{Key{
		Account: account, ID: keyID(n), Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS", Manager: "CUSTOMER",
		CreatedAt: now0, Enabled: true, Policy: policy1, Current: 0,
		Materials: []Material{{ID: materialID(n), Domain: 1, Blob: bytes.Repeat([]byte{byte(n)}, 72), State: MaterialCurrent, AddedAt: now0}},
	}}
}

// externalKey is a symmetric encryption key that waits for its material.
func externalKey(account string, n int) *CreateKey {
	c := newKey(account, n)
	c.Key.Origin, c.Key.Materials, c.Key.Current = "EXTERNAL", nil, -1
	return c
}

// imported is an import of material n into a key.
func imported(ref KeyRef, n int, state MaterialState, isNew bool) *ImportMaterial {
	return &ImportMaterial{Key: ref, New: isNew, Material: Material{ID: materialID(n), Domain: 1, Blob: []byte("blob"), State: state, AddedAt: now0}}
}

func grantID(n int) string {
	id := sha256.Sum256(fmt.Appendf(nil, "grant %d", n))
	return hex.EncodeToString(id[:])
}

func ref1(n int) KeyRef { return KeyRef{account1, keyID(n)} }

// snapshotOf writes the snapshot of a state.
func snapshotOf(t testing.TB, s *State) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := WriteSnapshot(&buf, s); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func reader(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }

var errDisk = errors.New("disk failed")
