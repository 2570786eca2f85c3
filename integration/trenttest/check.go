package trenttest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/trentkms/trent/region/fault"
)

// Record is an audit record.
type Record struct {
	EventID, RequestID, EventName string
	ErrorCode, ErrorMessage       string
	UserIdentity                  map[string]any
	RequestParameters             json.RawMessage
	ResponseElements              json.RawMessage
	AdditionalEventData           map[string]any
	ServiceEventDetails           map[string]any
	ReadOnly                      *bool
	Resources                     []Resource
	EventType, EventVersion       string
	EventCategory                 string
	EventTime, EventSource        string
	AWSRegion                     string `json:"awsRegion"`
	SourceIPAddress, UserAgent    string
	RecipientAccountID            string
	ManagementEvent               *bool
	Raw                           json.RawMessage `json:"-"`
	Members                       map[string]json.RawMessage
}

// Resource is an entry of a record's resources.
type Resource struct{ AccountID, Type, ARN string }

// Records reads the node's audit log from its files, in the order in which they were written.
func (s *Server) Records() ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(s.Dir, "audit", "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var all []Record
	for _, file := range files { // sorted by name, which is the order of segments
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(data) {
			var r Record
			if err := json.Unmarshal(line, &r); err != nil {
				return nil, fmt.Errorf("%s: %w in %q", file, err, line)
			}
			if err := json.Unmarshal(line, &r.Members); err != nil {
				return nil, err
			}
			delete(r.Members, "trent") // what the log adds
			r.Raw = bytes.Clone(line)
			all = append(all, r)
		}
	}
	return all, nil
}

// Check holds a stopped node to what it must have left behind: the protocol, the audit and the log.
func (s *Server) Check(ctx context.Context) error {
	return errors.Join(s.Journal.Problems(), s.verifyAudit(ctx), s.checkRecords(), s.checkLog(), s.checkSecrets())
}

// verifyAudit runs the operator's own verification.
func (s *Server) verifyAudit(ctx context.Context) error {
	binary, err := Binary()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, binary, "audit", "verify", filepath.Join(s.Dir, "audit")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("trent audit verify: %w\n%s", err, out)
	}
	return nil
}

// checkRecords compares the journal with the audit log: one record per answered call whose caller was known, none for others,
// and no event id twice (spec 03 AUD-01, AUD-03, AUD-09).
func (s *Server) checkRecords() error {
	records, err := s.Records()
	if err != nil {
		return err
	}
	var errs []error
	byRequest, events := make(map[string][]Record), make(map[string]Record)
	for _, r := range records {
		if first, twice := events[r.EventID]; twice {
			errs = append(errs, fmt.Errorf("event id %s is in the audit log twice:\n%s%s", r.EventID, first.Raw, r.Raw))
		}
		events[r.EventID] = r
		if r.RequestID != "" {
			byRequest[r.RequestID] = append(byRequest[r.RequestID], r)
		}
	}
	for _, a := range s.Journal.Answers() {
		if err := a.checkRecorded(byRequest[a.RequestID]); err != nil {
			errs = append(errs, err)
		}
		if len(errs) > 20 {
			break
		}
	}
	return errors.Join(errs...)
}

// unidentified are the errors of calls whose caller is not known yet (AUD-09).
var unidentified = []fault.Code{
	fault.UnknownOperationException, fault.SerializationException, fault.MissingAuthenticationTokenException,
	fault.IncompleteSignatureException, fault.InvalidSignatureException, fault.UnrecognizedClientException,
	fault.ExpiredTokenException, fault.RequestExpired, fault.RequestEntityTooLargeException, fault.RequestAbortedException,
	fault.ServiceUnavailable,
}

func (a *Answered) checkRecorded(records []Record) error {
	for _, code := range unidentified {
		if a.Error != code.Name() {
			continue
		}
		if len(records) > 0 {
			return fmt.Errorf("%s (%s, %s) is in the audit log, though nobody knows who asked", a.Operation, a.Error, a.RequestID)
		}
		return nil
	}
	if len(records) != 1 {
		return fmt.Errorf("%s (%q, %s) has %d audit records", a.Operation, a.Error, a.RequestID, len(records))
	}
	want := ""
	if code, ok := fault.ByName(a.Error); ok {
		want = code.AuditCode()
	}
	if r := records[0]; r.EventName != a.Operation || r.ErrorCode != want || r.ErrorMessage != a.Message {
		return fmt.Errorf("%s answered %q %q, its record says %s %q %q", a.Operation, a.Error, a.Message, r.EventName, r.ErrorCode, r.ErrorMessage)
	}
	return nil
}

// checkLog looks for what must not be in an operator's log.
func (s *Server) checkLog() error {
	for line := range strings.Lines(s.Log()) {
		switch {
		case strings.Contains(line, "DATA RACE"), strings.HasPrefix(line, "panic:"), strings.Contains(line, "fatal error:"):
			return fmt.Errorf("the node's log says: %s", line)
		case strings.Contains(line, "level=ERROR") && !s.opts.Faults:
			return fmt.Errorf("the node logged an error: %s", line)
		}
	}
	return nil
}

// planted are secrets that must be nowhere.
type planted struct {
	mu      sync.Mutex
	secrets map[string][]byte // what it is -> the bytes
}

// Plant registers a secret of at least 12 bytes that went through the node: Check fails if it is found in a file or in the log,
// as bytes, base64 or hex.
func (s *Server) Plant(what string, secret []byte) {
	s.plant.mu.Lock()
	defer s.plant.mu.Unlock()
	if len(secret) < 12 {
		panic("trenttest: a planted secret of under 12 bytes would be found by chance")
	}
	if s.plant.secrets == nil {
		s.plant.secrets = make(map[string][]byte)
	}
	s.plant.secrets[what] = bytes.Clone(secret)
}

// checkSecrets searches the data directory and the log. env.sh shows the credentials on purpose, to its owner alone.
func (s *Server) checkSecrets() error {
	s.Plant("secret access key", []byte(s.Secret))
	errs := []error{s.findSecret("the log", []byte(s.Log()))}
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "env.sh" || d.Name() == "ballast" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		errs = append(errs, s.findSecret(path, data))
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func (s *Server) findSecret(where string, data []byte) error {
	s.plant.mu.Lock()
	defer s.plant.mu.Unlock()
	for what, secret := range s.plant.secrets {
		for _, form := range [][]byte{secret, []byte(base64.StdEncoding.EncodeToString(secret)[:len(secret)/3*4]), []byte(hex.EncodeToString(secret))} {
			if bytes.Contains(data, form) {
				return fmt.Errorf("%s is in %s", what, where)
			}
		}
	}
	return nil
}

// Tamper replaces a word in the newest audit segment of a stopped node, as an intruder would.
func (s *Server) Tamper(old, replacement string) error {
	files, err := filepath.Glob(filepath.Join(s.Dir, "audit", "*.jsonl"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("no audit segment"))
	}
	file := files[len(files)-1]
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Contains(data, []byte(old)) {
		return fmt.Errorf("%s does not hold %q", file, old)
	}
	return os.WriteFile(file, bytes.Replace(data, []byte(old), []byte(replacement), 1), 0o600)
}
