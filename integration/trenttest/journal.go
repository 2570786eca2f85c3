package trenttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trentkms/trent/region/fault"
)

// Journal holds what a node's clients were answered. It is safe for concurrent use.
type Journal struct {
	mu       sync.Mutex
	answers  []Answered
	seen     map[string]bool // request ids
	problems []error
}

// Answered is one answer.
type Answered struct {
	Operation string // as the request named it, without the prefix
	RequestID string
	Status    int
	Error     string // name of the exception, "" for success
	Message   string
}

func newJournal() *Journal { return &Journal{seen: make(map[string]bool)} }

// Answers returns a copy of all answers so far.
func (j *Journal) Answers() []Answered {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.answers)
}

// Problems are the answers that broke the protocol.
func (j *Journal) Problems() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.problems...)
}

func (j *Journal) add(a Answered, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen[a.RequestID] {
		err = errors.Join(err, fmt.Errorf("request id %s came twice", a.RequestID))
	}
	j.seen[a.RequestID] = true
	j.answers = append(j.answers, a)
	if err != nil {
		err = fmt.Errorf("answer to %s breaks the protocol: %w", a.Operation, err)
		j.problems = append(j.problems, err)
	}
	return err
}

// recorder is the transport of all clients: it holds each answer to the protocol and notes it.
type recorder struct {
	journal *Journal
	next    http.RoundTripper
}

const targetHeader, targetPrefix = "X-Amz-Target", "TrentService."

// RoundTrip implements http.RoundTripper. An answer that breaks the protocol is an error.
func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if r.URL.Path != "/" || r.Method != http.MethodPost {
		return resp, nil // no call of the API
	}
	a := Answered{
		Operation: strings.TrimPrefix(r.Header.Get(targetHeader), targetPrefix), Status: resp.StatusCode,
		RequestID: resp.Header.Get("X-Amzn-Requestid"),
	}
	if err := t.journal.add(a.read(resp, body)); err != nil {
		return nil, err
	}
	return resp, nil
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// read takes the error out of an answer and checks what every answer must be.
func (a Answered) read(resp *http.Response, body []byte) (Answered, error) {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	h := resp.Header
	if !uuid4.MatchString(a.RequestID) {
		complain("x-amzn-RequestId is %q (PROTO-04)", a.RequestID)
	}
	if date, err := http.ParseTime(h.Get("Date")); err != nil || time.Since(date).Abs() > time.Minute {
		complain("Date is %q (PROTO-04)", h.Get("Date"))
	}
	if h.Get("Content-Length") != strconv.Itoa(len(body)) {
		complain("Content-Length %q of %d bytes (PROTO-04)", h.Get("Content-Length"), len(body))
	}
	if got := h.Get("Cache-Control"); got != "no-store" {
		complain("Cache-Control is %q (PROTO-04)", got)
	}
	if got := h.Get("Content-Type"); got != contentType {
		complain("Content-Type is %q (PROTO-03)", got)
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		errs = append(errs, a.checkSuccess(h, body))
	case resp.StatusCode == http.StatusNotFound:
		a.Error = "UnknownOperationException"
		if string(body) != "<UnknownOperationException/>\n" {
			complain("404 with body %q (spec 10 section 2.2)", body)
		}
	default:
		errs = append(errs, a.readError(resp, body))
	}
	return a, errors.Join(errs...)
}

const contentType = "application/x-amz-json-1.1"

// void are the operations without output (PROTO-03).
var void = []string{
	"CreateAlias", "DeleteAlias", "DisableKey", "DisableKeyRotation", "EnableKey", "EnableKeyRotation", "PutKeyPolicy", "RetireGrant",
	"RevokeGrant", "TagResource", "UntagResource", "UpdateAlias", "UpdateKeyDescription", "UpdatePrimaryRegion",
}

func (a *Answered) checkSuccess(h http.Header, body []byte) error {
	if h.Get("X-Amzn-Errortype") != "" {
		return errors.New("a success with x-amzn-ErrorType")
	}
	if slices.Contains(void, a.Operation) {
		if len(body) != 0 {
			return fmt.Errorf("a void operation answers %q (PROTO-03)", body)
		}
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return fmt.Errorf("a success that is no JSON object: %q", body)
	}
	for name, value := range object {
		if string(value) == "null" {
			return fmt.Errorf("member %s is null (PROTO-06)", name)
		}
	}
	return nil
}

// readError checks an error answer (PROTO-20 to PROTO-23, PROTO-51).
func (a *Answered) readError(resp *http.Response, body []byte) error {
	var object map[string]*string
	if err := json.Unmarshal(body, &object); err != nil || object["__type"] == nil {
		return fmt.Errorf("HTTP %d with body %q (PROTO-20)", resp.StatusCode, body)
	}
	a.Error = *object["__type"]
	code, ok := fault.ByName(a.Error)
	if !ok {
		return fmt.Errorf("error %q is in no table", a.Error)
	}
	delete(object, "__type")
	if m := object[code.MessageMember()]; m != nil {
		a.Message = *m
		delete(object, code.MessageMember())
		if a.Message == "" {
			return errors.New("an empty message instead of none (PROTO-21)")
		}
	}
	var errs []error
	if len(object) > 0 {
		errs = append(errs, fmt.Errorf("error body %q has further members (PROTO-20, PROTO-22)", body))
	}
	if code.HTTPStatus() != resp.StatusCode {
		errs = append(errs, fmt.Errorf("%s with HTTP %d (PROTO-23)", a.Error, resp.StatusCode))
	}
	if got := resp.Header.Get("X-Amzn-Errortype"); got != a.Error {
		errs = append(errs, fmt.Errorf("x-amzn-ErrorType %q beside %q (PROTO-20)", got, a.Error))
	}
	if fault.Declared(a.Operation, code) != code && !unsupported(a.Operation, code) {
		errs = append(errs, fmt.Errorf("%s is not declared for %s (PROTO-51)", a.Error, a.Operation))
	}
	return errors.Join(errs...)
}

// unsupported tells the answer of operations that the service does not perform, which is declared nowhere.
func unsupported(op string, code fault.Code) bool {
	return code == fault.UnsupportedOperationException && slices.Contains(notPerformed, op)
}
