package region

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
)

// Cluster is what a Service asks of the region's Raft group; *cluster.Node is it.
type Cluster interface {
	// View returns the state after one linearizable read round.
	View(ctx context.Context) (*fsm.State, error)
	// State returns this node's own state, which may be behind.
	State() *fsm.State
	// Propose commits one command and returns its result once it is applied here.
	Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error)
	// Now is region time.
	Now() time.Time
	// ProposeOn is Propose of a command about some keys, which waits while others hold them.
	ProposeOn(ctx context.Context, gate cluster.Gate, cmd fsm.Command) (fsm.Result, error)
	// Hold keeps other commands about the keys waiting for a write that was refused twice.
	Hold(ctx context.Context, keys ...string) (gate cluster.Gate, release func(), err error)
}

// Config is what a Service is made of.
type Config struct {
	Partition string // aws
	Region    string // us-east-1
	Cluster   Cluster
	HSM       hsm.Module
	// CachedKeys bounds the keys loaded in the HSM at one time, 10,000 if 0.
	CachedKeys int
	Logger     *slog.Logger
	// Usage remembers the last use of keys; New makes one if nil.
	Usage *Usage
	// BuiltIn are the managed policies that every account can attach, ordered by ARN.
	BuiltIn []BuiltInPolicy
	// Record renders the audit record of an internal event (key deleted, material expired).
	Record func(InternalEvent) []byte
	// RecordOperator renders the audit record of something that an operator did; nil writes none.
	RecordOperator func(OperatorEvent) []byte
	// MaxIdentityStaleness is for how long a region goes on with identities that it could not compare with their home's; 0 is for ever.
	MaxIdentityStaleness time.Duration
}

// Use is one successful cryptographic operation on a key (spec 01 DEL-18).
type Use struct {
	Account, KeyID     string
	Operation          string
	At                 time.Time
	EventID, RequestID string
}

// Service performs the operations of a region. It is safe for concurrent use.
type Service struct {
	cfg   Config
	late  *lateDomains // cfg.HSM
	names arn.Scope
	keys  *hsm.Cache
	// others is the way to other regions, nil without one.
	others    OtherRegions
	homeWatch homeWatch
	// grantTokenKeys are the keys of grant tokens, one for each version of the domain key that a token has named.
	grantTokenKeys grantTokenKeys
	// stale is empty but where planted.StaleAlias is planted.
	stale planted.Memory[string]
	log   *slog.Logger
}

// New makes the service of a region.
func New(cfg Config) *Service {
	if cfg.CachedKeys == 0 {
		cfg.CachedKeys = 10_000
	}
	if cfg.Usage == nil {
		cfg.Usage = NewUsage()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	late := &lateDomains{Module: cfg.HSM}
	cfg.HSM = late
	return &Service{
		cfg:   cfg,
		late:  late,
		names: arn.Scope{Partition: cfg.Partition, Region: cfg.Region},
		keys:  hsm.NewCache(cfg.CachedKeys),
		log:   cfg.Logger,
	}
}

// Region is the region's name.
func (s *Service) Region() string { return s.cfg.Region }

// Partition is the partition of the region's ARNs.
func (s *Service) Partition() string { return s.cfg.Partition }

// Now is region time.
func (s *Service) Now() time.Time { return s.cfg.Cluster.Now() }

// View returns the state that one request is decided on: it holds every change acknowledged before the call.
func (s *Service) View(ctx context.Context) (*fsm.State, error) {
	st, err := s.cfg.Cluster.View(ctx)
	if err != nil {
		return nil, fault.Unavailable(fmt.Errorf("read round: %w", err))
	}
	return st, nil
}

// Hold keeps other changes of a key or alias waiting, on every node, so that a call that was refused twice is decided and
// proposed undisturbed. Its Call has the gate.
func (s *Service) Hold(ctx context.Context, name string) (gate cluster.Gate, release func(), err error) {
	return s.cfg.Cluster.Hold(ctx, name)
}

// Forget drops from the HSM what a change has taken away: a deleted key's material, material that was deleted, expired or
// wrapped anew. It wins over a load in flight. It must be told every event of the state machine.
func (s *Service) Forget(ev fsm.Event) {
	if ev.Kind == fsm.EventIdentities || ev.Kind == fsm.EventRestored {
		s.homeWatch.wake()
	}
	if ev.Kind == fsm.EventRestored {
		s.keys.Purge()
		return
	}
	if len(ev.MaterialID) > 0 {
		s.keys.Drop(cacheID(ev.ID, ev.MaterialID), ev.Index)
	}
}

// CachedKeys is the number of keys that are loaded in the HSM.
func (s *Service) CachedKeys() int { return s.keys.Stats().Entries }

// Close drops all keys from the HSM. The cluster and the module are their owner's to close.
func (s *Service) Close() { s.keys.Purge() }

// KeyARN returns the ARN of a key of this region.
func (s *Service) KeyARN(k *fsm.Key) string { return s.names.Key(k.Account, k.ID) }

// AliasARN returns the ARN of an alias of this region; name has the prefix alias/.
func (s *Service) AliasARN(account, name string) string {
	return s.names.Alias(account, name)
}

// RetryError tells that a change met another one: decide again. The next View has what it met.
type RetryError struct {
	Index  uint64
	Detail string
}

// Error names the condition that no longer held.
func (e *RetryError) Error() string {
	return fmt.Sprintf("the change met another one at index %d (%s)", e.Index, e.Detail)
}

// propose commits the call's change, with the record of its success and out as its answer. It returns a *RetryError if
// what the call was decided on has changed since.
func (s *Service) propose(ctx context.Context, c *Call, body fsm.Body, out any) (fsm.Result, error) {
	gate := c.Gate
	if len(gate.Keys) == 0 && c.Targets[0].Account != "" {
		gate.Keys = []string{c.Targets[0].ARN}
	}
	res, err := s.cfg.Cluster.ProposeOn(ctx, gate, fsm.Command{
		ID: c.CommandID, Attempt: c.Attempt, Signature: c.Signature,
		Time: c.Millis(), Reads: c.reads(), Body: body, Audit: c.Edge.Record(c, out),
	})
	if err != nil {
		// Of an unknown outcome only apply may speak: the edge writes no record.
		c.proposed = errors.Is(err, cluster.ErrUnknown)
		return res, proposeFault(err)
	}
	switch res.Code {
	case fsm.OK:
		c.proposed, c.repeat = true, res.Repeat
		return res, nil
	case fsm.Stale, fsm.Conflict:
		return res, &RetryError{Index: res.Index, Detail: res.Detail}
	default:
		return res, fault.Unavailable(fmt.Errorf("the state refused the change: code %d, %s", res.Code, res.Detail))
	}
}

// proposeFault says what a client is told of an error of Propose. All are safe to retry: an unknown outcome too, because
// the retry carries the same command id.
func proposeFault(err error) error {
	if errors.Is(err, cluster.ErrUnknown) {
		if planted.Bug(planted.UnknownIsRefusal) {
			return fault.New(fault.KMSInvalidStateException, "The change was refused.")
		}
		return fault.Timeout(fmt.Errorf("outcome of the change unknown: %w", err))
	}
	return fault.Unavailable(fmt.Errorf("propose: %w", err))
}
