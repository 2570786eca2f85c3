package proxyproto_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/trentkms/trent/api/proxyproto"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// header makes a header of a command, a family, addresses and additions.
func header(command, family byte, body ...byte) []byte {
	b := append([]byte(signature), command, family)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

var (
	tcp4 = []byte{192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb}
	tcp6 = append(append(netip.MustParseAddr("2001:db8::7").AsSlice(), netip.MustParseAddr("2001:db8::1").AsSlice()...), 0x30, 0x39, 0x01, 0xbb)
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want proxyproto.Header
		bad  bool
	}{
		{"TCP over IPv4", header(0x21, 0x11, tcp4...), proxyproto.Header{Client: netip.MustParseAddrPort("192.0.2.7:12345")}, false},
		{"TCP over IPv6", header(0x21, 0x21, tcp6...), proxyproto.Header{Client: netip.MustParseAddrPort("[2001:db8::7]:12345")}, false},
		{"additions", header(0x21, 0x11, append(bytes.Clone(tcp4), 0xea, 0, 2, 1, 'x')...), proxyproto.Header{Client: netip.MustParseAddrPort("192.0.2.7:12345")}, false},
		{"health check", header(0x20, 0x00), proxyproto.Header{Local: true}, false},
		{"unknown client", header(0x21, 0x00, 1, 2, 3), proxyproto.Header{Local: true}, false},
		{"version 1", []byte("PROXY TCP4 192.0.2.7 10.0.0.1 12345 443\r\n"), proxyproto.Header{}, true},
		{"version 3", header(0x31, 0x11, tcp4...), proxyproto.Header{}, true},
		{"unknown command", header(0x22, 0x11, tcp4...), proxyproto.Header{}, true},
		{"UDP", header(0x21, 0x12, tcp4...), proxyproto.Header{}, true},
		{"Unix socket", header(0x21, 0x31, make([]byte, 216)...), proxyproto.Header{}, true},
		{"addresses cut off", header(0x21, 0x11, tcp4[:11]...), proxyproto.Header{}, true},
		{"IPv4 addresses for IPv6", header(0x21, 0x21, tcp4...), proxyproto.Header{}, true},
		{"no address", header(0x21, 0x11, make([]byte, 12)...), proxyproto.Header{}, true},
		{"too long", header(0x21, 0x11, make([]byte, 2049)...), proxyproto.Header{}, true},
		{"cut off", header(0x21, 0x11, tcp4...)[:20], proxyproto.Header{}, true},
		{"nothing", nil, proxyproto.Header{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := bytes.NewReader(append(bytes.Clone(c.in), "GET"...))
			if c.name == "cut off" || c.in == nil {
				r = bytes.NewReader(c.in)
			}
			h, err := proxyproto.Read(r)
			if (err != nil) != c.bad || h != c.want || err != nil && !errors.Is(err, proxyproto.ErrHeader) {
				t.Errorf("got %+v, %v", h, err)
			}
			if rest, _ := io.ReadAll(r); err == nil && string(rest) != "GET" {
				t.Errorf("behind the header is %q", rest)
			}
		})
	}
}

// TestListener: who is trusted names clients, and nobody else does.
func TestListener(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	named := header(0x21, 0x11, tcp4...)
	const itself, client = "127.0.0.1", "192.0.2.7"
	for _, c := range []struct {
		name     string
		trusted  []netip.Prefix
		required bool
		head     []byte
		from     string // "" if the connection must end
		data     string
	}{
		{"required and given", local, true, named, client, "hello"},
		{"required and missing", local, true, nil, "", ""},
		{"required, from elsewhere", elsewhere, true, named, "", ""},
		{"required, without a header from elsewhere", elsewhere, true, nil, "", ""},
		{"health check", local, true, header(0x20, 0x00), itself, "hello"},
		{"optional and given", local, false, named, client, "hello"},
		{"optional and missing", local, false, nil, itself, "hello"},
		{"optional, begins like a header", local, false, []byte("\r\n\r\nx"), itself, "\r\n\r\nxhello"},
		{"optional and malformed", local, false, header(0x21, 0x12, tcp4...), "", ""},
		{"optional, claimed from elsewhere", elsewhere, false, named, itself, string(named) + "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			l := &proxyproto.Listener{Listener: ln, Trusted: c.trusted, Required: c.required}
			go func() {
				out, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				defer out.Close()
				_, _ = out.Write(append(bytes.Clone(c.head), "hello"...))
			}()
			in, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			from := in.RemoteAddr().(*net.TCPAddr).IP.String()
			data, err := io.ReadAll(in)
			if c.from == "" {
				if err == nil || len(data) > 0 {
					t.Errorf("got %q from %s, want an error", data, from)
				}
				if _, err := in.Write([]byte("x")); err == nil {
					t.Error("an answer is sent")
				}
				return
			}
			if err != nil || from != c.from || string(data) != c.data {
				t.Errorf("got %q from %s, %v; want %q from %s", data, from, err, c.data, c.from)
			}
		})
	}
}

// FuzzRead: whatever comes, Read returns a header that says something or an error, and reads no further than the header is long.
func FuzzRead(f *testing.F) {
	f.Add(header(0x21, 0x11, tcp4...))
	f.Add(header(0x21, 0x21, tcp6...))
	f.Add(header(0x20, 0x00))
	f.Add([]byte("PROXY TCP4 192.0.2.7 10.0.0.1 12345 443\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		h, err := proxyproto.Read(r)
		if err != nil {
			return
		}
		if h.Local == h.Client.IsValid() {
			t.Errorf("%+v says nothing, or two things", h)
		}
		if read := len(in) - r.Len(); read != 16+int(binary.BigEndian.Uint16(in[14:])) {
			t.Errorf("%d bytes were read", read)
		}
	})
}
