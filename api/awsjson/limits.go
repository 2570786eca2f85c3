package awsjson

import (
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trentkms/trent/region/shape"
)

// violated returns the constraints that the value v of kind k fails, worded as in messages (spec 10 PROTO-36), length before
// pattern (PROTO-33); nil if it keeps all.
func (l *limits) violated(k kind, v reflect.Value) []string {
	switch k {
	case kindString:
		return l.violatedText(v.String())
	case kindSecretText, kindSecretBlob:
		return l.violatedSecret(k, v.Addr().Interface().(*shape.Secret).Bytes())
	case kindBlob:
		return l.violatedLength(int64(v.Len()), l.lenMin, l.lenMax)
	case kindInt:
		return l.violatedRange(v.Int())
	case kindUint:
		return l.violatedRange(int64(min(v.Uint(), 1<<63-1)))
	case kindList:
		return l.violatedLength(int64(v.Len()), l.sizeMin, l.sizeMax)
	case kindContext:
		return l.violatedLength(int64(v.Addr().Interface().(*shape.EncryptionContext).Len()), l.sizeMin, l.sizeMax)
	}
	return nil
}

func (l *limits) violatedText(s string) (bad []string) {
	if !l.fitsWithoutCounting(len(s)) {
		bad = l.violatedLength(int64(utf8.RuneCountInString(s)), l.lenMin, l.lenMax)
	}
	if l.pattern != nil && !l.pattern.match(s) {
		bad = append(bad, l.patternText())
	}
	if l.enum != nil && !contains(l.enum, s) {
		bad = append(bad, l.enumText())
	}
	return bad
}

func (l *limits) violatedSecret(k kind, b []byte) (bad []string) {
	if k == kindSecretBlob {
		return l.violatedLength(int64(len(b)), l.lenMin, l.lenMax)
	}
	bad = l.violatedLength(int64(utf8.RuneCount(b)), l.lenMin, l.lenMax)
	if l.pattern != nil && !l.pattern.matchBytes(b) {
		bad = append(bad, l.patternText())
	}
	return bad
}

// fitsWithoutCounting reports that text of n bytes keeps the length, however many bytes its characters have: between n/4 and n.
func (l *limits) fitsWithoutCounting(n int) bool {
	return (l.lenMax < 0 || int64(n) <= l.lenMax) && int64(n+utf8.UTFMax-1)/utf8.UTFMax >= l.lenMin
}

func (l *limits) violatedLength(n, lo, hi int64) []string {
	switch {
	case lo >= 0 && n < lo:
		return []string{minLengthText(lo)}
	case hi >= 0 && n > hi:
		return []string{maxLengthText(hi)}
	}
	return nil
}

func (l *limits) violatedRange(n int64) []string {
	switch {
	case l.rangeMin >= 0 && n < l.rangeMin:
		return []string{minValueText(l.rangeMin)}
	case l.rangeMax >= 0 && n > l.rangeMax:
		return []string{maxValueText(l.rangeMax)}
	}
	return nil
}

// all returns every constraint in the order in which a list's message shows those of its items: the maximum first.
func (l *limits) all() []string {
	var c []string
	for _, b := range []struct {
		bound int64
		text  func(int64) string
	}{{l.lenMax, maxLengthText}, {l.lenMin, minLengthText}, {l.rangeMax, maxValueText}, {l.rangeMin, minValueText}} {
		if b.bound >= 0 {
			c = append(c, b.text(b.bound))
		}
	}
	if l.pattern != nil {
		c = append(c, l.patternText())
	}
	if l.enum != nil {
		c = append(c, l.enumText())
	}
	return c
}

func minLengthText(n int64) string {
	return "Member must have length greater than or equal to " + strconv.FormatInt(n, 10)
}

func maxLengthText(n int64) string {
	return "Member must have length less than or equal to " + strconv.FormatInt(n, 10)
}

func minValueText(n int64) string {
	return "Member must have value greater than or equal to " + strconv.FormatInt(n, 10)
}

func maxValueText(n int64) string {
	return "Member must have value less than or equal to " + strconv.FormatInt(n, 10)
}

func (l *limits) patternText() string {
	return "Member must satisfy regular expression pattern: " + l.pattern.source
}

func (l *limits) enumText() string {
	return "Member must satisfy enum value set: [" + strings.Join(l.enumShown, ", ") + "]"
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
