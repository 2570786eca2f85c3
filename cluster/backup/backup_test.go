package backup

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"
)

func write(t testing.TB, key, state []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	h := &Header{Region: "us-east-1", ClusterID: "c", Index: 7, SealedUnder: 2, DomainKeys: []DomainKey{{2, "d", []byte{1}, []Wrapped{{"n", []byte{2}, []byte{3}}}}}}
	seal := func(binding, key []byte) ([]byte, error) { return slices.Concat(binding, key), nil }
	if err := Write(&out, h, key, seal, func(w io.Writer) error {
		for part := range slices.Chunk(state, 1000) {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(file, key []byte) ([]byte, error) {
	f, err := Open(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	body, err := f.Body(key)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(body)
}

func check(file []byte) error {
	f, err := Open(bytes.NewReader(file))
	if err != nil {
		return err
	}
	return f.Check()
}

func TestRoundTrip(t *testing.T) {
	key := bytes.Repeat([]byte{9}, KeySize)
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 5} {
		state := bytes.Repeat([]byte("s"), size)
		file := write(t, key, state)
		if got, err := read(file, key); err != nil || !bytes.Equal(got, state) {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
		if err := check(file); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if size > 100 && bytes.Contains(file, state[:100]) {
			t.Error("the state is in the clear")
		}
		f, err := Open(bytes.NewReader(file))
		if err != nil || f.Header.Index != 7 || f.Header.DomainKeys[0].Wrapped[0].Name != "n" {
			t.Errorf("%+v, %v", f, err)
		}
	}
	if _, err := read(write(t, key, []byte("state")), bytes.Repeat([]byte{8}, KeySize)); !errors.Is(err, ErrFile) {
		t.Errorf("another key: %v", err)
	}
}

// Whatever is changed, cut off, left out or put elsewhere is found: without the key by the digest, and with it in spite of a digest that
// was made anew.
func TestDamage(t *testing.T) {
	key := bytes.Repeat([]byte{9}, KeySize)
	state := bytes.Repeat([]byte("abcdefgh"), chunkSize/8*3+1)
	file := write(t, key, state)
	for at := 0; at < len(file); at += 997 {
		bad := bytes.Clone(file)
		bad[at] ^= 1
		if err := check(bad); !errors.Is(err, ErrFile) {
			t.Errorf("byte %d changed: %v", at, err)
		}
		if _, err := read(bad, key); !errors.Is(err, ErrFile) {
			t.Errorf("byte %d changed, with the key: %v", at, err)
		}
		if _, err := read(file[:at], key); !errors.Is(err, ErrFile) {
			t.Errorf("cut off at %d: %v", at, err)
		}
	}
	head := len(file) - 32 - 4 - 3*(4+chunkSize+overhead) - (4 + 8 + overhead)
	chunk := func(i int) []byte { return file[head+i*(4+chunkSize+overhead):][:4+chunkSize+overhead] }
	for name, chunks := range map[string][][]byte{
		"the last chunk left out": {chunk(0), chunk(1), chunk(2)},
		"a chunk left out":        {chunk(0), chunk(2)},
		"two chunks exchanged":    {chunk(1), chunk(0), chunk(2)},
		"none":                    nil,
	} {
		forged := sealDigest(slices.Concat(append([][]byte{file[:head]}, append(chunks, make([]byte, 4))...)...))
		if err := check(forged); err != nil {
			t.Fatalf("%s: the test is wrong: %v", name, err)
		}
		if got, err := read(forged, key); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key := bytes.Repeat([]byte{9}, KeySize)
	f.Add(write(f, key, []byte("state")))
	f.Fuzz(func(t *testing.T, file []byte) {
		if got, err := read(file, key); err == nil && check(file) != nil {
			t.Errorf("%d bytes are read from a file that does not check", len(got))
		}
	})
}

func sealDigest(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}
