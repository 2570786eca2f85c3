package query

import (
	"bytes"
	"encoding/xml"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region/shape"
)

// Header and body of answers.
const ContentType = "text/xml"

// textual is a value that XML answers write in a way of its own.
type textual interface{ XMLText() string }

// AppendAnswer appends the answer to an operation. out is a pointer to its output, nil if it has none.
func AppendAnswer(b []byte, namespace, operation, requestID string, out any) []byte {
	e := encoder{b}
	e.b = append(e.b, "<"+operation+"Response xmlns=\""+namespace+"\">"...)
	if out != nil {
		e.open(operation + "Result")
		e.fields(reflect.ValueOf(out).Elem())
		e.close(operation + "Result")
	}
	e.open("ResponseMetadata")
	e.text("RequestId", requestID)
	e.close("ResponseMetadata")
	e.close(operation + "Response")
	return append(e.b, '\n')
}

// AppendError appends an error answer.
func AppendError(b []byte, namespace, requestID, code, message string, sender bool) []byte {
	e := encoder{b}
	e.b = append(e.b, "<ErrorResponse xmlns=\""+namespace+"\">"...)
	e.open("Error")
	if sender {
		e.text("Type", "Sender")
	} else {
		e.text("Type", "Receiver")
	}
	e.text("Code", code)
	e.text("Message", message)
	e.close("Error")
	e.text("RequestId", requestID)
	e.close("ErrorResponse")
	return append(e.b, '\n')
}

type encoder struct{ b []byte }

func (e *encoder) open(name string)  { e.b = append(append(append(e.b, '<'), name...), '>') }
func (e *encoder) close(name string) { e.b = append(append(append(e.b, '<', '/'), name...), '>') }

func (e *encoder) text(name, value string) {
	e.open(name)
	e.escaped([]byte(value))
	e.close(name)
}

func (e *encoder) escaped(value []byte) {
	var buf bytes.Buffer
	_ = xml.EscapeText(&buf, value) // a buffer takes everything
	e.b = append(e.b, buf.Bytes()...)
}

func (e *encoder) fields(v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		wire := field.Tag.Get("wire")
		if wire == awsjson.Inline {
			e.fields(v.Field(i))
		}
		if name, _, _ := strings.Cut(wire, ","); name != "" && name != "-" {
			e.value(name, v.Field(i))
		}
	}
}

func (e *encoder) value(name string, v reflect.Value) {
	t := v.Type()
	if isOpt(t) {
		if !v.Field(1).Bool() {
			return
		}
		v = v.Field(0)
		t = v.Type()
	}
	if w, ok := v.Interface().(textual); ok {
		e.text(name, w.XMLText())
		return
	}
	switch x := v.Interface().(type) {
	case shape.Secret:
		if x.IsSet() {
			e.open(name)
			e.escaped(x.Bytes())
			e.close(name)
		}
		return
	case time.Time:
		if !x.IsZero() {
			e.text(name, x.UTC().Format("2006-01-02T15:04:05Z"))
		}
		return
	}
	e.compound(name, v, t)
}

func (e *encoder) compound(name string, v reflect.Value, t reflect.Type) {
	switch t.Kind() {
	case reflect.String:
		e.text(name, v.String())
	case reflect.Bool:
		e.text(name, strconv.FormatBool(v.Bool()))
	case reflect.Int32, reflect.Int64:
		e.text(name, strconv.FormatInt(v.Int(), 10))
	case reflect.Pointer:
		if !v.IsNil() {
			e.value(name, v.Elem())
		}
	case reflect.Struct:
		e.open(name)
		e.fields(v)
		e.close(name)
	case reflect.Slice:
		e.list(name, v)
	case reflect.Map:
		e.table(name, v.Interface().(map[string]int32))
	}
}

// list leaves a nil list out, as an absent member; an empty one has an element without content.
func (e *encoder) list(name string, v reflect.Value) {
	if v.IsNil() {
		return
	}
	e.open(name)
	for i := range v.Len() {
		e.value("member", v.Index(i))
	}
	e.close(name)
}

func (e *encoder) table(name string, m map[string]int32) {
	e.open(name)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e.open("entry")
		e.text("key", k)
		e.text("value", strconv.Itoa(int(m[k])))
		e.close("entry")
	}
	e.close(name)
}
