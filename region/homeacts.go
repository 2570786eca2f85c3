package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm"
)

// What operators do to identities, in a region that is not their home: the home does it. Who may ask for it, the region has decided that was
// asked; the home records which region that was.

// IdentityAct is something that an operator does to identities.
type IdentityAct struct {
	// Name is CreateAccount, CreateService or DeleteService.
	Name        string `json:"name"`
	Account     string `json:"account,omitempty"`
	Service     string `json:"service,omitempty"`
	AccessKeyID string `json:"accessKeyId,omitempty"`
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
	st, err := s.View(ctx)
	if err != nil {
		return nil, errors.New("the region cannot read its state now")
	}
	if st.Home() != nil {
		return nil, errors.New("the region is not the home of identities any more")
	}
	var result any
	switch act.Name {
	case "CreateAccount":
		result, err = s.createAccount(ctx, st, act.Account, from)
	case "CreateService":
		result, err = s.registerService(ctx, st, act.Service, from)
	case "DeleteService":
		err = s.deleteService(ctx, st, act.Service, act.AccessKeyID, from)
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

// askedIn notes in which region something was asked for, "" for this one.
func askedIn(details []Note, region string) []Note {
	if region == "" {
		return details
	}
	return append(details, Note{"receivedInRegion", region})
}
