package region

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
)

// AccountInfo describes an account of the region.
type AccountInfo struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	// Keys counts its customer managed KMS keys.
	Keys int `json:"keys"`
	// Operator tells that its identities look after the region.
	Operator bool `json:"operator"`
}

// NewAccount is an account with its root credentials, whose secret is shown once.
type NewAccount struct {
	ID              string `json:"id"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
}

// ErrAccountID reports an id that no account can have, ErrAccountExists an account that is there already.
var (
	ErrAccountID     = errors.New("the id of an account has 12 digits")
	ErrAccountExists = errors.New("the account exists already; 'trent operator recover root-credentials' gives it new root credentials")
)

// Accounts lists the accounts of the region, ordered by id.
func (s *Service) Accounts(ctx context.Context) ([]AccountInfo, error) {
	st, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	operator, all := s.OperatorAccount(st), []AccountInfo{}
	for a := range st.Accounts("") {
		all = append(all, AccountInfo{a.ID, millis(a.CreatedAt), a.KeyCount, a.ID == operator})
	}
	return all, nil
}

// CreateAccount makes an account and an access key of its root user. Cut off between the two it leaves an account without credentials,
// for which new ones can be made.
func (s *Service) CreateAccount(ctx context.Context, id string) (*NewAccount, error) {
	if !arn.ValidAccount(id) {
		return nil, ErrAccountID
	}
	st, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	if st.Home() != nil {
		out := new(NewAccount)
		return out, s.askHome(ctx, st, &IdentityAct{Name: "CreateAccount", Account: id}, out)
	}
	return s.createAccount(ctx, st, id, origin{})
}

// createAccount makes an account in the home of the identities; by is where it was asked for.
func (s *Service) createAccount(ctx context.Context, st *fsm.State, id string, by origin) (*NewAccount, error) {
	if !arn.ValidAccount(id) {
		return nil, ErrAccountID
	}
	d := st.ActiveDomainKey()
	switch {
	case d == nil:
		return nil, errors.New("the region is not initialized")
	case st.Account(id) != nil:
		return nil, ErrAccountExists
	}
	accessKeyID, secret, err := s.newCredentials(ctx, "AKIA")
	if err != nil {
		return nil, err
	}
	defer secret.Wipe()
	// The operator's account is known by having been made with the region: no other may be as old.
	now := max(s.Now().UnixMilli(), st.Region().CreatedAt+1)
	row, err := s.sealAccessKey(ctx, d, id, accessKeyID, secret, now)
	if err != nil {
		return nil, err
	}
	event := func(name string) OperatorEvent {
		return OperatorEvent{Name: name, At: s.Now(), Details: by.notes([]Note{{"account", id}, {"accessKeyId", accessKeyID}})}
	}
	if err := s.proposeOperator(ctx, st, &fsm.PutAccount{Account: fsm.Account{ID: id, CreatedAt: now}}, event("CreateAccount")); err != nil {
		return nil, err
	}
	if err := s.proposeOperator(ctx, st, &fsm.PutAccessKey{AccessKey: *row}, event("CreateRootAccessKey")); err != nil {
		return nil, fmt.Errorf("the account is made, its root credentials are not; make them with 'trent operator recover root-credentials': %w", err)
	}
	return &NewAccount{id, accessKeyID, string(secret.Bytes())}, nil
}
