package region

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trentkms/trent/fsm"
	fed "github.com/trentkms/trent/region/federation"
)

// A region that was restored has another authority than the one under which the others know it, and, if they were restored too, knows
// theirs no more than they know its own. What survives are the signing keys, in the HSMs: each side knows the other's by its public
// half, which was pinned when they federated. So the restored region connects to each address that it knows of the other one, without
// a look at certificates, and both say who they are now, signed together with what only the two ends of this connection have. It speaks
// first, and nobody gets a signature who has not shown one. docs/multi-region.md has the message.

const (
	purposeMeeting = "trent/region-meeting/1"
	// meetingAsks and meetingAnswers tell the two messages of a meeting apart, so that neither is taken for the other.
	meetingAsks    byte = 1
	meetingAnswers byte = 2
)

// errStranger is all that is said to who is not recognized.
var errStranger = errors.New("this region is federated with none that has signed that")

// meeting is what one region says of itself to another one that does not know its authority.
type meeting struct {
	Self signedDescription `json:"self"`
	// Signature is that of the region's signing key over meetingStatement, with purposeMeeting.
	Signature []byte `json:"signature"`
}

// meetingStatement is what a region signs in a meeting: that it says this description to that region, over this connection. Names stand
// behind their length in 4 bytes, big-endian; the description is there by its SHA-256.
func meetingStatement(part byte, from, to string, description, binding []byte) []byte {
	b := []byte{part}
	for _, s := range []string{from, to, string(binding)} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	sum := sha256.Sum256(description)
	return append(b, sum[:]...)
}

// say is this region's part of a meeting with another one.
func (r *Regions) say(ctx context.Context, part byte, to string, c fed.Channel) ([]byte, error) {
	self, _, err := r.describe(ctx)
	if err != nil {
		return nil, err
	}
	st := r.members.node.State()
	signature, err := r.service.signRegion(ctx, st, purposeMeeting, meetingStatement(part, r.service.Region(), to, self.Description, c.Binding))
	if err != nil {
		return nil, fmt.Errorf("sign what is said in a meeting: %w", err)
	}
	return json.Marshal(meeting{Self: *self, Signature: signature})
}

// recognize checks what is said in a meeting, on this node's own state: the key that was pinned for the region has signed it, for this
// region and this connection, and the other end of it is a node that the described authority has certified. A description of a life that
// is known under another authority is not taken.
func (r *Regions) recognize(part byte, message []byte, c fed.Channel) (*meeting, *description, error) {
	var m meeting
	if err := json.Unmarshal(message, &m); err != nil {
		return nil, nil, errStranger
	}
	d, err := m.Self.open()
	if err != nil {
		return nil, nil, errStranger
	}
	o := r.members.node.State().OtherRegion(d.Name)
	if o == nil || o.State != fsm.RegionFederated && o.State != fsm.RegionPending {
		return nil, nil, errStranger
	}
	statement := meetingStatement(part, d.Name, r.service.Region(), m.Self.Description, c.Binding)
	if err := verifyRegion(o.Signing, purposeMeeting, statement, m.Signature); err != nil {
		return nil, nil, errStranger
	}
	if err := d.holds(c.Chain); err != nil {
		return nil, nil, err
	}
	switch {
	case d.Incarnation < o.Incarnation:
		return nil, nil, fmt.Errorf("region %s has begun a later life than this one; stop the group that speaks for the earlier one", d.Name)
	case d.Incarnation == o.Incarnation && !bytes.Equal(d.CA, o.CA):
		return nil, nil, fmt.Errorf("region %s has another authority in the same life", d.Name)
	}
	return &m, d, nil
}

// takeMeeting takes over what was said in a meeting.
func (r *Regions) takeMeeting(ctx context.Context, m *meeting, d *description) error {
	before := r.members.node.State().OtherRegion(d.Name)
	if err := r.heard(ctx, d.Name, &hello{Self: m.Self}); err != nil {
		return err
	}
	if before != nil && !bytes.Equal(before.CA, d.CA) {
		r.log.Warn("federation: a region has begun a new incarnation under another authority; its signing key vouches for it",
			"region", d.Name, "incarnation", d.Incarnation, "authority", fingerprint(d.CA))
	}
	return nil
}

// serveMeeting serves a region that was restored (fed.Config.Meet). Who is not recognized costs no read round and no signature, and learns
// nothing.
func (r *Regions) serveMeeting(ctx context.Context, c fed.Channel, request []byte) ([]byte, error) {
	m, d, err := r.recognize(meetingAsks, request, c)
	if err != nil {
		return nil, err
	}
	if err := r.takeMeeting(ctx, m, d); err != nil {
		return nil, err
	}
	return r.say(ctx, meetingAnswers, d.Name, c)
}

// meet says who this region is, which was restored, to whoever is at an address of another one, and hears who that is.
func (r *Regions) meet(ctx context.Context, region, address string) error {
	return r.wire.Meet(ctx, region, address,
		func(c fed.Channel) ([]byte, error) { return r.say(ctx, meetingAsks, region, c) },
		func(c fed.Channel, answer []byte) error {
			m, d, err := r.recognize(meetingAnswers, answer, c)
			if err == nil && d.Name != region {
				err = fmt.Errorf("region %s answered for %s", d.Name, region)
			}
			if err != nil {
				return err
			}
			return r.takeMeeting(ctx, m, d)
		})
}

// meetAll has this region, if it was restored, meet another one at the addresses where it has not done so yet: some of them may be those of
// a group that spoke for the region in an earlier life. If the two do not reach each other it tries all again now and then. It reports
// whether somebody was met, and what was said against it.
func (r *Regions) meetAll(ctx context.Context, region string, t *talk, apart bool) (met bool, said error) {
	if st := r.members.node.State(); st.Region() == nil || st.Region().Restored == 0 || st.Region().Reborn {
		return false, nil
	}
	again := apart && time.Since(t.tried) >= talkEvery
	if again {
		t.tried = time.Now()
	}
	var work sync.WaitGroup
	for _, address := range r.wire.Addresses(region) {
		r.mu.Lock()
		before := t.met[address]
		r.mu.Unlock()
		if before && !again {
			continue
		}
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, talkTimeout)
			defer cancel()
			err := r.meet(ctx, region, address)
			if err != nil {
				r.log.Debug("federation: a restored region was not met", "region", region, "address", address, "error", err)
			}
			var refused *fed.RemoteError
			r.mu.Lock()
			defer r.mu.Unlock()
			switch {
			case err == nil:
				t.met[address], met = true, true
			case errors.As(err, &refused):
				t.met[address], said = true, errors.Join(said, err)
			}
		})
	}
	work.Wait()
	return met, said
}
