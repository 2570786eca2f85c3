package awsjson

// maxDepth is how deep arrays and objects may nest, that of the body included. The deepest shape of the model needs four.
const maxDepth = 32

// skip consumes any value, checking its syntax.
func (s *scanner) skip(depth int) bool {
	switch c := s.next(); {
	case c == '"':
		_, _, ok := s.text()
		return ok
	case c == '-' || '0' <= c && c <= '9':
		_, ok := s.number()
		return ok
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '[':
		return s.elements(depth, func(int) bool { return s.skip(depth + 1) })
	case c == '{':
		return s.entries(depth, func([]byte) bool { return s.skip(depth + 1) })
	}
	return s.unexpected("a value")
}

// elements consumes an array, calling each for every element.
func (s *scanner) elements(depth int, each func(i int) bool) bool {
	if depth >= maxDepth {
		return s.fail("The request body is nested too deeply")
	}
	if !s.take('[') {
		return false
	}
	if s.next() == ']' {
		s.pos++
		return true
	}
	for i := 0; each(i); i++ {
		switch s.next() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return true
		default:
			return s.unexpected("',' or ']'")
		}
	}
	return false
}

// entries consumes an object, calling each with every key, unescaped and valid only during the call.
func (s *scanner) entries(depth int, each func(key []byte) bool) bool {
	if depth >= maxDepth {
		return s.fail("The request body is nested too deeply")
	}
	if !s.take('{') {
		return false
	}
	if s.next() == '}' {
		s.pos++
		return true
	}
	for {
		key, escaped, ok := s.text()
		if !ok || !s.take(':') {
			return false
		}
		if escaped {
			key = unescape(make([]byte, 0, len(key)), key)
		}
		if !each(key) {
			return false
		}
		switch s.next() {
		case ',':
			s.pos++
			s.next()
		case '}':
			s.pos++
			return true
		default:
			return s.unexpected("',' or '}'")
		}
	}
}
