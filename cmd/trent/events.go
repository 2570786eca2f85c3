package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/cmd/trent/config"
)

// keyEvent is an event notification (spec 02 EVT-02).
type keyEvent struct {
	Version    string            `json:"version"`
	ID         string            `json:"id"`
	DetailType string            `json:"detail-type"`
	Source     string            `json:"source"`
	Account    string            `json:"account"`
	Time       string            `json:"time"`
	Region     string            `json:"region"`
	Resources  []string          `json:"resources"`
	Detail     map[string]string `json:"detail"`
}

// detailTypes are the events by the audit record that they follow from, which every node writes when it applies the change.
var detailTypes = map[string]string{
	"RotateKey": config.EventTypes[0], "DeleteExpiredKeyMaterial": config.EventTypes[1], "DeleteKey": config.EventTypes[2],
}

// detailNames are the members of detail by those of the record's serviceEventDetails (EVT-03).
var detailNames = map[string]string{
	"keyOrigin": "key-origin", "rotationType": "rotation-type", "previousKeyMaterialId": "previous-key-material-id",
	"currentKeyMaterialId": "current-key-material-id", "keyMaterialId": "key-material-id",
}

// eventOf is the event that follows from a record, nil for most records. Its id is the record's, the same on every node and at every
// try.
func eventOf(record []byte) *keyEvent {
	var r struct {
		EventID, EventName, EventType, EventTime, AWSRegion, RecipientAccountID string
		Resources                                                               []struct{ ARN string }
		ServiceEventDetails                                                     map[string]string
	}
	if json.Unmarshal(record, &r) != nil || r.EventType != audit.TypeServiceEvent || detailTypes[r.EventName] == "" || len(r.Resources) != 1 {
		return nil
	}
	arn := r.Resources[0].ARN
	e := &keyEvent{
		Version: "0", ID: r.EventID, DetailType: detailTypes[r.EventName], Source: "aws.kms", Account: r.RecipientAccountID, Time: r.EventTime,
		Region: r.AWSRegion, Resources: []string{arn}, Detail: map[string]string{"key-id": arn[strings.LastIndexByte(arn, '/')+1:]},
	}
	for name, value := range r.ServiceEventDetails {
		if to := detailNames[name]; to != "" {
			e.Detail[to] = value
		}
	}
	return e
}

// eventSender delivers events to one target, in the order of the node's log, each at least once: its position is kept behind what was
// delivered.
type eventSender struct {
	cfg      config.Events
	dir      string // of the audit log
	position string // file
	log      *slog.Logger
	client   *http.Client
}

const (
	eventTimeout  = 10 * time.Second
	eventRetryMin = time.Second
	eventRetryMax = time.Minute
	// eventSave is the number of records after which the position is kept although none was an event.
	eventSave = 10_000
)

// sendEvents starts delivering to every target.
func (n *node) sendEvents() {
	for _, c := range n.cfg.Events {
		s := &eventSender{
			cfg: c, dir: n.cfg.Audit.Dir, position: filepath.Join(n.cfg.DataDir, "events-"+c.Name), log: n.log.With("events", c.Name),
			client: &http.Client{Timeout: eventTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		}
		go s.run(n.life)
	}
}

// run delivers until the context ends.
func (s *eventSender) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		s.log.Error("events are not delivered", "error", err)
		pauseFor(ctx, eventRetryMax)
	}
}

// follow delivers from the kept position on; a new target begins with what comes next.
func (s *eventSender) follow(ctx context.Context) error {
	var from audit.Position
	b, err := os.ReadFile(s.position)
	switch {
	case err == nil:
		from, err = audit.ParsePosition(strings.TrimSpace(string(b)))
	case os.IsNotExist(err):
		if from, err = audit.End(s.dir); err == nil {
			err = s.keep(from)
		}
	}
	if err != nil {
		return err
	}
	passed := 0
	return audit.Tail(ctx, s.dir, from, func(entry audit.Entry) error {
		e := eventOf(entry.Line)
		if e != nil && s.wants(e) {
			if err := s.deliver(ctx, e); err != nil {
				return err
			}
			passed = eventSave
		}
		if passed++; passed < eventSave {
			return nil
		}
		passed = 0
		return s.keep(entry.Next)
	})
}

func (s *eventSender) keep(p audit.Position) error {
	return writeDurably(s.position, []byte(p.String()+"\n"))
}

func (s *eventSender) wants(e *keyEvent) bool {
	return (len(s.cfg.DetailTypes) == 0 || slices.Contains(s.cfg.DetailTypes, e.DetailType)) &&
		(len(s.cfg.Accounts) == 0 || slices.Contains(s.cfg.Accounts, e.Account))
}

// deliver delivers one event, however often it takes.
func (s *eventSender) deliver(ctx context.Context, e *keyEvent) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	for wait := eventRetryMin; ; wait = min(2*wait, eventRetryMax) {
		if s.cfg.File != "" {
			err = appendLine(s.cfg.File, b)
		} else {
			err = s.post(ctx, b)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		s.log.Warn("an event was not delivered and is tried again", "id", e.ID, "type", e.DetailType, "error", err)
		pauseFor(ctx, wait)
	}
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func appendLine(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(append(bytes.Clone(line), '\n'))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func (s *eventSender) post(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.Webhook, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if s.cfg.TokenFile != "" {
		token, err := os.ReadFile(s.cfg.TokenFile)
		if err != nil {
			return fmt.Errorf("token_file: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the webhook answered %s", resp.Status)
	}
	return nil
}
