package config

import (
	"errors"
	"fmt"
	"net/url"
)

// Events is a target of event notifications: a file, or a web address.
type Events struct {
	Name string `hcl:"name,label"`
	// File gets a line for each event; Webhook a POST, with the token in TokenFile, if there is one, as bearer token.
	File      string `hcl:"file,optional"`
	Webhook   string `hcl:"webhook,optional"`
	TokenFile string `hcl:"token_file,optional"`
	// DetailTypes and Accounts select events; empty ones select all.
	DetailTypes []string `hcl:"detail_types,optional"`
	Accounts    []string `hcl:"accounts,optional"`
}

// EventTypes are the values of detail-type.
var EventTypes = []string{"KMS CMK Rotation", "KMS Imported Key Material Expiration", "KMS CMK Deletion"}

func (f *File) completeEvents(base string) error {
	seen := map[string]bool{}
	for i := range f.Events {
		e := &f.Events[i]
		if !listenerName.MatchString(e.Name) || seen[e.Name] {
			return fmt.Errorf("events %q: a name is made of lower-case letters, digits and hyphens, and given once", e.Name)
		}
		seen[e.Name] = true
		if err := e.complete(base); err != nil {
			return fmt.Errorf("events %q: %w", e.Name, err)
		}
	}
	return nil
}

func (e *Events) complete(base string) error {
	if (e.File == "") == (e.Webhook == "") {
		return errors.New("give exactly one of file and webhook")
	}
	if e.Webhook != "" {
		u, err := url.Parse(e.Webhook)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("webhook %q is not a URL such as https://example.com/events", e.Webhook)
		}
		if u.Scheme == "http" && e.TokenFile != "" {
			return errors.New("a token is sent over https only")
		}
	}
	if e.TokenFile != "" && e.Webhook == "" {
		return errors.New("token_file belongs to webhook")
	}
	for _, t := range e.DetailTypes {
		known := false
		for _, k := range EventTypes {
			known = known || k == t
		}
		if !known {
			return fmt.Errorf("detail_types: %q is none of %q", t, EventTypes)
		}
	}
	resolve(base, &e.File)
	resolve(base, &e.TokenFile)
	return nil
}
