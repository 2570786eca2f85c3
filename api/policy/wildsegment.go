package policy

import "unicode/utf8"

// wildSegment is a segment with question marks. Where it has to be searched for, it is a Shift-And automaton: bit i of the
// state says that the first i+1 characters match those up to here, and one step for each character of the text serves all
// places at which the segment may begin. Trying each place by itself would cost their product, which a policy full of
// question marks turns into seconds.
type wildSegment struct {
	characters []rune // anyCharacter for a question mark
	// For search only. masks holds words words for each class of characters: the positions where such a character fits.
	// Class 0 are the characters that the segment does not name. classes has the class of each character below 256, others
	// that of the rest.
	words   int
	classes *[256]uint16
	others  map[rune]uint16
	masks   []uint64
}

const anyCharacter rune = -1

// newWildSegment makes a segment of parts, in which values are those of its variables, in order.
func newWildSegment(parts []part, values []string, inner bool) *wildSegment {
	w := &wildSegment{}
	for i := range parts {
		text := parts[i].text
		switch parts[i].kind {
		case partOne:
			w.characters = append(w.characters, anyCharacter)
			continue
		case partVariable:
			text, values = values[0], values[1:]
		}
		for _, r := range text {
			w.characters = append(w.characters, r)
		}
	}
	if inner {
		w.index()
	}
	return w
}

// index builds the automaton.
func (w *wildSegment) index() {
	w.words = (len(w.characters) + 63) / 64
	w.classes = new([256]uint16)
	w.masks = make([]uint64, w.words)
	for i, r := range w.characters {
		if r == anyCharacter {
			continue
		}
		class := w.class(r)
		if class == 0 {
			class = uint16(len(w.masks) / w.words)
			w.masks = append(w.masks, make([]uint64, w.words)...)
			if r < 256 {
				w.classes[r] = class
			} else {
				if w.others == nil {
					w.others = make(map[rune]uint16)
				}
				w.others[r] = class
			}
		}
		w.masks[int(class)*w.words+i/64] |= 1 << (i % 64)
	}
	for i, r := range w.characters {
		for at := i / 64; r == anyCharacter && at < len(w.masks); at += w.words {
			w.masks[at] |= 1 << (i % 64)
		}
	}
}

func (w *wildSegment) class(r rune) uint16 {
	if r < 256 {
		return w.classes[r]
	}
	return w.others[r]
}

// prefix returns how many bytes at the start of s the segment matches.
func (w *wildSegment) prefix(s string) (int, bool) {
	at := 0
	for _, want := range w.characters {
		if at == len(s) {
			return 0, false
		}
		r, n := decode(s[at:])
		if want != anyCharacter && want != r {
			return 0, false
		}
		at += n
	}
	return at, true
}

// decode returns the first character of s.
func decode(s string) (rune, int) {
	if c := s[0]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRuneInString(s)
}

// search returns where the first occurrence in s ends, -1 if there is none.
func (w *wildSegment) search(s string) int {
	if len(s) < len(w.characters) {
		return -1
	}
	if w.words == 1 {
		return w.searchWord(s)
	}
	state := make([]uint64, w.words)
	last := uint64(1) << ((len(w.characters) - 1) % 64)
	for at := 0; at < len(s); {
		r, n := decode(s[at:])
		at += n
		masks := w.masks[int(w.class(r))*w.words:]
		carry := uint64(1)
		for i := range state {
			next := state[i] >> 63
			state[i] = (state[i]<<1 | carry) & masks[i]
			carry = next
		}
		if state[w.words-1]&last != 0 {
			return at
		}
	}
	return -1
}

// searchWord is search for a segment of at most 64 characters.
func (w *wildSegment) searchWord(s string) int {
	last := uint64(1) << (len(w.characters) - 1)
	var state uint64
	for at := 0; at < len(s); {
		r, n := decode(s[at:])
		at += n
		state = (state<<1 | 1) & w.masks[w.class(r)]
		if state&last != 0 {
			return at
		}
	}
	return -1
}
