package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	mathrand "math/rand/v2"

	"github.com/trentkms/trent/api/sigv4"
)

// Headers as the AWS SDK for Go sends them, so that the server has as much to read and to verify.
const (
	contentType = "application/x-amz-json-1.1"
	userAgent   = "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.4 m/E,e"
)

// request is one call of the API.
type request struct {
	operation string
	body      []byte
	hash      [sha256.Size]byte // of body
}

func newRequest(operation string, body []byte) *request {
	return &request{operation: operation, body: body, hash: sha256.Sum256(body)}
}

// endpoint is a server with the credentials for it.
type endpoint struct {
	address string // host:port
	tls     *tls.Config
	signer  *sigv4.Signer
}

// conn is one TLS connection, kept alive. It belongs to one goroutine. It writes and reads HTTP by itself: the load generator
// shares the processors with the server that it measures, and net/http's client would take the greater part.
type conn struct {
	endpoint *endpoint
	tls      *tls.Conn
	in       *bufio.Reader
	out      []byte
	http     *http.Request
	answer   []byte
}

const dialTimeout = 10 * time.Second

func dial(ctx context.Context, e *endpoint) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := tls.Dialer{Config: e.tls}
	nc, err := d.DialContext(ctx, "tcp", e.address)
	if err != nil {
		return nil, err
	}
	c := &conn{endpoint: e, tls: nc.(*tls.Conn), in: bufio.NewReaderSize(nc, 16<<10)}
	c.http = &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: e.address, Path: "/"}, Host: e.address,
		Header: http.Header{"Content-Type": {contentType}, "X-Amz-Target": {""}},
	}
	return c, nil
}

func (c *conn) close() { _ = c.tls.Close() }

// answerTimeout bounds the wait for one answer.
const answerTimeout = 60 * time.Second

// do signs and sends a request and returns the answer's body, which is valid until the next call. An answer other than 200 is
// an error.
func (c *conn) do(q *request) ([]byte, error) {
	h := c.http
	h.Header["X-Amz-Target"][0] = "TrentService." + q.operation
	h.ContentLength = int64(len(q.body))
	if err := c.endpoint.signer.Sign(h, q.hash, time.Now()); err != nil {
		return nil, err
	}
	c.write(q)
	if err := c.tls.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.tls.Write(c.out); err != nil {
		return nil, err
	}
	return c.read()
}

// write renders the request.
func (c *conn) write(q *request) {
	b := append(c.out[:0], "POST / HTTP/1.1\r\nHost: "...)
	b = append(b, c.endpoint.address...)
	b = append(b, "\r\nUser-Agent: "+userAgent+"\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(q.body)), 10)
	b = append(b, "\r\nAmz-Sdk-Request: attempt=1; max=3\r\nAccept-Encoding: gzip\r\nAmz-Sdk-Invocation-Id: "...)
	b = appendID(b)
	for name, values := range c.http.Header {
		b = append(b, "\r\n"...)
		b = append(append(b, name...), ": "...)
		b = append(b, values[0]...)
	}
	b = append(b, "\r\n\r\n"...)
	c.out = append(b, q.body...)
}

// appendID appends a random UUID: the invocation id differs from call to call, or a second CreateKey would be a repeat.
func appendID(b []byte) []byte {
	return fmt.Appendf(b, "%08x-%04x-4%03x-8%03x-%012x", mathrand.Uint32(), mathrand.N(1<<16), mathrand.N(1<<12), mathrand.N(1<<12), mathrand.N(uint64(1)<<48))
}

// read reads one answer.
func (c *conn) read() ([]byte, error) {
	res, err := http.ReadResponse(c.in, c.http)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	buf := bytes.NewBuffer(c.answer[:0])
	_, err = io.Copy(buf, res.Body)
	c.answer = buf.Bytes()
	if err == nil {
		err = res.Body.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(c.answer))
	}
	return c.answer, nil
}
