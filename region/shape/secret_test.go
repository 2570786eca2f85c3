package shape_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/shape"
)

// TestSecretIsNeverShown tries every way in which a value commonly gets into text.
func TestSecretIsNeverShown(t *testing.T) {
	const canary = "canary"
	s := shape.NewSecret([]byte(canary))
	type holder struct {
		Secret  shape.Secret
		Pointer *shape.Secret
		List    []shape.Secret
		Map     map[string]shape.Secret
		Opt     shape.Opt[shape.Secret]
	}
	h := holder{s, &s, []shape.Secret{s}, map[string]shape.Secret{"k": s}, shape.Some(s)}
	var out strings.Builder
	for _, v := range []any{s, &s, h, &h} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%08.3f", "%t", "%c", "%U", "%o", "%b"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", v))
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("m", "v", v, slog.Group("g", "v", v))
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	type element struct{ S shape.Secret }
	x, err := xml.Marshal(element{s})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(x)
	if err := gob.NewEncoder(&out).Encode(s); err == nil {
		t.Error("gob encoded a secret")
	}
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("% x", canary), "Y2FuYXJ5", fmt.Sprint([]byte(canary)), "0x63, 0x61"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q is shown in\n%s", form, out.String())
		}
	}
	if got := s.String(); got != shape.Redacted || s.GoString() != shape.Redacted {
		t.Errorf("String() = %q", got)
	}
}

func TestSecretIsNotReadBack(t *testing.T) {
	var s shape.Secret
	if json.Unmarshal([]byte(`"[secret]"`), &s) == nil || s.UnmarshalText(nil) == nil || s.GobDecode(nil) == nil || s.IsSet() {
		t.Error("a redaction was read back as a secret")
	}
}

func TestSecretValues(t *testing.T) {
	var absent shape.Secret
	empty, a, b := shape.NewSecret([]byte{}), shape.NewSecret([]byte("a")), shape.NewSecret([]byte("b"))
	for _, tt := range []struct {
		x, y shape.Secret
		want bool
	}{
		{absent, absent, true}, {absent, empty, false}, {empty, empty, true}, {a, a, true}, {a, b, false},
		{a, shape.NewSecret([]byte("ab")), false}, {a, shape.NewSecret([]byte("a")), true}, {absent, a, false},
	} {
		if got := tt.x.Equal(tt.y); got != tt.want || tt.y.Equal(tt.x) != tt.want {
			t.Errorf("%q equals %q: %v", tt.x.Bytes(), tt.y.Bytes(), got)
		}
	}
	if absent.IsSet() || shape.NewSecret(nil).IsSet() || !empty.IsSet() || a.Len() != 1 {
		t.Error("presence or length")
	}
}

// TestSecretWipe: copies share the bytes, and what lies behind them in the same array is not ours.
func TestSecretWipe(t *testing.T) {
	buf := []byte("secretrest")
	s := shape.NewSecret(buf[:6])
	c := s
	c.Wipe()
	if !bytes.Equal(s.Bytes(), make([]byte, 6)) || string(buf[6:]) != "rest" {
		t.Errorf("left %q", buf)
	}
	shape.Secret{}.Wipe()
}
