package throttle

import (
	"fmt"
	"math"
	"time"
)

// Limit is how many requests an interval may have. The zero Limit allows everything.
type Limit struct {
	Count    int
	Interval time.Duration
}

// PerSecond is the limit of a rate in requests per second: whole requests in a second, or one request in several seconds (spec 03
// QUO-14). 0 is no limit.
func PerSecond(rate float64) (Limit, error) {
	switch {
	case rate == 0:
		return Limit{}, nil
	case math.IsNaN(rate) || rate < 1.0/3600 || rate > 1e9:
		return Limit{}, fmt.Errorf("the rate %v is not between one request an hour and 1e9 a second", rate)
	case rate >= 1:
		return Limit{int(rate), time.Second}, nil
	}
	return Limit{1, time.Duration(math.Round(float64(time.Second) / rate))}, nil
}

// Rate is the limit in requests per second, 0 if there is none.
func (l Limit) Rate() float64 {
	if l.Count == 0 {
		return 0
	}
	return float64(l.Count) / l.Interval.Seconds()
}

// share is the part of one of n nodes.
func (l Limit) share(n int) Limit {
	n = max(n, 1)
	if l.Count >= n {
		return Limit{l.Count / n, l.Interval}
	}
	return Limit{1, l.Interval * time.Duration(n) / time.Duration(l.Count)}
}

// Key names what is counted: a quota of an account, or of whatever else Scope names.
type Key struct {
	Scope string `json:"scope"`
	Quota string `json:"quota"`
}
