package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/trentkms/trent/fsm"
)

// What operators do to identities, in a region that is not their home: the home does it. Who may ask for it, the region has decided that was
// asked; the home records which region that was, and who has asked there, as that region says.

// IdentityAct is something that an operator does to identities.
type IdentityAct struct {
	// Name is CreateAccount, CreateService or DeleteService.
	Name        string `json:"name"`
	Account     string `json:"account,omitempty"`
	Service     string `json:"service,omitempty"`
	AccessKeyID string `json:"accessKeyId,omitempty"`
	// Asker is who has asked for it, nil of a region that does not say.
	Asker *Asker `json:"asker,omitempty"`
}

// Asker is who has asked for something that an operator does, as the node knows that was asked.
type Asker struct {
	// By is the ARN of the caller, or says over which admin socket it came.
	By string `json:"by"`
	// AccessKeyID is that of the caller, RequestID that of its request, whose record that region has; "" of an admin socket.
	AccessKeyID string `json:"accessKeyId,omitempty"`
	RequestID   string `json:"requestId,omitempty"`
}

// askerKey is where a context has its Asker.
type askerKey struct{}

// WithAsker returns a context of what somebody has asked for.
func WithAsker(ctx context.Context, a Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, &a)
}

// maxAsker bounds Asker.By, in bytes: more than the longest ARN of a principal.
const maxAsker = 1024

var (
	// actID is what names an act on its way; requestID is what names a request of a client (x-amzn-RequestId).
	actID       = regexp.MustCompile(`^ACT[A-Z2-7]{17}$`)
	requestID   = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	accessKeyID = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)
)

// ValidRequestID tells whether an id has the form of those that nodes give to requests.
func ValidRequestID(id string) bool { return requestID.MatchString(id) }

// valid holds what another region says to the form that it has.
func (a *Asker) valid() bool {
	text := !strings.ContainsFunc(a.By, func(r rune) bool { return r < ' ' || r > unicode.MaxASCII })
	return a.By != "" && len(a.By) <= maxAsker && text && (a.AccessKeyID == "" || accessKeyID.MatchString(a.AccessKeyID)) && (a.RequestID == "" || ValidRequestID(a.RequestID))
}

// origin is where something was asked for, in the home of the identities: in a region that follows, or, if it is zero, here.
type origin struct {
	region string
	asker  *Asker
}

// notes adds the origin to the details of a record.
func (o origin) notes(details []Note) []Note {
	if o.region == "" {
		return details
	}
	details = append(details, Note{"receivedInRegion", o.region})
	if a := o.asker; a != nil {
		details = append(details, Note{"requestedBy", a.By})
		if a.AccessKeyID != "" {
			details = append(details, Note{"requestedByAccessKeyId", a.AccessKeyID})
		}
		if a.RequestID != "" {
			details = append(details, Note{"receivedRequestId", a.RequestID})
		}
	}
	return details
}

// actRequest is an act on its way; package api reads it too.
type actRequest struct {
	RequestID string       `json:"requestId"`
	Act       *IdentityAct `json:"act"`
}

// actAnswer is what became of it. Key and Sealed hold the result, which has a secret.
type actAnswer struct {
	Error  string `json:"error,omitempty"`
	Key    []byte `json:"key,omitempty"`
	Sealed []byte `json:"sealed,omitempty"`
}

// actErrors are the errors of acts that callers tell apart.
var actErrors = []error{ErrAccountID, ErrAccountExists, ErrServiceName, ErrNoService, ErrServiceKeys}

// askHome has the home perform an act and reads its result, if it has one.
func (s *Service) askHome(ctx context.Context, st *fsm.State, act *IdentityAct, result any) error {
	id, err := s.newUniqueID(ctx, "ACT", uniqueIDLength)
	if err != nil {
		return err
	}
	act.Asker, _ = ctx.Value(askerKey{}).(*Asker)
	b, err := json.Marshal(actRequest{id, act})
	if err != nil {
		return err
	}
	reply, err := s.DecideAtHome(ctx, st.Home().Name, b)
	if err != nil {
		return err
	}
	var a actAnswer
	if err := json.Unmarshal(reply, &a); err != nil {
		return fmt.Errorf("the answer of region %s: %w", st.Home().Name, err)
	}
	if a.Error != "" {
		for _, known := range actErrors {
			if a.Error == known.Error() {
				return known
			}
		}
		return fmt.Errorf("region %s: %s", st.Home().Name, a.Error)
	}
	if result == nil {
		return nil
	}
	plain, err := s.OpenAnswer(ctx, s.cfg.Cluster.State(), []byte(id), a.Key, a.Sealed)
	if err != nil {
		return err
	}
	defer clear(plain)
	return json.Unmarshal(plain, result)
}

// PerformAct performs an act for a region that follows this one and returns the answer. An error means that nothing was done.
func (s *Service) PerformAct(ctx context.Context, from, requestID string, act *IdentityAct) ([]byte, error) {
	if !actID.MatchString(requestID) || act.Asker != nil && !act.Asker.valid() {
		return nil, errors.New("unreadable request")
	}
	st, err := s.View(ctx)
	if err != nil {
		return nil, errors.New("the region cannot read its state now")
	}
	if st.Home() != nil {
		return nil, errors.New("the region is not the home of identities any more")
	}
	by := origin{from, act.Asker}
	var result any
	switch act.Name {
	case "CreateAccount":
		result, err = s.createAccount(ctx, st, act.Account, by)
	case "CreateService":
		result, err = s.registerService(ctx, st, act.Service, by)
	case "DeleteService":
		err = s.deleteService(ctx, st, act.Service, act.AccessKeyID, by)
	default:
		return nil, errors.New("the region knows no such act: upgrade it")
	}
	if err != nil {
		return json.Marshal(actAnswer{Error: err.Error()})
	}
	var a actAnswer
	if act.Name != "DeleteService" {
		plain, err := json.Marshal(result)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		if a.Key, a.Sealed, err = s.SealAnswer(ctx, st, from, []byte(requestID), plain); err != nil {
			return nil, errors.New("the answer cannot be sealed now; what it is about was made")
		}
	}
	return json.Marshal(a)
}
