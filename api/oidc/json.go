package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// maxMembers bounds the members of one object.
const maxMembers = 256

// object is a JSON object whose values are not decoded yet. Names are compared exactly, which encoding/json does not do for
// structures, and none is there twice.
type object map[string]json.RawMessage

var errJSON = errors.New("not a JSON object, or one with a member twice")

func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errJSON
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errJSON
	}
	o := make(object)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || len(o) == maxMembers {
			return nil, errJSON
		}
		if _, twice := o[name]; twice {
			return nil, errJSON
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errJSON
		}
		o[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	return o, nil
}

// text returns a member that must be a string if it is there.
func (o object) text(name string) (value string, present, ok bool) {
	raw, present := o[name]
	if !present {
		return "", false, true
	}
	ok = raw[0] == '"' && json.Unmarshal(raw, &value) == nil
	return value, true, ok
}

// texts returns a member that is a string or a list of strings; a null is none.
func texts(raw json.RawMessage) ([]string, bool) {
	switch {
	case len(raw) == 0:
		return nil, false
	case raw[0] == '"':
		var one string
		err := json.Unmarshal(raw, &one)
		return []string{one}, err == nil
	case raw[0] != '[':
		return nil, false
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || len(items) > maxMembers {
		return nil, false
	}
	list := make([]string, len(items))
	for i, item := range items {
		if item[0] != '"' || json.Unmarshal(item, &list[i]) != nil {
			return nil, false
		}
	}
	return list, true
}
