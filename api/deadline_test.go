package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadline: the context behaves as context.WithDeadline's does, whether somebody waits for its end or only asks.
func TestDeadline(t *testing.T) {
	for _, waits := range []bool{false, true} {
		for _, c := range []struct {
			name string
			end  func(d *deadline, cancelParent func())
			want error
		}{
			{"time", func(*deadline, func()) { time.Sleep(time.Minute) }, context.DeadlineExceeded},
			{"cancel", func(d *deadline, _ func()) { d.cancel() }, context.Canceled},
			{"parent", func(_ *deadline, cancel func()) { cancel() }, context.Canceled},
		} {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(context.Background())
				defer cancel()
				d := withDeadline(parent, time.Now().Add(time.Minute))
				defer d.cancel()
				if waits {
					select {
					case <-d.Done():
						t.Errorf("%s: done at once", c.name)
					default:
					}
				}
				if err := d.Err(); err != nil {
					t.Errorf("%s: %v at once", c.name, err)
				}
				c.end(d, cancel)
				synctest.Wait()
				if err := d.Err(); !errors.Is(err, c.want) {
					t.Errorf("%s, waited for %t: got %v, want %v", c.name, waits, err, c.want)
				}
				<-d.Done() // or the bubble deadlocks
			})
		}
	}
}

// TestDeadlineChild: a context made of one with a deadline ends with it, and with its own.
func TestDeadlineChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		d := withDeadline(context.WithValue(context.Background(), key{}, "v"), time.Now().Add(time.Minute))
		defer d.cancel()
		early, cancel := context.WithTimeout(d, time.Second)
		defer cancel()
		late, cancelLate := context.WithTimeout(d, time.Hour)
		defer cancelLate()
		if at, ok := late.Deadline(); !ok || time.Until(at) != time.Minute {
			t.Errorf("the later deadline: got %v, %t; want the parent's", time.Until(at), ok)
		}
		<-early.Done()
		if d.Err() != nil || late.Err() != nil {
			t.Error("a child's end ended its parent or sibling")
		}
		<-late.Done()
		if !errors.Is(late.Err(), context.DeadlineExceeded) || !errors.Is(d.Err(), context.DeadlineExceeded) {
			t.Errorf("at the deadline: got %v and %v", late.Err(), d.Err())
		}
		if late.Value(key{}) != "v" {
			t.Error("the parent's values are lost")
		}
	})
}
