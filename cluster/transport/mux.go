package transport

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"
)

// Asker is an open connection on which requests run side by side. It is safe for concurrent use.
type Asker struct{ a *asking }

// NewAsker asks on a connection that the other end serves with ServeRequests. No message is longer than most bytes.
func NewAsker(conn net.Conn, most int) *Asker {
	a := newAsking(conn, most)
	go a.read()
	return &Asker{a}
}

// Ask sends a request and waits for its answer, with the status that the other end chose.
func (a *Asker) Ask(ctx context.Context, code byte, payload []byte) (status byte, answer []byte, err error) {
	f, err := a.a.ask(ctx, code, payload)
	return f.code, f.payload, err
}

// Failed is why the connection is over, nil if it is not.
func (a *Asker) Failed() error { return a.a.failed() }

// Close ends the connection; those who wait get an error.
func (a *Asker) Close() { a.a.fail(net.ErrClosed) }

// ServeRequests answers the requests of an Asker until the connection ends or ctx does. At most room requests are under way,
// and no message is longer than most bytes. serve must be safe for concurrent use; ServeRequests returns when all its calls have.
func ServeRequests(ctx context.Context, conn net.Conn, most, room int, serve func(ctx context.Context, code byte, payload []byte) (status byte, answer []byte)) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var writing sync.Mutex
	places := make(chan struct{}, room)
	r := bufio.NewReader(conn)
	for {
		f, err := readFrame(r, most)
		if err != nil {
			return err
		}
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			limit, cancel := context.WithTimeout(ctx, time.Duration(f.millis)*time.Millisecond)
			defer cancel()
			status, answer := serve(limit, f.code, f.payload)
			out := frame{id: f.id, code: status, payload: answer}
			b, err := out.encode(most)
			if err != nil {
				_ = conn.Close()
				return
			}
			writing.Lock()
			defer writing.Unlock()
			if conn.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
				return
			}
			if _, err := conn.Write(b); err != nil {
				_ = conn.Close()
			}
		})
	}
}
