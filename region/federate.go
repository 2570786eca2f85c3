package region

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	fed "github.com/trentkms/trent/region/federation"
)

// NewToken makes a token by which the region of that name can federate with this one within life, and the time at which it
// expires. That is this operator's consent.
func (r *Regions) NewToken(ctx context.Context, name string, life time.Duration) (token string, expires time.Time, err error) {
	if life == 0 {
		life = DefaultTokenLife
	}
	switch {
	case life < time.Second || life > MaxTokenLife:
		return "", expires, fmt.Errorf("a token lives for a second to %v", MaxTokenLife)
	case !arn.ValidRegion(name):
		return "", expires, fmt.Errorf("%q is no name of a region", name)
	case name == r.service.Region():
		return "", expires, errors.New("a region is not federated with itself")
	}
	_, self, err := r.describe(ctx)
	if err != nil {
		return "", expires, err
	}
	st, err := r.service.View(ctx)
	if err != nil {
		return "", expires, err
	}
	if o := st.OtherRegion(name); o != nil && o.State == fsm.RegionFederated {
		return "", expires, fmt.Errorf("region %s is federated already", name)
	}
	pin, err := transport.Pin(self.CA)
	if err != nil {
		return "", expires, err
	}
	t := federationToken{From: self.Name, For: name, Pin: pin[:], Addresses: self.Addresses, Secret: make([]byte, federationSecretSize)}
	defer clear(t.Secret)
	if err := r.service.cfg.HSM.Random(ctx, t.Secret); err != nil {
		return "", expires, err
	}
	now := r.service.Now()
	expires = now.Add(life).UTC()
	body := &fsm.PutJoinToken{Token: fsm.JoinToken{
		Digest: fsm.DigestRegionToken(name, t.Secret), CreatedAt: now.UnixMilli(), ExpiresAt: expires.UnixMilli(),
	}}
	if err := r.commit(ctx, body, "CreateFederationToken", name); err != nil {
		return "", expires, err
	}
	token, err = t.reveal()
	return token, expires, err
}

// commit proposes what an operator does about a region, with its audit record.
func (r *Regions) commit(ctx context.Context, body fsm.Body, event, region string, details ...Note) error {
	st, err := r.service.View(ctx)
	if err != nil {
		return err
	}
	err = r.service.proposeOperator(ctx, st, body, OperatorEvent{
		Name: event, At: r.service.Now(), Details: append([]Note{{"region", region}}, details...),
	})
	r.nudge()
	return err
}

// exchangeRequest is what a region brings with a token.
type exchangeRequest struct {
	Secret []byte            `json:"secret"`
	Self   signedDescription `json:"self"`
	// DryRun asks for the answer without the effect.
	DryRun bool `json:"dryRun,omitempty"`
}

// exchangeAnswer is what it gets.
type exchangeAnswer struct {
	Self   signedDescription `json:"self"`
	Others []description     `json:"others,omitempty"`
}

// Accepted is what accepting a token federates with, or would.
type Accepted struct {
	Regions []AcceptedRegion `json:"regions"`
	DryRun  bool             `json:"dryRun,omitempty"`
}

// OnlyTold tells whether it was a dry run.
func (a *Accepted) OnlyTold() bool { return a != nil && a.DryRun }

// AcceptedRegion is one region of it.
type AcceptedRegion struct {
	Region      string   `json:"region"`
	State       string   `json:"state"` // federated, or pending until its operator consents
	Authority   string   `json:"authority"`
	Addresses   []string `json:"addresses"`
	Incarnation uint64   `json:"incarnation"`
}

// Accept federates with the region that a token is of. That is this operator's consent, to that region and to those it is
// federated with. With dryRun nothing is changed on either side, and the token is not used up.
func (r *Regions) Accept(ctx context.Context, text string, dryRun bool) (*Accepted, error) {
	t, err := parseFederationToken(text)
	if err != nil {
		return nil, err
	}
	defer clear(t.Secret)
	if t.For != r.service.Region() {
		return nil, fmt.Errorf("the token is for region %s, this is %s", t.For, r.service.Region())
	}
	self, _, err := r.describe(ctx)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(exchangeRequest{Secret: t.Secret, Self: *self, DryRun: dryRun})
	if err != nil {
		return nil, err
	}
	defer clear(request)
	b, err := r.wire.Exchange(ctx, t.From, t.Addresses, [32]byte(t.Pin), request)
	if err != nil {
		return nil, err
	}
	var answer exchangeAnswer
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("the answer of region %s: %w", t.From, err)
	}
	rows, err := r.acceptable(t, &answer)
	if err != nil {
		return nil, err
	}
	return r.acceptAll(ctx, rows, dryRun)
}

// acceptable checks the answer to a token: the region that the token pins, and those that it is federated with.
func (r *Regions) acceptable(t *federationToken, a *exchangeAnswer) ([]fsm.OtherRegion, error) {
	d, err := a.Self.open()
	if err != nil {
		return nil, err
	}
	pin, err := transport.Pin(d.CA)
	if err != nil {
		return nil, err
	}
	if d.Name != t.From || !slices.Equal(pin[:], t.Pin) {
		return nil, fmt.Errorf("region %s answered the token of %s under another authority", d.Name, t.From)
	}
	now := r.service.Now().UnixMilli()
	rows := []fsm.OtherRegion{d.row(fsm.RegionFederated, now)}
	for i := range a.Others {
		o := &a.Others[i]
		if err := o.check(); err != nil {
			return nil, fmt.Errorf("region %s, which %s is federated with: %w", o.Name, d.Name, err)
		}
		if o.Name != r.service.Region() && o.Name != d.Name {
			rows = append(rows, o.row(fsm.RegionPending, now))
		}
	}
	if d.Partition != r.service.Partition() {
		return nil, fmt.Errorf("region %s is of partition %s, this one of %s", d.Name, d.Partition, r.service.Partition())
	}
	return rows, nil
}

func (r *Regions) acceptAll(ctx context.Context, rows []fsm.OtherRegion, dryRun bool) (*Accepted, error) {
	out := &Accepted{DryRun: dryRun}
	for _, row := range rows {
		st, err := r.service.View(ctx)
		if err != nil {
			return nil, err
		}
		var was uint64
		old := st.OtherRegion(row.Name)
		if old != nil {
			was = old.Version
		}
		// What was consented to before stays as it is: another region's word does not change it.
		if old == nil || old.State != fsm.RegionFederated && (old.State != fsm.RegionPending || row.State == fsm.RegionFederated) {
			if old != nil && old.State == fsm.RegionForgotten && row.Incarnation <= old.Incarnation {
				return nil, fmt.Errorf("region %s was forgotten here; it comes back as a new incarnation only", row.Name)
			}
			if !dryRun {
				if err := r.commit(ctx, &fsm.PutOtherRegion{Region: row, Was: was}, "FederateRegion", row.Name, Note{"authority", fingerprint(row.CA)}); err != nil {
					return nil, err
				}
			}
		}
		out.Regions = append(out.Regions, AcceptedRegion{row.Name, stateName(row.State), fingerprint(row.CA), row.Addresses, row.Incarnation})
	}
	return out, nil
}

// exchange serves a region that brings a token (fed.Config.Exchange). Nobody without one learns anything.
func (r *Regions) exchange(ctx context.Context, chain [][]byte, request []byte) ([]byte, error) {
	var in exchangeRequest
	if err := json.Unmarshal(request, &in); err != nil {
		return nil, errors.New("malformed request")
	}
	defer clear(in.Secret)
	d, err := in.Self.open()
	if err != nil {
		return nil, err
	}
	st, err := r.service.View(ctx)
	if err != nil {
		return nil, err
	}
	digest := fsm.DigestRegionToken(d.Name, in.Secret)
	if j := st.JoinToken(digest); j == nil || r.service.Now().UnixMilli() >= j.ExpiresAt {
		return nil, fmt.Errorf("the token is unknown, expired or used, or not for region %s", d.Name)
	}
	if err := d.holds(chain); err != nil {
		return nil, err
	}
	if d.Partition != r.service.Partition() {
		return nil, fmt.Errorf("this is partition %s, region %s is of %s", r.service.Partition(), d.Name, d.Partition)
	}
	if !in.DryRun {
		if err := r.admitRegion(ctx, st, digest, d); err != nil {
			return nil, err
		}
	}
	self, _, err := r.describe(ctx)
	if err != nil {
		return nil, err
	}
	return json.Marshal(exchangeAnswer{Self: *self, Others: r.introductions(st, d.Name)})
}

// holds checks that the other end of the connection is a node that the described authority has certified.
func (d *description) holds(chain [][]byte) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	ca, err := x509.ParseCertificate(d.CA)
	if err != nil {
		return err
	}
	if err := fed.VerifyLeaf(leaf, ca); err != nil {
		return err
	}
	_, cluster, err := transport.Names(leaf)
	if err == nil && cluster != d.ClusterID {
		err = errors.New("the certificate is of another cluster")
	}
	return err
}

// admitRegion uses the token up. A region that missed the answer may bring it again.
func (r *Regions) admitRegion(ctx context.Context, st *fsm.State, digest []byte, d *description) error {
	var was uint64
	if old := st.OtherRegion(d.Name); old != nil {
		was = old.Version
	}
	body := &fsm.AdmitRegion{Digest: digest, Region: d.row(fsm.RegionFederated, r.service.Now().UnixMilli()), Was: was}
	if err := r.commit(ctx, body, "FederateRegion", d.Name, Note{"authority", fingerprint(d.CA)}); err != nil {
		return err
	}
	r.log.Info("federation: federated", "region", d.Name, "authority", fingerprint(d.CA))
	return nil
}

// ErrUnknownRegion reports a region that this one does not know.
var ErrUnknownRegion = errors.New("the region is not known here; see trent operator regions")

// Confirm consents to a region that another one has introduced.
func (r *Regions) Confirm(ctx context.Context, name string) error {
	o, err := r.find(ctx, name)
	if err != nil {
		return err
	}
	if o.State != fsm.RegionIntroduced {
		return fmt.Errorf("region %s is %s, there is nothing to confirm", name, stateName(o.State))
	}
	row := *o
	row.State, row.By = fsm.RegionPending, ""
	clearSynchronized(&row)
	return r.commit(ctx, &fsm.PutOtherRegion{Region: row, Was: o.Version}, "ConfirmRegion", name, Note{"authority", fingerprint(o.CA)})
}

// clearSynchronized takes out of a row what only synchronization writes.
func clearSynchronized(o *fsm.OtherRegion) {
	o.Fence, o.Position, o.HeardIn, o.HeardOf, o.Forgets, o.Lives, o.Version = 0, 0, 0, 0, 0, nil, 0
}

func (r *Regions) find(ctx context.Context, name string) (*fsm.OtherRegion, error) {
	st, err := r.service.View(ctx)
	if err != nil {
		return nil, err
	}
	o := st.OtherRegion(name)
	if o == nil {
		return nil, r.service.unknownRegion(name)
	}
	return o, nil
}

// unknownRegion is the error of naming a region that is no other one that is known here.
func (s *Service) unknownRegion(name string) error {
	if name == s.cfg.Region {
		return fmt.Errorf("%w (%s is this region)", ErrUnknownRegion, name)
	}
	return fmt.Errorf("%w (%s)", ErrUnknownRegion, name)
}

// ErrHeld marks a refusal that the operator can lift; its message says how.
var ErrHeld = errors.New("refused until the operator has done something")

type heldError struct{ error }

func (heldError) Is(target error) bool { return target == ErrHeld }

// Unfederate ends the federation with a region that no multi-Region key is shared with. The other side notices that it is
// refused; its operator ends it there.
func (r *Regions) Unfederate(ctx context.Context, name string) error {
	o, err := r.find(ctx, name)
	if err != nil {
		return err
	}
	if o.State == fsm.RegionForgotten {
		return fmt.Errorf("region %s was forgotten already", name)
	}
	st, err := r.service.View(ctx)
	if err != nil {
		return err
	}
	if keys, _ := st.SharedWith(name); keys > 0 {
		return heldError{fmt.Errorf("%d multi-Region keys are shared with region %s: delete the replicas first, or, if the region is lost for good, use 'trent operator region forget'", keys, name)}
	}
	if o := st.OtherRegion(name); o != nil && o.Follows {
		return heldError{fmt.Errorf("the identities of region %s are decided here: take that back first with 'trent operator region share %s --stop'", name, name)}
	}
	return r.commit(ctx, &fsm.DropRegion{Name: name}, "UnfederateRegion", name)
}
