package api

import (
	"testing"
	"time"
)

func TestLineLimit(t *testing.T) {
	var l lineLimit
	at := time.Now()
	for _, c := range []struct {
		after time.Duration
		more  int
		ok    bool
	}{
		{0, 0, true}, {0, 0, false}, {999 * time.Millisecond, 0, false}, {time.Second, 2, true}, {1999 * time.Millisecond, 0, false},
		{time.Hour, 1, true}, {2 * time.Hour, 0, true},
	} {
		if more, ok := l.next(at.Add(c.after)); more != c.more || ok != c.ok {
			t.Errorf("after %v: %d, %v", c.after, more, ok)
		}
	}
}
