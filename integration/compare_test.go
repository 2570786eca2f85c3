package integration_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/aws/smithy-go/middleware"
)

// same compares two structures of one type member by member, so that a difference is named. What the SDK notes about an answer
// is left out.
func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		f := g.Type().Field(i)
		if !f.IsExported() || f.Type == reflect.TypeFor[middleware.Metadata]() {
			continue
		}
		if a, b := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(a, b) {
			t.Errorf("%s.%s is %s, want %s", what, f.Name, show(a), show(b))
		}
	}
}

func show(v any) string {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && !r.IsNil() {
		return fmt.Sprintf("%+v", r.Elem().Interface())
	}
	return fmt.Sprintf("%+v", v)
}
