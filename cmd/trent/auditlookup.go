package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trentkms/trent/api/audit"
)

// Calls by which nodes read each other's audit logs.
const (
	methodAuditSearch = "audit-search"
	methodAuditAfter  = "audit-after"
)

const (
	// auditAnswer bounds the records of one answer of a node in bytes; in base64 they fit a message between nodes.
	auditAnswer = 512 << 10
	// auditBudget bounds what one question makes a node read, in bytes.
	auditBudget = 256 << 20
	// auditTimeout bounds one question to a node.
	auditTimeout = 20 * time.Second
	maxLookup    = 1000
)

// auditAsk is the question to one node.
type auditAsk struct {
	Filter audit.Filter
	// After is where audit-after begins: a position, "" for the oldest record, "end".
	After string
}

// auditPage is its answer.
type auditPage struct {
	Records []auditRecord
	From    string // cursor that the page began with
	Next    string // cursor or position behind it, "" if nothing is left
}

// auditRecord is a record without what the log of one node added to it.
type auditRecord struct {
	Record  []byte
	EventID string
	Time    time.Time
	Cursor  string
}

// serveAudit lets the other nodes read this node's log.
func (n *node) serveAudit() {
	n.members.ServeAtNode(methodAuditSearch, func(ctx context.Context, _ string, payload []byte) ([]byte, error) {
		var ask auditAsk
		if err := json.Unmarshal(payload, &ask); err != nil {
			return nil, err
		}
		ask.Filter.Limit, ask.Filter.Budget = min(max(ask.Filter.Limit, 1), maxLookup), auditBudget
		page, err := audit.Search(ctx, n.cfg.Audit.Dir, ask.Filter)
		if err != nil {
			return nil, err
		}
		page.Trim(auditAnswer)
		return json.Marshal(auditPage{recordsOf(page.Entries), page.From, page.Next})
	})
	n.members.ServeAtNode(methodAuditAfter, func(ctx context.Context, _ string, payload []byte) ([]byte, error) {
		var ask auditAsk
		if err := json.Unmarshal(payload, &ask); err != nil {
			return nil, err
		}
		var from audit.Position
		var err error
		switch ask.After {
		case "":
		case audit.CursorEnd:
			from, err = audit.End(n.cfg.Audit.Dir)
		default:
			from, err = audit.ParsePosition(ask.After)
		}
		if err != nil {
			return nil, err
		}
		entries, next, err := audit.After(ctx, n.cfg.Audit.Dir, from, ask.Filter, auditAnswer/2)
		if err != nil {
			return nil, err
		}
		return json.Marshal(auditPage{recordsOf(entries), ask.After, next.String()})
	})
}

func recordsOf(entries []audit.Entry) []auditRecord {
	records := make([]auditRecord, len(entries))
	for i := range entries {
		e := &entries[i]
		records[i] = auditRecord{e.Record(), e.EventID, e.EventTime, e.Cursor}
	}
	return records
}

// askAudit asks some nodes, each its own question, and returns the pages of those that answered, and why others did not.
func (n *node) askAudit(ctx context.Context, method string, asks map[string]auditAsk) (pages map[string]auditPage, silent map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	pages, silent = make(map[string]auditPage), make(map[string]string)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for id, ask := range asks {
		wait.Go(func() {
			var page auditPage
			payload, err := json.Marshal(ask)
			if err == nil {
				if payload, err = n.members.AskNode(ctx, id, method, payload); err == nil {
					err = json.Unmarshal(payload, &page)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent[id] = err.Error()
				return
			}
			pages[id] = page
		})
	}
	wait.Wait()
	return pages, silent
}

// foundRecords is the answer of GET /v1/audit.
type foundRecords struct {
	Records []json.RawMessage `json:"records"`
	// Next continues; "" if nothing is left.
	Next string `json:"next,omitempty"`
	// Silent are the nodes that did not answer, with why: what only they have is missing.
	Silent map[string]string `json:"silent,omitempty"`
}

// lookupEvents finds records in the logs of all nodes, newest first, each once.
func (n *node) lookupEvents(ctx context.Context, r *http.Request) (any, error) {
	f, err := filterOf(r.URL.Query())
	if err != nil {
		return nil, err
	}
	cursors := map[string]string{}
	if s := r.URL.Query().Get("cursor"); s != "" {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err == nil {
			err = json.Unmarshal(b, &cursors)
		}
		if err != nil {
			return nil, fmt.Errorf("the cursor is not one of an earlier answer: %w", err)
		}
	}
	ids := n.members.Nodes()
	slices.Sort(ids)
	asks := make(map[string]auditAsk)
	for _, id := range ids {
		own := f
		if own.Cursor = cursors[id]; own.Cursor != audit.CursorEnd {
			asks[id] = auditAsk{Filter: own}
		}
	}
	answers, silent := n.askAudit(ctx, methodAuditSearch, asks)
	out := foundRecords{Records: []json.RawMessage{}, Silent: silent}
	var from []string
	var pages []audit.Page
	for _, id := range ids {
		a, ok := answers[id]
		if !ok {
			continue
		}
		p := audit.Page{From: a.From, Next: a.Next}
		for _, rec := range a.Records {
			p.Entries = append(p.Entries, audit.Entry{Line: rec.Record, EventID: rec.EventID, EventTime: rec.Time, Cursor: rec.Cursor})
		}
		from, pages = append(from, id), append(pages, p)
	}
	entries, next := audit.Merge(f.Limit, pages)
	for _, e := range entries {
		if json.Valid(e.Line) {
			out.Records = append(out.Records, e.Line)
		}
	}
	left := false
	for i, id := range from {
		cursors[id] = next[i]
	}
	for _, id := range from {
		left = left || cursors[id] != audit.CursorEnd
	}
	if left {
		b, err := json.Marshal(cursors)
		if err != nil {
			return nil, err
		}
		out.Next = base64.RawURLEncoding.EncodeToString(b)
	}
	return out, nil
}

// filterOf reads the filter of a query.
func filterOf(q url.Values) (f audit.Filter, err error) {
	f = audit.Filter{
		Key: q.Get("key"), EventName: q.Get("event"), EventSource: q.Get("source"), EventID: q.Get("event-id"), Principal: q.Get("principal"),
		UserName: q.Get("user"), AccessKeyID: q.Get("access-key-id"), AccountID: q.Get("account"), ErrorCode: q.Get("error"), Limit: 50,
	}
	for name, to := range map[string]*time.Time{"from": &f.From, "to": &f.To} {
		if s := q.Get(name); s != "" {
			if *to, err = time.Parse(time.RFC3339, s); err != nil {
				return f, fmt.Errorf("%s: %q is not a time such as 2026-01-31T12:00:00Z", name, s)
			}
		}
	}
	if s := q.Get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil || f.Limit < 1 || f.Limit > maxLookup {
			return f, fmt.Errorf("limit: %q is not a number from 1 to %d", s, maxLookup)
		}
	}
	return f, nil
}

const (
	// tailPause is the time between looks at the nodes' logs, tailWrite bounds one write to the reader.
	tailPause = 500 * time.Millisecond
	tailWrite = 30 * time.Second
	// tailMemory is how many event ids a tail remembers, to leave out the copies of other nodes.
	tailMemory = 65_536
)

// tailEvents sends the records of all nodes as they come, one a line, each once, until the reader goes away or the node stops.
func (n *node) tailEvents(w http.ResponseWriter, r *http.Request) {
	f, err := filterOf(r.URL.Query())
	n.noteAdmin(r, nil, err)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(adminError{err.Error()})
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.serving, cancel)()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{})
	_ = out.SetWriteDeadline(time.Now().Add(tailWrite))
	_ = out.Flush()
	t := &auditTail{node: n, filter: f, at: make(map[string]string), seen: make(map[string]bool)}
	if r.URL.Query().Get("begin") != "oldest" {
		for _, id := range n.members.Nodes() {
			t.at[id] = audit.CursorEnd
		}
	}
	for ctx.Err() == nil {
		lines, more := t.next(ctx)
		if len(lines) > 0 {
			_ = out.SetWriteDeadline(time.Now().Add(tailWrite))
			if _, err := w.Write(lines); err != nil || out.Flush() != nil {
				return
			}
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(tailPause):
		}
	}
}

// auditTail follows the logs of all nodes.
type auditTail struct {
	node   *node
	filter audit.Filter
	at     map[string]string // positions by node; a node that joins later is read from its beginning
	seen   map[string]bool
	order  []string // event ids in seen, oldest first
}

// next returns new records, oldest first, and whether there may be more at once. A node that does not answer is asked again: its
// records come late and not at all out of the others' way.
func (t *auditTail) next(ctx context.Context) (lines []byte, more bool) {
	asks := make(map[string]auditAsk)
	for _, id := range t.node.members.Nodes() {
		asks[id] = auditAsk{t.filter, t.at[id]}
	}
	pages, _ := t.node.askAudit(ctx, methodAuditAfter, asks)
	var all []auditRecord
	for id, p := range pages {
		t.at[id] = p.Next
		all = append(all, p.Records...)
		more = more || len(p.Records) > 0
	}
	slices.SortStableFunc(all, func(a, b auditRecord) int { return a.Time.Compare(b.Time) })
	for _, r := range all {
		if r.EventID != "" && t.seen[r.EventID] {
			continue
		}
		t.remember(r.EventID)
		lines = append(append(lines, r.Record...), '\n')
	}
	return lines, more
}

func (t *auditTail) remember(id string) {
	t.seen[id] = true
	if t.order = append(t.order, id); len(t.order) > tailMemory {
		delete(t.seen, t.order[0])
		t.order = t.order[1:]
	}
}

// routeAudit adds the admin API's part about the audit log.
func (n *node) routeAudit(mux *adminMux) {
	mux.HandleFunc("GET /v1/audit", n.admin(n.lookupEvents))
	mux.HandleFunc("GET /v1/audit/tail", n.tailEvents)
}

// auditQuery is a filter as a query.
func auditQuery(f *audit.Filter, from, to string, more ...string) string {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, value := range map[string]string{
		"key": f.Key, "event": f.EventName, "source": f.EventSource, "event-id": f.EventID, "principal": f.Principal, "user": f.UserName,
		"access-key-id": f.AccessKeyID, "account": f.AccountID, "error": f.ErrorCode, "from": from, "to": to,
	} {
		set(name, value)
	}
	for i := 0; i < len(more); i += 2 {
		set(more[i], more[i+1])
	}
	return strings.TrimSuffix("?"+q.Encode(), "?")
}
