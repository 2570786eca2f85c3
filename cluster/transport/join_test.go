package transport

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestJoining(t *testing.T) {
	ca := newAuthority(t, "cluster-1")
	b, _ := open(t, ca, "b")
	pin, err := Pin(ca.cert)
	if err != nil {
		t.Fatal(err)
	}
	var refusal *RemoteError
	if _, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, []byte("x")); !errors.As(err, &refusal) {
		t.Errorf("while the node starts: %v", err)
	}
	b.Handle(handlers("b", "cluster-1"))
	if out, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, []byte("x")); err != nil || string(out) != "welcome x" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, []byte("no")); !errors.As(err, &refusal) || refusal.Text != "refused for a reason" {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, make([]byte, maxJoin+1)); err == nil {
		t.Error("a request that is too long was sent")
	}
	pin[0] ^= 1
	if _, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, []byte("x")); err == nil || errors.As(err, &refusal) {
		t.Errorf("another cluster: %v", err)
	}
}

// To join by way of a port that serves something else is answered with what to look at.
func TestJoiningByTheWrongPort(t *testing.T) {
	api := httptest.NewTLSServer(http.NotFoundHandler())
	defer api.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, s := range []*httptest.Server{api, plain} {
		_, err := RequestJoin(seconds(t, 5), s.Listener.Addr().String(), [32]byte{}, []byte("x"))
		if err == nil || !strings.Contains(err.Error(), "cluster block") {
			t.Errorf("%s: %v", s.URL, err)
		}
	}
}

func TestJoinTokenText(t *testing.T) {
	token := NewJoinToken([32]byte{1}, [32]byte{2})
	text := token.Reveal()
	got, err := ParseJoinToken(" " + text + "\n")
	if err != nil || got != token {
		t.Errorf("%v, %v", got, err)
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", token, token, token, token); strings.Contains(printed, "2") {
		t.Errorf("it prints as %s", printed)
	}
	for _, bad := range []string{"", text[:len(text)-1], text + "A", strings.ToUpper(text), "x" + text} {
		if _, err := ParseJoinToken(bad); err == nil || (len(bad) > 60 && strings.Contains(err.Error(), bad[20:])) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseJoinToken(f *testing.F) {
	f.Add(NewJoinToken([32]byte{1}, [32]byte{2}).Reveal())
	f.Add("trent-join-1.")
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := ParseJoinToken(text); err == nil && token.Reveal() != strings.TrimSpace(text) {
			t.Errorf("%q is read as another token", text)
		}
	})
}

func FuzzRequestKey(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	request, err := NewRequest(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Fuzz(func(t *testing.T, der []byte) {
		if k, err := RequestKey(der); err == nil && len(k) != 32 {
			t.Errorf("%x", k)
		}
	})
}
