package fsm

// interner lets rows share equal strings: account ids and enumerations always, key policies mostly, since most keys
// of an account have its default policy. It remembers one string per slot of a fixed number of slots, so that it pins
// at most 16 MiB of policies; what it forgets costs memory, never correctness. Only apply and restore use it, one at
// a time.
type interner struct {
	small [1024]string
	large [512]string
}

const (
	maxSmall = 64
	maxLarge = 32 << 10
)

// string returns a string equal to s, an earlier one if possible.
func (n *interner) string(s string) string {
	switch {
	case s == "" || len(s) > maxLarge:
		return s
	case len(s) <= maxSmall:
		return share(&n.small[fnv1a(s)%uint64(len(n.small))], s)
	}
	return share(&n.large[fnv1a(s)%uint64(len(n.large))], s)
}

func share(slot *string, s string) string {
	if *slot != s {
		*slot = s
	}
	return *slot
}

// Constants of the 64-bit FNV-1a hash.
const (
	fnvOffset = uint64(14695981039346656037)
	fnvPrime  = uint64(1099511628211)
)

// fnv1a is the 64-bit FNV-1a hash.
func fnv1a(s string) uint64 {
	h := fnvOffset
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// key makes a row share its strings. The row is not published yet. A nil interner leaves it as it is: for rows that never will be.
func (n *interner) key(k *Key) {
	if n == nil {
		return
	}
	k.Account, k.Manager = n.string(k.Account), n.string(k.Manager)
	k.Spec, k.Usage, k.Origin = n.string(k.Spec), n.string(k.Usage), n.string(k.Origin)
	k.Policy, k.Description = n.string(k.Policy), n.string(k.Description)
	for i := range k.Tags {
		k.Tags[i].Key = n.string(k.Tags[i].Key)
	}
	for i := range k.Materials {
		k.Materials[i].RotationType = n.string(k.Materials[i].RotationType)
	}
}
