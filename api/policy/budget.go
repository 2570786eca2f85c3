package policy

// budget bounds the work of one evaluation, in steps of a few nanoseconds: comparisons of values, and characters that are searched
// for a pattern, each as often as the pattern's automaton has machine words. Policies and requests that mean something need a few
// thousand. A hostile policy of 32 KiB on a hostile request of a megabyte would need as many as their product; such a request is
// refused, since nobody knows what the rest of the policy would have said.
const budget = 16 << 20

// spend accounts for work that is about to be done and tells whether it may be.
func (e *evaluation) spend(steps int) bool {
	e.work += steps
	return e.work <= budget
}

// exhausted tells that the evaluation was cut short.
func (e *evaluation) exhausted() bool { return e.work > budget }

// bounded refuses what was not evaluated to the end.
func (e *evaluation) bounded(d Decision) Decision {
	if !e.exhausted() {
		return d
	}
	e.note("the policies can be evaluated within bounds", false)
	if !d.Allowed() {
		return d
	}
	return implicit(IdentityBasedPolicy)
}

// largest is the size of the largest automaton in machine words, at least one. A text is looked at once, each part of it by one of the
// segments: its length times this bounds the work.
func largest(segments []segment) int {
	words := 1
	for i := range segments {
		if w := segments[i].wild; w != nil {
			words = max(words, w.words)
		}
	}
	return words
}

// automatonCost is the work of making the automaton of a segment with variables: its size grows with the square of its length.
func automatonCost(parts []part, values []string) int {
	n := len(parts)
	for i := range parts {
		n += len(parts[i].text)
	}
	for _, v := range values {
		n += len(v)
	}
	return n + n*n/64
}
