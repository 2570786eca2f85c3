package federation

import (
	"bytes"
	"testing"
)

func FuzzReadPacket(f *testing.F) {
	f.Add(appendPacket(nil, []byte("a packet")))
	f.Add([]byte{0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := readPacket(bytes.NewReader(data))
		if err != nil {
			return
		}
		if again := appendPacket(nil, b); !bytes.Equal(again, data[:len(again)]) {
			t.Errorf("read %x, written %x", data, again)
		}
	})
}

func FuzzReadExchange(f *testing.F) {
	var b bytes.Buffer
	if err := writeExchange(&b, []byte("an exchange")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 3, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := readExchange(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeExchange(&again, b); err != nil || !bytes.Equal(again.Bytes(), data[:again.Len()]) {
			t.Errorf("read %x, written %x, %v", data, again.Bytes(), err)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(metadata{address: "kms.example.org:7602", term: 9}.encode())
	f.Add(metadata{address: "[2001:db8::1]:1"}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMetadata(data)
		if err == nil && !bytes.Equal(m.encode(), data) {
			t.Errorf("read %x as %+v", data, m)
		}
	})
}

func FuzzRedirect(f *testing.F) {
	f.Add(redirect{"n1", "10.0.0.1:7602"}.encode())
	f.Add(redirect{}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRedirect(data)
		if err == nil && !bytes.Equal(r.encode(), data) {
			t.Errorf("read %x as %+v", data, r)
		}
	})
}

func FuzzSplitMember(f *testing.F) {
	f.Add("us-east-1.0123")
	f.Fuzz(func(t *testing.T, name string) {
		region, node, ok := splitMember(name)
		if ok && memberName(region, node) != name {
			t.Errorf("%q is taken for %q and %q", name, region, node)
		}
	})
}
