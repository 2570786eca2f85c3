// Package history records what clients of a cluster under test did and saw.
package history

import "time"

// Outcome is what a client knows of an operation after its answer or its loss.
type Outcome uint8

const (
	OK      Outcome = iota // answered with success
	Refused                // answered with an error that is a statement about the state (a 4xx other than throttling)
	Unknown                // it may have happened: a timeout, a lost connection, a 5xx to a write
	Failed                 // it did not happen: a 5xx to a read, a connection that was refused
)

// Op is one operation of one client. Call and Return are nanoseconds since the run began, on the harness's monotonic clock; an unknown outcome returns at the end of time (math.MaxInt64).
type Op struct {
	Workload string            `json:"workload"`
	Client   int               `json:"client"`
	Node     string            `json:"node"` // the node asked, or "lb"
	Region   string            `json:"region"`
	Kind     string            `json:"kind"` // the KMS operation
	Key      string            `json:"key"`  // the partition the checkers use: a key id, an alias name …
	In       map[string]string `json:"in,omitempty"`
	Out      map[string]string `json:"out,omitempty"`
	Error    string            `json:"error,omitempty"` // the AWS error code, or the transport's error
	Outcome  Outcome           `json:"outcome"`
	Call     int64             `json:"call"`
	Return   int64             `json:"return"`
}

// Clock gives the time of a run.
type Clock struct{ start time.Time }

func NewClock() *Clock      { return &Clock{start: time.Now()} }
func (c *Clock) Now() int64 { return int64(time.Since(c.start)) }
