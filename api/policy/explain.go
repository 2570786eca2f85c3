package policy

// Explanation is a decision with everything that led to it: for simulations and for operators who ask why.
type Explanation struct {
	Decision Decision
	// Statements are the results of all statements of all policies, in the order of evaluation.
	Statements []StatementResult
	// Grants are the grants that were looked at; none, if policies decided.
	Grants []GrantResult
	// Steps are the questions of the algorithm and their answers.
	Steps []Step
}

// StatementResult tells whether a statement matched the request, element by element.
type StatementResult struct {
	PolicyType PolicyType
	Policy     int // among the policies of its type
	Statement  int
	Sid        string
	Effect     Effect
	// Inert: the statement lacks Action or Resource and never matches.
	Inert bool
	// Principal is true for policies without principals.
	Principal, Action, Resource, Condition bool
	Conditions                             []ConditionResult
	// Delegates: the caller's account is named, so that its identity policies have to allow too.
	Delegates bool
	// Matches: the statement applies to the request.
	Matches bool
}

// ConditionResult is one condition key under one operator.
type ConditionResult struct {
	Operator string // as the document writes it
	Key      string // as the document writes it
	Policy   []string
	Request  []string
	// Absent: the request has no such key. Void: it has, but its values must not count ([Void]).
	Absent, Void bool
	Holds        bool
}

// GrantResult tells whether a grant covered the call and whether it named the caller.
type GrantResult struct {
	GrantID string
	// Covers: key, operation and constraint fit. Allows: the grantee is the caller as well.
	Covers, Allows bool
}

// Step is one question of the algorithm (spec 04 EV-03).
type Step struct {
	Question string
	Holds    bool
}

// Explain decides like [Decide], by the same code, and records every step. It evaluates what a decision can leave out; if that
// is more than the bound allows, the decision is still the one of Decide.
func Explain(req *Request) Explanation {
	var r recorder
	var e evaluation
	if r.out.Decision = e.decide(req, &r); e.exhausted() {
		r.out.Decision = Decide(req)
	}
	return r.out
}

// recorder collects an explanation.
type recorder struct {
	out Explanation
}

func (r *recorder) begin(t PolicyType, policy, index int, s *statement) {
	r.out.Statements = append(r.out.Statements, StatementResult{
		PolicyType: t, Policy: policy, Statement: index, Sid: s.sid, Effect: s.effect, Inert: s.inert,
	})
}

func (r *recorder) last() *StatementResult { return &r.out.Statements[len(r.out.Statements)-1] }

func (r *recorder) end(st standing, acts, covers, holds, matches bool) {
	s := r.last()
	s.Principal, s.Action, s.Resource, s.Condition, s.Matches = st != 0, acts, covers, holds, matches
	s.Delegates = st&standDelegate != 0
}

func (r *recorder) condition(c *condition, v Values, holds bool) {
	written := make([]string, len(c.values))
	for i := range c.values {
		written[i] = c.values[i].written
	}
	s := r.last()
	s.Conditions = append(s.Conditions, ConditionResult{
		Operator: c.written, Key: c.key.written, Policy: written, Request: v.Strings(),
		Absent: v.IsAbsent(), Void: v.IsVoid(), Holds: holds,
	})
}

func (r *recorder) grant(g *Grant, covers, allows bool) {
	r.out.Grants = append(r.out.Grants, GrantResult{GrantID: g.ID, Covers: covers, Allows: allows})
}

func (r *recorder) step(question string, holds bool) {
	r.out.Steps = append(r.out.Steps, Step{Question: question, Holds: holds})
}
