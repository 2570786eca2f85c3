package fsm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Files that are there are never changed: they stand for logs that exist.
var writeMissing = flag.Bool("write-missing-golden", false, "write golden files of kinds that have none yet")

func goldenFile(k Kind) string {
	return filepath.Join("testdata", "commands", fmt.Sprintf("%02d-%v.hex", uint16(k), k))
}

func TestGoldenCommands(t *testing.T) {
	seen := make(map[Kind]bool)
	for _, c := range goldenCommands() {
		kind := c.Body.Kind()
		seen[kind] = true
		t.Run(kind.String(), func(t *testing.T) {
			allSet(t, kind.String(), reflect.ValueOf(c.Body).Elem())
			encoded, err := Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			golden := readGolden(t, kind, encoded, reflect.TypeOf(c.Body).Elem())
			if !bytes.Equal(encoded, golden) {
				t.Errorf("encoding has changed; existing logs would not replay. Now:\n%s", annotate(encoded, reflect.TypeOf(c.Body).Elem()))
			}
			decoded, err := Decode(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(decoded, c) {
				t.Errorf("decoded\n%+v, want\n%+v", decoded, c)
			}
		})
	}
	rows, _ := table()
	for _, row := range rows {
		if row != nil && !seen[row.kind] {
			t.Errorf("%s has no golden bytes", row.name)
		}
	}
}

func readGolden(t *testing.T, kind Kind, encoded []byte, body reflect.Type) []byte {
	t.Helper()
	text, err := os.ReadFile(goldenFile(kind))
	if os.IsNotExist(err) && *writeMissing {
		text = []byte(annotate(encoded, body))
		err = os.WriteFile(goldenFile(kind), text, 0o644)
	}
	if err != nil {
		t.Fatalf("%v; the bytes of a new kind are written by -write-missing-golden", err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		before, _, _ := strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(before), ""))
	}
	golden, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return golden
}

// allSet wants every field of a golden body to be there, so that its bytes pin down every field.
func allSet(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			allSet(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
		return
	case reflect.Pointer:
		if !v.IsNil() {
			allSet(t, path, v.Elem())
			return
		}
	case reflect.Slice:
		if v.Len() > 0 && v.Type().Elem().Kind() == reflect.Struct {
			allSet(t, path, v.Index(0))
			return
		}
	}
	if v.IsZero() != unset[path] {
		t.Errorf("%s: zero is %v", path, v.IsZero())
	}
}

// annotate prints an encoded command with a comment for each field.
func annotate(data []byte, body reflect.Type) string {
	var out strings.Builder
	line := func(b []byte, format string, args ...any) {
		fmt.Fprintf(&out, "%-40s # %s\n", hex.EncodeToString(b), fmt.Sprintf(format, args...))
	}
	n := func(off int) int { return int(binary.BigEndian.Uint32(data[off:])) }
	reads, bodySize, audit := n(offLengths), n(offLengths+4), n(offLengths+8)
	line(data[:3], "magic %q", data[:3])
	line(data[3:4], "envelope version")
	line(data[offKind:offAttempt], "kind %v", Kind(binary.BigEndian.Uint16(data[offKind:])))
	line(data[offAttempt:offID], "attempt")
	line(data[offID:offSignature], "command id")
	line(data[offSignature:offTime], "signature")
	line(data[offTime:offLengths], "time %d", binary.BigEndian.Uint64(data[offTime:]))
	line(data[offLengths:offLengths+4], "bytes of the read set")
	line(data[offLengths+4:offLengths+8], "bytes of the body")
	line(data[offLengths+8:headerSize], "bytes of the audit record")
	rest := data[headerSize:]
	a := &annotator{line: line, data: rest}
	if reads > 0 {
		a.item("read set", reflect.TypeFor[[]Read](), 0)
	}
	a.item("body", body, 0)
	rest = rest[reads+bodySize:]
	line(rest[:audit], "audit record %q", rest[:audit])
	line(rest[audit:], "CRC-32C")
	return out.String()
}

type annotator struct {
	line func(b []byte, format string, args ...any)
	data []byte
}

// head takes the head of a CBOR item off: its major type, argument and bytes (RFC 8949 section 3).
func (a *annotator) head() (major byte, arg uint64, raw []byte) {
	major, arg = a.data[0]>>5, uint64(a.data[0]&31)
	size := 1
	if arg >= 24 {
		size += 1 << (arg - 24)
		arg = 0
		for _, b := range a.data[1:size] {
			arg = arg<<8 | uint64(b)
		}
	}
	raw, a.data = a.data[:size], a.data[size:]
	return major, arg, raw
}

func (a *annotator) item(name string, typ reflect.Type, depth int) {
	indent := strings.Repeat("  ", depth)
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	major, arg, raw := a.head()
	switch major {
	case 2, 3:
		content := a.data[:arg]
		a.data = a.data[arg:]
		if major == 3 {
			a.line(append(raw[:len(raw):len(raw)], content...), "%s%s %q", indent, name, content)
		} else {
			a.line(append(raw[:len(raw):len(raw)], content...), "%s%s %x", indent, name, content)
		}
	case 4:
		a.line(raw, "%s%s: %d elements", indent, name, arg)
		for range arg {
			a.item("element", typ.Elem(), depth+1)
		}
	case 5:
		a.line(raw, "%s%s: %d fields", indent, name, arg)
		for range arg {
			_, number, key := a.head()
			field := fieldOf(typ, number)
			a.line(key, "%s  %d is %s", indent, number, field.Name)
			a.item(field.Name, field.Type, depth+2)
		}
	case 7:
		a.line(raw, "%s%s %t", indent, name, arg == 21)
	default:
		a.line(raw, "%s%s %d", indent, name, arg)
	}
}

func fieldOf(typ reflect.Type, number uint64) reflect.StructField {
	for i := range typ.NumField() {
		if strings.HasPrefix(typ.Field(i).Tag.Get("cbor"), fmt.Sprintf("%d,keyasint", number)) {
			return typ.Field(i)
		}
	}
	panic(fmt.Sprintf("%v has no field %d", typ, number))
}
