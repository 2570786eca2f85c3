package check

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Kinds of operations that are no calls: what the harness notes of the run.
const (
	// RegionsParted lasts while every region is cut from every other one and nothing else is disturbed.
	RegionsParted = "RegionsParted"
)

// Identities judges identities that one region decides for all. A person, which is an operation's Key, is a user with access keys, an inline policy
// and a role; one client at a time changes it, so that the order of its states is known, and a change of unknown outcome is the last one. What is
// seen of it in a region belongs to one of these states:
//
//   - an acknowledged change is seen from then on in the region that was asked and at home, at each later moment;
//   - a region never shows an earlier state than it has shown before, nor does the home after another region has shown it;
//   - nothing is seen before it was asked for;
//   - at the end (In final) every region shows the last state.
//
// Each observation is given the earliest state that fits it, in the order of calls; that is the explanation that leaves most to those that
// follow, so that there is none if one of them finds no state.
//
// Changes (In home): CreateUser, CreateRole (Out id), DeleteUser, DeleteRole, PutUserPolicy, PutRolePolicy (In value: what the policy allows),
// DeleteUserPolicy, DeleteRolePolicy, CreateAccessKey (Out accessKeyId), UpdateAccessKey (In accessKeyId, status), DeleteAccessKey. Observations:
// GetUserPolicy (Out value), GetRole (Out id), ListAccessKeys (Out keys); calls with an access key (In accessKeyId): Encrypt (In value),
// AssumeRole (Out id, the role's), GetSessionToken, TagUser, which is decided at home; and Encrypt with a session that began with the access key
// (In issuer, the region that has made it; trusted, if this one is to accept it; role, if it is a role's). A change that is
// refused is an observation at home.
//
// RegionsParted: in its time a region that follows acknowledges no change and, if it answers, names the home; and goes on to authenticate.
func Identities(ops []history.Op) []Anomaly {
	f := &finding{workload: IdentitiesName}
	mine := of(IdentitiesName, ops)
	home := ""
	for i := range mine {
		home = cmp.Or(home, mine[i].In["home"])
	}
	f.contested(mine)
	f.parted(mine, home)
	restores, alone := marks(mine, RegionRestored), marks(mine, RegionAlone)
	parts := partition(mine, func(op *history.Op) []string {
		if op.In["contest"] != "" || op.Key == "" || op.Error == unknownCaller && strange(op, restores, alone) {
			return nil
		}
		return []string{op.Key}
	})
	for _, person := range slices.Sorted(maps.Keys(parts)) {
		f.person(person, home, parts[person])
	}
	f.unanswered(mine)
	return f.all
}

// settling is how long after a restore other regions may not have the session keys of the new life.
const settling = 10 * time.Second

// strange tells whether a region may refuse a session because the region that has made it was restored: its sessions from before end, and
// those from after are good elsewhere as soon as its keys are there.
func strange(op *history.Op, restores, alone []history.Op) bool {
	begun, err := strconv.ParseInt(op.In["begun"], 10, 64)
	if err != nil {
		return false
	}
	for i, r := range restores {
		if r.Region != op.In["issuer"] || op.Return < r.Return {
			continue
		}
		if begun < alone[i].Call || op.Region != r.Region && op.Call < alone[i].Return+int64(settling) {
			return true
		}
	}
	return false
}

// standing is the state of a person. Ids that nobody was told are anyID.
type standing struct {
	user, policy     string // unique id, and what the policy allows; "" for none
	role, rolePolicy string
	keys             map[string]bool // access key id -> active
}

const anyID = "?"

// change is what a change makes of a state; ok false for operations that change nothing.
func (s standing) change(op *history.Op) (next standing, ok bool) {
	id := cmp.Or(op.Out["id"], anyID)
	switch op.Kind {
	case "CreateUser":
		s.user = id
	case "DeleteUser":
		s.user = ""
	case "PutUserPolicy", "DeleteUserPolicy":
		s.policy = op.In["value"]
	case "CreateRole":
		s.role = id
	case "DeleteRole":
		s.role = ""
	case "PutRolePolicy", "DeleteRolePolicy":
		s.rolePolicy = op.In["value"]
	case "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey":
		s.keys = maps.Clone(s.keys)
		if s.keys == nil {
			s.keys = make(map[string]bool)
		}
		switch key := op.In["accessKeyId"]; op.Kind {
		case "CreateAccessKey":
			s.keys[cmp.Or(op.Out["accessKeyId"], anyID)] = true
			if op.In["attempts"] > "1" { // a retry makes another one, as the secret of the first is shown to nobody
				s.keys[anyID] = true
			}
		case "UpdateAccessKey":
			s.keys[key] = op.In["status"] == "Active"
		default:
			delete(s.keys, key)
		}
	default:
		return s, false
	}
	return s, true
}

// lists tells whether ListAccessKeys may show these keys, one of which may be one that nobody was told.
func (s standing) lists(keys string) bool {
	if !s.keys[anyID] {
		return keys == s.listed()
	}
	shown := slices.DeleteFunc(words(keys), func(k string) bool { id, _, _ := strings.Cut(k, "="); _, known := s.keys[id]; return !known })
	s.keys = maps.Clone(s.keys)
	delete(s.keys, anyID)
	return len(words(keys)) <= len(shown)+1 && strings.Join(shown, ",") == s.listed()
}

// listed is how ListAccessKeys shows the keys.
func (s standing) listed() string {
	var all []string
	for key, active := range s.keys {
		all = append(all, key+map[bool]string{true: "=Active", false: "=Inactive"}[active])
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func sameID(a, b string) bool { return a == b || a == anyID && b != "" }

// invalidToken is what services other than KMS answer to a deleted access key.
const invalidToken = "InvalidClientTokenId"

// noEntity is the answer of IAM about something that is not there.
const noEntity = "NoSuchEntity"

// fits tells whether an observation is of a state.
func (s standing) fits(op *history.Op) bool {
	refused := ""
	if op.Outcome == history.Refused {
		refused = op.Error
	}
	active := s.keys[op.In["accessKeyId"]]
	is := func(code string, allowed bool) bool { return refused == code && allowed }
	switch op.Kind {
	case "Encrypt":
		unknown, policy := !active, s.policy
		if issuer := op.In["issuer"]; issuer != "" && op.In["trusted"] == "" {
			return refused == unknownCaller
		}
		if role := op.In["role"]; role != "" {
			unknown, policy = unknown || !sameID(s.role, role), s.rolePolicy
		}
		switch refused {
		case "":
			return !unknown && policy != "" && policy == op.In["value"]
		case denied:
			return !unknown && (policy == "" || policy != op.In["value"])
		}
		return is(unknownCaller, unknown)
	case "AssumeRole":
		return is("", active && sameID(s.role, op.Out["id"])) || is("AccessDenied", active && s.role == "") || is(invalidToken, !active)
	case "GetSessionToken":
		return is("", active) || is(invalidToken, !active)
	case "TagUser":
		return is("", active && s.policy != "") || is("AccessDenied", active && s.policy == "") || is(invalidToken, !active)
	case "GetUserPolicy":
		return is("", s.policy != "" && s.policy == op.Out["value"]) || is(noEntity, s.policy == "")
	case "GetRole":
		return is("", s.role != "" && sameID(s.role, op.Out["id"])) || is(noEntity, s.role == "")
	case "ListAccessKeys":
		return is("", s.user != "" && s.lists(op.Out["keys"])) || is(noEntity, s.user == "")
	case "CreateUser":
		return is("EntityAlreadyExists", s.user != "")
	case "CreateAccessKey":
		return is("LimitExceeded", s.keys[anyID])
	case "DeleteAccessKey":
		_, there := s.keys[op.In["accessKeyId"]]
		return is(noEntity, !there)
	}
	return false
}

// life is what is known of a person.
type life struct {
	states  []standing
	changes []*history.Op // changes[i] led to states[i+1]
	acked   int           // states that changes were acknowledged of: the last one that is sure
}

// person judges one person.
func (f *finding) person(name, home string, part []history.Op) {
	slices.SortStableFunc(part, func(a, b history.Op) int { return cmp.Compare(a.Call, b.Call) })
	l := life{states: []standing{{}}}
	var seen []*history.Op
	for i := range part {
		op := &part[i]
		next, changes := l.states[len(l.states)-1].change(op)
		if !changes || op.Outcome == history.Refused {
			if op.Outcome != history.Unknown {
				seen = append(seen, op)
			}
			continue
		}
		if op.In["fresh"] != "" && op.Error == "EntityAlreadyExists" {
			f.add([]history.Op{*op}, "%s: a retry was taken for another call: %s", name, describe(op))
		}
		l.states, l.changes = append(l.states, next), append(l.changes, op)
		if op.Outcome == history.OK {
			l.acked = len(l.states) - 1
		}
	}
	// What each region has shown, by the end of the call that it was shown to, and the highest version so far.
	var shown []mark
	for _, op := range seen {
		region := op.Region
		if op.In["home"] != "" && op.Error != invalidToken { // the home decides; who signs is also asked where it is received
			region = home
		}
		least, why := l.least(op, region, home, shown)
		most := len(slices.DeleteFunc(slices.Clone(l.changes), func(c *history.Op) bool { return c.Call >= op.Return }))
		v := least
		for v <= most && !l.states[v].fits(op) {
			v++
		}
		if v > most {
			f.add(append(why, *op), "%s: %s fits no state that %s can have (%d to %d of %d): %s", name, describe(op), region, least, most, len(l.changes), l.told(least, most))
			continue
		}
		shown = append(shown, mark{region, op.Return, v, op})
		if op.Outcome == history.OK { // answered when the region that was asked had what the home has decided on
			shown = append(shown, mark{op.Region, op.Return, v, op})
		}
	}
}

// mark is a state that a region has shown.
type mark struct {
	region string
	at     int64
	state  int
	op     *history.Op
}

// floor is the last state whose change had been acknowledged by a region, or if it is the home by any, before a time.
func (l *life) floor(before int64, region, home string) int {
	for i, c := range slices.Backward(l.changes) {
		if c.Outcome == history.OK && c.Return < before && (region == home || c.Region == region) {
			return i + 1
		}
	}
	return 0
}

// least is the earliest state that a region may show, and what shows that.
func (l *life) least(op *history.Op, region, home string, shown []mark) (least int, why []history.Op) {
	if op.In["final"] != "" {
		return l.acked, nil
	}
	if least = l.floor(op.Call, region, home); least > 0 {
		why = []history.Op{*l.changes[least-1]}
	}
	for _, m := range shown {
		if m.at < op.Call && m.state > least && (m.region == region || region == home) {
			least, why = m.state, []history.Op{*l.changes[m.state-1], *m.op}
		}
	}
	return least, why
}

// told describes the states that were possible, as many as are of use.
func (l *life) told(least, most int) string {
	var all []string
	for v := max(least, most-3); v <= most; v++ {
		s := &l.states[v]
		all = append(all, fmt.Sprintf("%d: user %s policy %q role %s policy %q keys %s", v, s.user, s.policy, s.role, s.rolePolicy, s.listed()))
	}
	return strings.Join(all, "; ")
}

// contested judges creations of one name by several clients at once (In contest).
func (f *finding) contested(ops []history.Op) {
	names := partition(ops, func(op *history.Op) []string {
		if op.In["contest"] == "" {
			return nil
		}
		return []string{op.In["contest"]}
	})
	for _, name := range slices.Sorted(maps.Keys(names)) {
		made, may, refused := 0, 0, 0
		for _, op := range names[name] {
			switch {
			case op.Outcome == history.OK:
				made++
			case op.Outcome == history.Unknown:
				may++
			case op.Error == "EntityAlreadyExists":
				refused++
			default:
				f.add(names[name], "%s: refused without a reason: %s", name, describe(&op))
			}
		}
		if made > 1 || made+may == 0 && refused > 0 {
			f.add(names[name], "%s was made %d times; %d creations were refused since it was there", name, made, refused)
		}
	}
}

// parted judges what regions did while they were cut from each other.
func (f *finding) parted(ops []history.Op, home string) {
	i := slices.IndexFunc(ops, func(op history.Op) bool { return op.Kind == RegionsParted })
	if i < 0 || home == "" {
		return
	}
	from, until := ops[i].Call, ops[i].Return
	asked, served := make(map[string]bool), make(map[string]bool)
	for i := range ops {
		op := &ops[i]
		if op.Call < from || op.Call > until || op.Region == home || op.Kind == RegionsParted {
			continue
		}
		switch {
		case op.In["home"] != "" && op.Outcome == history.OK && op.Return < until:
			f.add([]history.Op{*op}, "acknowledged by a region that is cut from the home: %s", describe(op))
		case op.In["home"] != "" && op.Error == "ServiceUnavailable" && !strings.Contains(op.In["said"], home):
			f.add([]history.Op{*op}, "refused by a region that is cut from the home, without naming it (%q): %s", op.In["said"], describe(op))
		case op.Kind == "Encrypt" && op.In["issuer"] == "" && op.Return != math.MaxInt64:
			asked[op.Region] = true
			if op.Outcome == history.OK || op.Outcome == history.Refused {
				served[op.Region] = true
			}
		}
	}
	for _, region := range slices.Sorted(maps.Keys(asked)) {
		if !served[region] {
			f.add(nil, "%s authenticated nobody while it was cut from the home", region)
		}
	}
}
