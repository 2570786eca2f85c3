package cluster

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"os"
	"testing"
)

// A model of Raft's logs with a reader on top, small enough to visit every state: elections by any majority, replication entry by
// entry with truncation, commits under the old and the new configuration, changes of one voter at a time, matches that a leader
// believes although they are old, and a reader that takes one answer at a time while all that goes on. It leaves messages out: a
// step may be as late as any message.
//
// What it is asked: can a reader serve a state without something that was acknowledged before it began?

const (
	modelNodes = 4
	modelLog   = 5
)

// modelEntry is one entry of a log.
type modelEntry struct {
	term   uint8
	kind   uint8
	voters uint8 // of a configuration: a bit for each node
}

const (
	kindNoop = iota + 1
	kindWrite
	kindConfig
)

// modelReader is a read round under way.
type modelReader struct {
	running       bool
	node          uint8
	cfgIndex      uint8 // of the configuration whose voters are asked
	voters        uint8
	answered      uint8 // a bit for each node
	target        uint8 // the highest answer
	began, sought uint8 // what the node had applied, and what was acknowledged, at the start
}

// world is one state.
type world struct {
	term, last, commit [modelNodes]uint8
	log                [modelNodes][modelLog]modelEntry
	leads              uint8                         // a bit for each node
	first              [modelNodes]uint8             // first entry of a leader's own term
	match              [modelNodes][modelNodes]uint8 // what a leader believes that others have
	terms, acked       uint8                         // highest term and acknowledged index so far
	read               modelReader
}

// model says how large the world may grow and how readers read.
type model struct {
	nodes, log, terms int
	// latest has readers ask the newest configuration in their log, as the library has it, instead of the applied one.
	latest bool
	// index has them pass over answers of voters whose own newest configuration is further: the check that was meant to make
	// latest safe.
	index bool
	// recheck has them serve only if their applied configuration is still the one that they asked under.
	recheck bool
}

func has(set uint8, node int) bool { return set&(1<<node) != 0 }
func majorityOf(set uint8) int     { return bits.OnesCount8(set)/2 + 1 }

// config is the newest configuration of a node's log up to an index.
func (w *world) config(node int, upTo uint8) (index, voters uint8) {
	for i := upTo; i > 0; i-- {
		if e := w.log[node][i-1]; e.kind == kindConfig {
			return i, e.voters
		}
	}
	return 0, 0
}

func (w *world) lastTerm(node int) uint8 {
	if w.last[node] == 0 {
		return 0
	}
	return w.log[node][w.last[node]-1].term
}

// follow has a node leave office, if it has one, for a term.
func (w *world) follow(node int, term uint8) {
	w.term[node], w.first[node], w.match[node] = term, 0, [modelNodes]uint8{}
	w.leads &^= 1 << node
}

func (w *world) append(node int, e modelEntry) {
	w.log[node][w.last[node]] = e
	w.last[node]++
	w.match[node][node] = w.last[node]
}

// steps calls emit with every state that one step leads to.
func (m *model) steps(w *world, emit func(world)) {
	for n := range m.nodes {
		m.elect(w, n, emit)
		if has(w.leads, n) {
			m.lead(w, n, emit)
		}
	}
	m.readOn(w, emit)
}

// elect has a node win the votes of every set of voters that may elect it.
func (m *model) elect(w *world, n int, emit func(world)) {
	_, voters := w.config(n, w.last[n])
	if int(w.terms) == m.terms || int(w.last[n]) == m.log || !has(voters, n) {
		return
	}
	var willing uint8
	for v := range m.nodes {
		behind := w.lastTerm(v) < w.lastTerm(n) || w.lastTerm(v) == w.lastTerm(n) && w.last[v] <= w.last[n]
		if v != n && has(voters, v) && behind {
			willing |= 1 << v
		}
	}
	for votes := uint8(0); votes < 1<<m.nodes; votes++ {
		if votes&^willing != 0 || bits.OnesCount8(votes)+1 != majorityOf(voters) {
			continue
		}
		next := *w
		next.terms++
		for v := range m.nodes {
			if v == n || has(votes, v) {
				next.follow(v, next.terms)
			}
		}
		next.leads |= 1 << n
		next.first[n] = next.last[n] + 1
		next.append(n, modelEntry{term: next.terms, kind: kindNoop})
		emit(next)
	}
}

// lead is what a leader can do.
func (m *model) lead(w *world, n int, emit func(world)) {
	cfgIndex, voters := w.config(n, w.last[n])
	if int(w.last[n]) < m.log {
		next := *w
		next.append(n, modelEntry{term: w.term[n], kind: kindWrite})
		emit(next)
		if cfgIndex <= w.commit[n] && w.commit[n] >= w.first[n] { // one change at a time, and the parent committed
			for v := range m.nodes {
				if changed := voters ^ 1<<v; changed != 0 {
					next := *w
					next.append(n, modelEntry{term: w.term[n], kind: kindConfig, voters: changed})
					emit(next)
				}
			}
		}
	}
	for i := max(w.commit[n]+1, w.first[n]); i <= w.last[n]; i++ {
		committed := m.counts(w, n, voters, i)
		if !committed && cfgIndex > w.commit[n] && i <= cfgIndex { // counted before the leader took the change in
			_, old := w.config(n, cfgIndex-1)
			committed = m.counts(w, n, old, i)
		}
		if committed {
			next := *w
			next.commit[n] = i
			next.acked = max(next.acked, i)
			if _, then := next.config(n, i); cfgIndex <= i && !has(then, n) {
				next.follow(n, next.term[n]) // it has removed itself
			}
			emit(next)
		}
	}
	for f := range m.nodes {
		if f != n && w.term[f] <= w.term[n] {
			m.replicate(w, n, f, emit)
		}
	}
}

func (m *model) counts(w *world, leader int, voters, index uint8) bool {
	n := 0
	for v := range m.nodes {
		if has(voters, v) && w.match[leader][v] >= index {
			n++
		}
	}
	return n >= majorityOf(voters)
}

// replicate sends a follower one entry more than both have in common, with or without news of what is committed.
func (m *model) replicate(w *world, n, f int, emit func(world)) {
	var common uint8
	for common < min(w.last[n], w.last[f]) && w.log[n][common] == w.log[f][common] {
		common++
	}
	next := *w
	next.follow(f, w.term[n])
	if common < w.last[n] {
		for i := int(common); i < modelLog; i++ {
			next.log[f][i] = modelEntry{}
		}
		next.log[f][common] = w.log[n][common]
		common++
		next.last[f] = common
	}
	next.match[n][f] = max(next.match[n][f], common)
	if next != *w {
		emit(next)
	}
	if c := min(w.commit[n], common); c > next.commit[f] { // clamped to what the request has checked
		next.commit[f] = c
		emit(next)
	}
}

// readOn begins a round, or takes one more answer.
func (m *model) readOn(w *world, emit func(world)) {
	r := &w.read
	if !r.running {
		if w.acked < 2 {
			return
		}
		for n := range m.nodes {
			at := w.commit[n]
			if m.latest {
				at = w.last[n]
			}
			index, voters := w.config(n, at)
			if index == 0 {
				continue
			}
			next := *w
			next.read = modelReader{running: true, node: uint8(n), cfgIndex: index, voters: voters, began: w.commit[n], sought: w.acked}
			emit(next)
		}
		return
	}
	if bits.OnesCount8(r.answered) >= majorityOf(r.voters) {
		return
	}
	for v := range m.nodes {
		if !has(r.voters, v) || has(r.answered, v) {
			continue
		}
		if index, _ := w.config(v, w.last[v]); m.index && index > r.cfgIndex {
			continue
		}
		next := *w
		next.read.answered |= 1 << v
		next.read.target = max(r.target, w.last[v])
		emit(next)
	}
}

// stale reports whether the reader may serve now, without something that was acknowledged before it began.
func (m *model) stale(w *world) bool {
	r := &w.read
	if !r.running || bits.OnesCount8(r.answered) < majorityOf(r.voters) || w.commit[r.node] < r.target {
		return false
	}
	served := max(r.target, r.began) // the node may have applied no more than that when it looked
	if served >= r.sought {
		return false
	}
	if index, _ := w.config(int(r.node), served); m.recheck && index != r.cfgIndex {
		return false
	}
	return true
}

// forked reports whether two nodes have committed different entries: then the model is wrong.
func (m *model) forked(w *world) bool {
	for a := range m.nodes {
		for b := range a {
			for i := range min(w.commit[a], w.commit[b]) {
				if w.log[a][i] != w.log[b][i] {
					return true
				}
			}
		}
	}
	return false
}

// explore visits all states that can be reached, at most a number of them. It returns one in which a stale read is served.
func (m *model) explore(t *testing.T, from world, most int) (stale *world, states int) {
	seed := maphash.MakeSeed()
	seen := map[uint64]struct{}{maphash.Comparable(seed, from): {}}
	for level := []world{from}; len(level) > 0; {
		var next []world
		for i := range level {
			m.steps(&level[i], func(w world) {
				h := maphash.Comparable(seed, w)
				if _, ok := seen[h]; ok || stale != nil || len(seen) >= most {
					return
				}
				seen[h] = struct{}{}
				if m.forked(&w) {
					t.Fatalf("two nodes have committed different entries: %+v", w)
				}
				if m.stale(&w) {
					stale = &w
				}
				next = append(next, w)
			})
		}
		if level = next; stale != nil {
			break
		}
	}
	return stale, len(seen)
}

// newGroup is a group whose nodes all have the first configuration and nothing else.
func (m *model) newGroup() (w world) {
	all := uint8(1<<m.nodes - 1)
	w.terms, w.acked = 1, 1
	for n := range m.nodes {
		w.term[n], w.last[n], w.commit[n] = 1, 1, 1
		w.log[n][0] = modelEntry{term: 1, kind: kindConfig, voters: all}
	}
	return w
}

// dividedGroup has node 0 with a configuration {0, 1, 2} of its own, never committed, and node 2 leading the others in a later term.
func (m *model) dividedGroup() world {
	w := m.newGroup()
	for n := range m.nodes {
		w.log[n][1] = modelEntry{term: 1, kind: kindNoop}
		w.last[n], w.commit[n], w.term[n] = 2, 2, 3
	}
	w.terms, w.acked = 3, 2
	w.term[0] = 2
	w.log[0][2] = modelEntry{term: 2, kind: kindConfig, voters: 0b0111}
	w.last[0] = 3
	w.leads, w.first[2] = 1<<2, 3
	w.append(2, modelEntry{term: 3, kind: kindNoop})
	return w
}

// ledGroup has the last node lead, with an entry of its term committed everywhere.
func (m *model) ledGroup() world {
	w := m.newGroup()
	leader := m.nodes - 1
	for n := range m.nodes {
		w.log[n][1] = modelEntry{term: 2, kind: kindNoop}
		w.term[n], w.last[n], w.commit[n], w.match[leader][n] = 2, 2, 2, 2
	}
	w.terms, w.acked = 2, 2
	w.leads, w.first[leader] = 1<<leader, 2
	return w
}

// TestModel: the read round serves nothing stale in any state that the model reaches, and the model finds the round's planted
// faults. TRENT_MODEL=1 visits some millions of states more and takes minutes.
func TestModel(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of computing, and a minute under the race detector, which has nothing to find here")
	}
	long := os.Getenv("TRENT_MODEL") != ""
	most := 200_000
	if long {
		most = 30_000_000
	}
	ours := model{recheck: true}
	sized := func(m model, nodes, log, terms int) model {
		m.nodes, m.log, m.terms = nodes, log, terms
		return m
	}
	for _, c := range []struct {
		name  string
		m     model
		from  func(*model) world
		stale bool
		whole bool // within the bound, every state there is
	}{
		{"three nodes, three entries", sized(ours, 3, 3, 3), (*model).newGroup, false, true},
		{"three nodes, four entries", sized(ours, 3, 4, 3), (*model).newGroup, false, long},
		{"three nodes with a leader", sized(ours, 3, 5, 2), (*model).ledGroup, false, long},
		{"a divided group of four", sized(ours, 4, 5, 3), (*model).dividedGroup, false, long},
		{"four nodes", sized(ours, 4, 4, 2), (*model).newGroup, false, false},
		{"planted: the configuration is not looked at again", sized(model{}, 3, 5, 2), (*model).ledGroup, true, false},
		{"planted: the newest configuration in the log is asked", sized(model{latest: true}, 4, 5, 3), (*model).dividedGroup, true, false},
		{"planted: and answers that know a newer one are passed over", sized(model{latest: true, index: true}, 4, 5, 3), (*model).dividedGroup, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, bound := c.from(&c.m), most
			if c.stale {
				bound = max(most, 2_000_000)
			}
			stale, states := c.m.explore(t, from, bound)
			t.Logf("%d states", states)
			switch {
			case stale != nil && !c.stale:
				t.Errorf("a stale read:\n%s", stale)
			case stale == nil && c.stale:
				t.Errorf("the fault was not found in %d states: the model proves nothing", states)
			case c.whole && states >= bound:
				t.Errorf("more than %d states: not all were visited", bound)
			}
		})
	}
}

// String shows a state, for the report of a stale read.
func (w *world) String() (s string) {
	for n := range modelNodes {
		s += fmt.Sprintf("node %d, term %d, leads %v, committed %d:", n, w.term[n], has(w.leads, n), w.commit[n])
		for _, e := range w.log[n][:w.last[n]] {
			s += fmt.Sprintf(" %d:%s", e.term, []string{"", "no-op", "write", fmt.Sprintf("voters %04b", e.voters)}[e.kind])
		}
		s += "\n"
	}
	return s + fmt.Sprintf("reader: %+v", w.read)
}
