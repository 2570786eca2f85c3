package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// Bytes that are no frames end the connection and nothing else.
func TestHostileMembers(t *testing.T) {
	a, b, _ := pair(t)
	cfg, err := a.clientConfig("b", protoRPC)
	if err != nil {
		t.Fatal(err)
	}
	good := func(f frame) []byte {
		e, err := f.encode(maxFrame)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for name, bytes := range map[string][]byte{
		"nothing":              {},
		"length only":          {0, 0, 0, 20},
		"length of everything": {0xff, 0xff, 0xff, 0xff},
		"length too short":     {0, 0, 0, 1, 1},
		"unknown method":       good(frame{id: 1, code: 99, millis: 1000}),
		"question without ids": good(frame{id: 1, code: methodLastIndex}),
		"call without method":  good(frame{id: 1, code: methodCall, millis: 1000, payload: []byte{200, 1}}),
		"no command":           good(frame{id: 1, code: methodPropose, millis: 1000, payload: []byte("TRC")}),
		"no time":              good(frame{id: 1, code: methodCall, payload: encodeTwo("m", "")}),
	} {
		conn, err := (&tls.Dialer{Config: cfg}).DialContext(seconds(t, 5), "tcp", b.Advertise())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
	if _, err := a.LastIndex(seconds(t, 5), b.asServer("b"), "cluster-1"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestUnreadableCommandIsNotWritten(t *testing.T) {
	a, b, _ := pair(t)
	_, err := a.request(seconds(t, 5), b.asServer("b"), methodPropose, []byte("no command"))
	if err := forwardError(err); !errors.Is(err, fsm.ErrInvalid) || !cluster.NotWritten(err) {
		t.Errorf("%v", err)
	}
}

func TestFrames(t *testing.T) {
	f := frame{id: 1 << 40, code: 3, millis: 250, payload: []byte("payload")}
	b, err := f.encode(maxFrame)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readFrame(bytes.NewReader(b), maxFrame); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range len(b) {
		if _, err := readFrame(bytes.NewReader(b[:n]), maxFrame); err == nil {
			t.Errorf("cut to %d bytes: read", n)
		}
	}
	if _, err := (&frame{payload: make([]byte, maxFrame)}).encode(maxFrame); err == nil {
		t.Error("a frame that is too long was encoded")
	}
	// A length is not allocated before its bytes are there.
	allocated := testing.AllocsPerRun(10, func() {
		if _, err := readFrame(bytes.NewReader([]byte{0, 0x0f, 0xff, 0xff, 1}), maxFrame); err == nil {
			t.Error("read")
		}
	})
	if allocated > 20 {
		t.Errorf("%v allocations", allocated)
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, fr := range []frame{{id: 1, code: methodLastIndex, payload: encodeTwo("a", "b")}, {id: 2, code: methodCall, millis: 7}} {
		b, err := fr.encode(maxFrame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := readFrame(bytes.NewReader(data), maxFrame)
		if err != nil {
			return
		}
		again, err := fr.encode(maxFrame)
		if err != nil || !bytes.Equal(again, data[:len(again)]) {
			t.Errorf("read %x, written %x, %v", data, again, err)
		}
		if a, b, err := decodeTwo(fr.payload); err == nil && !bytes.Equal(encodeTwo(a, b), fr.payload) {
			t.Errorf("%q %q", a, b)
		}
		if res, err := decodeResult(fr.payload); err == nil {
			if _, err := encodeResult(res); err != nil {
				t.Error(err)
			}
		}
		if _, err := decodeAnswer(fr.payload, "a", "c"); (err == nil) != (len(fr.payload) == answerSize) {
			t.Error(err)
		}
		if err := decodeFault(fr.code, fr.payload, "a"); err == nil {
			t.Error("a fault without an error")
		}
	})
}

// What another node refuses is said once, whatever it adds to it, and keeps its meaning.
func TestFaultIsSaidOnce(t *testing.T) {
	for _, err := range []error{cluster.ErrQuorum, fmt.Errorf("%w (1 of 2)", cluster.ErrQuorum), fmt.Errorf("remove: %w", cluster.ErrQuorum)} {
		status, text := encodeFault(err)
		got := decodeFault(status, text, "n7")
		if said := got.Error(); !errors.Is(got, cluster.ErrQuorum) || !strings.Contains(said, "n7") {
			t.Errorf("%q became %q", err, said)
		}
		if strings.HasPrefix(err.Error(), cluster.ErrQuorum.Error()) && strings.Count(got.Error(), cluster.ErrQuorum.Error()) != 1 {
			t.Errorf("%q became %q", err, got)
		}
	}
}
