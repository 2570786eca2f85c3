package check

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// needle is one form of a secret.
type needle struct {
	what  string
	bytes []byte
}

// Scanner looks for secrets in files: as they are, in hexadecimal, and within base64 at every alignment. It is safe for concurrent use
// once all secrets are added.
type Scanner struct {
	filter  [1 << 18]uint64 // a bit for each first three bytes of a needle
	needles map[[3]byte][]needle
	longest int
}

// minSecret is the least length of a secret that is not found by chance.
const minSecret = 16

// Add adds a secret of at least 16 bytes.
func (s *Scanner) Add(what string, secret []byte) error {
	if len(secret) < minSecret {
		return fmt.Errorf("%s: a secret of under %d bytes would be found by chance", what, minSecret)
	}
	if s.needles == nil {
		s.needles = make(map[[3]byte][]needle)
	}
	s.add(what, secret)
	s.add(what+" in hexadecimal", []byte(hex.EncodeToString(secret)))
	s.add(what+" in hexadecimal", []byte(strings.ToUpper(hex.EncodeToString(secret))))
	for shift := range 3 {
		// The groups of three bytes that lie wholly within the secret read the same whatever stands before and after.
		part := secret[(3-shift)%3:]
		part = part[:len(part)/3*3]
		s.add(what+" in base64", []byte(base64.StdEncoding.EncodeToString(part)))
		if url := base64.URLEncoding.EncodeToString(part); strings.ContainsAny(url, "-_") {
			s.add(what+" in base64", []byte(url))
		}
	}
	return nil
}

func (s *Scanner) add(what string, b []byte) {
	head := [3]byte(b)
	s.needles[head] = append(s.needles[head], needle{what, bytes.Clone(b)})
	i := index(head)
	s.filter[i>>6] |= 1 << (i & 63)
	s.longest = max(s.longest, len(b))
}

func index(b [3]byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// Scan reads to the end and returns what was found, each secret once, and how many bytes it read.
func (s *Scanner) Scan(r io.Reader) (found []string, n int64, err error) {
	const chunk = 1 << 20
	buf := make([]byte, 0, chunk+s.longest)
	seen := make(map[string]bool)
	for {
		m, err := io.ReadFull(r, buf[len(buf):len(buf)+chunk])
		buf = buf[:len(buf)+m]
		n += int64(m)
		s.scan(buf, func(what string) {
			if !seen[what] {
				seen[what] = true
				found = append(found, what)
			}
		})
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return found, n, nil
		}
		if err != nil {
			return found, n, err
		}
		keep := min(len(buf), s.longest)
		buf = append(buf[:0], buf[len(buf)-keep:]...)
	}
}

func (s *Scanner) scan(buf []byte, hit func(what string)) {
	for i := 0; i+3 <= len(buf); i++ {
		head := [3]byte(buf[i:])
		at := index(head)
		if s.filter[at>>6]&(1<<(at&63)) == 0 {
			continue
		}
		for _, n := range s.needles[head] {
			if bytes.HasPrefix(buf[i:], n.bytes) {
				hit(n.what)
			}
		}
	}
}

// Leaks makes an anomaly of each secret that was found in a place.
func Leaks(found map[string][]string) []Anomaly {
	f := &finding{workload: SecretsName}
	for place, secrets := range found {
		for _, what := range secrets {
			f.add(nil, "%s is in %s", what, place)
		}
	}
	return f.all
}
