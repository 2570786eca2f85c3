package multiregion

import (
	"errors"
	"testing"
	"time"
)

// TestFailingIsSaidWhenItLasts: a moment without an answer is no news, one that lasts is said once, and so is its end.
func TestFailingIsSaidWhenItLasts(t *testing.T) {
	now, away := time.Now(), errors.New("away")
	var f failing
	for i, step := range []struct {
		after       time.Duration
		err         error
		fails, over bool
	}{
		{0, away, false, false}, {lasts - 1, away, false, false}, {0, nil, false, false}, // a moment
		{0, away, false, false}, {lasts - 1, away, false, false}, {1, away, true, false}, {time.Hour, away, false, false}, {0, nil, false, true}, {0, nil, false, false},
	} {
		now = now.Add(step.after)
		if fails, over := f.note(step.err, now); fails != step.fails || over != step.over {
			t.Errorf("step %d: says failing %t, over %t", i, fails, over)
		}
	}
}
