// Package querytest holds the tables of operations of the Query protocol against the model that the AWS SDK was made from.
package querytest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/api/query"
)

// AgainstSDK holds that every operation is one of the SDK's client, and that every member of its input and output, however deep, has its
// place. absent are what is not: operations that the model lacks, members that the service never has ("Structure.Member", or "Member" of
// any structure), with the reason.
func AgainstSDK(t *testing.T, api *query.API, client reflect.Type, absent map[string]string) {
	t.Helper()
	c := comparison{t, absent}
	for name, op := range api.Operations {
		m, ok := client.MethodByName(name)
		switch {
		case absent[name] != "":
		case !ok:
			t.Errorf("%s is no operation of the model", name)
		default:
			c.same(name, op.Input(), m.Type.In(2).Elem())
			c.same(name, op.Output(), m.Type.Out(0).Elem())
		}
	}
}

type comparison struct {
	t      *testing.T
	absent map[string]string
}

// same holds that a structure has the members of the SDK's.
func (c comparison) same(name string, ours, theirs reflect.Type) {
	for field := range theirs.Fields() {
		switch {
		case !field.IsExported(), field.Name == "ResultMetadata", c.absent[field.Name] != "", c.absent[name+"."+field.Name] != "",
			refused(ours, field.Name):
			continue
		}
		f, ok := member(ours, field.Name)
		if !ok {
			c.t.Errorf("%s: %v has no member %s", name, ours, field.Name)
			continue
		}
		if mine, other := structure(f.Type), structure(field.Type); mine != nil && other != nil && !strings.Contains(f.Type.String(), "Empty") {
			c.same(other.Name(), mine, other)
		}
	}
}

// refused tells whether a structure refuses a member.
func refused(t reflect.Type, name string) bool {
	f, ok := t.FieldByName("_")
	return ok && slices.Contains(strings.Split(f.Tag.Get("refuse"), ","), name)
}

func member(t reflect.Type, name string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		wire := f.Tag.Get("wire")
		if wire == awsjson.Inline {
			if inner, ok := member(f.Type, name); ok {
				return inner, true
			}
		}
		if wire, _, _ := strings.Cut(wire, ","); wire == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// structure is the structure that a member holds or lists, nil if it is something else.
func structure(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains([]string{"Time", "Secret"}, t.Name()) || strings.HasPrefix(t.Name(), "Opt[") {
		return nil
	}
	return t
}
