package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region/shape"
)

// Limits of a form.
const (
	maxParameters = 1000
	maxItems      = 200 // of one list
	maxDepth      = 4
)

// Form is a decoded request body.
type Form struct {
	values map[string]string
	names  []string // sorted
}

// ErrForm reports a body that is not a form, or one with a parameter twice. Its text is for the client.
type ErrForm struct{ Text string }

// Error returns the text.
func (e *ErrForm) Error() string { return e.Text }

// ParseForm reads a body of type application/x-www-form-urlencoded.
func ParseForm(body []byte) (*Form, error) {
	if n := strings.Count(string(body), "&"); n >= maxParameters {
		return nil, &ErrForm{fmt.Sprintf("The request has %d parameters, at most %d are allowed.", n+1, maxParameters)}
	}
	parsed, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &ErrForm{"The request body is not a form: " + err.Error()}
	}
	f := &Form{values: make(map[string]string, len(parsed))}
	for name, values := range parsed {
		if len(values) != 1 {
			return nil, &ErrForm{fmt.Sprintf("The parameter %q occurs more than once.", name)}
		}
		f.values[name] = values[0]
		f.names = append(f.names, name)
	}
	slices.Sort(f.names)
	return f, nil
}

// Get returns a parameter, "" if it is absent.
func (f *Form) Get(name string) string { return f.values[name] }

// has tells whether there is a parameter of that name or within it.
func (f *Form) has(name string) bool {
	if _, ok := f.values[name]; ok {
		return true
	}
	i, _ := slices.BinarySearch(f.names, name+".")
	return i < len(f.names) && strings.HasPrefix(f.names[i], name+".")
}

// JSON renders the parameters that a structure has as the JSON object that package awsjson decodes into it.
func (f *Form) JSON(t reflect.Type) ([]byte, error) {
	object, err := f.object("", t, 0)
	if err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

var errDepth = errors.New("query: structures are nested too deeply")

func (f *Form) object(prefix string, t reflect.Type, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	object := make(map[string]any)
	for field := range t.Fields() {
		if refused, ok := field.Tag.Lookup("refuse"); ok {
			for name := range strings.SplitSeq(refused, ",") {
				if f.has(prefix + name) {
					object[name] = f.Get(prefix + name)
				}
			}
			continue
		}
		wire := field.Tag.Get("wire")
		if wire == awsjson.Inline {
			inner, err := f.object(prefix, field.Type, depth)
			if err != nil {
				return nil, err
			}
			maps.Copy(object, inner)
			continue
		}
		name, _, _ := strings.Cut(wire, ",")
		if name == "" || name == "-" {
			continue
		}
		v, err := f.value(prefix+name, field.Type, depth)
		if err == nil && v == nil { // some members are spelt with a small letter
			v, err = f.value(prefix+strings.ToLower(name[:1])+name[1:], field.Type, depth)
		}
		if err != nil {
			return nil, err
		}
		if v != nil {
			object[name] = v
		}
	}
	return object, nil
}

var secretType = reflect.TypeFor[shape.Secret]()

// value renders one parameter, nil if it is absent.
func (f *Form) value(name string, t reflect.Type, depth int) (any, error) {
	if isOpt(t) {
		t = t.Field(0).Type
	}
	switch {
	case t == secretType || t.Kind() == reflect.String:
		if text, ok := f.values[name]; ok {
			return text, nil
		}
		return nil, nil
	case t.Kind() == reflect.Slice:
		return f.list(name, t.Elem(), depth)
	case t.Kind() == reflect.Pointer:
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		if !f.has(name) {
			return nil, nil
		}
		return f.object(name+".", t, depth+1)
	}
	text, ok := f.values[name]
	if !ok {
		return nil, nil
	}
	return scalar(name, text, t)
}

func scalar(name, text string, t reflect.Type) (any, error) {
	switch t.Kind() {
	case reflect.Bool:
		if b, err := strconv.ParseBool(strings.ToLower(text)); err == nil {
			return b, nil
		}
	case reflect.Int32, reflect.Int64:
		if n, err := strconv.ParseInt(text, 10, t.Bits()); err == nil {
			return n, nil
		}
	}
	return nil, &ErrForm{fmt.Sprintf("The parameter %s has the value %q, which is no %s.", name, text, t.Kind())}
}

// list renders name.member.1, name.member.2 and so on. An empty list is written as an empty parameter of its name.
func (f *Form) list(name string, item reflect.Type, depth int) (any, error) {
	if !f.has(name) {
		return nil, nil
	}
	list := []any{}
	for n := 1; ; n++ {
		at := name + ".member." + strconv.Itoa(n)
		if !f.has(at) {
			return list, nil
		}
		if n > maxItems {
			return nil, &ErrForm{fmt.Sprintf("The list %s has more than %d items.", name, maxItems)}
		}
		v, err := f.value(at, item, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// isOpt tells an instance of shape.Opt.
func isOpt(t reflect.Type) bool {
	return t.PkgPath() == secretType.PkgPath() && strings.HasPrefix(t.Name(), "Opt[")
}
