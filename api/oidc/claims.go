package oidc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// leeway is how far a token's clock may be ahead of ours. Its end has none.
const leeway = time.Minute

// Bounds of claims that are used, in bytes.
const (
	maxSubject = 255
	maxValue   = 2048
	maxValues  = 64 // of one claim
)

// The claims by which an issuer sets tags and the source identity of sessions.
const (
	tagsClaim     = "https://aws.amazon.com/tags"
	identityClaim = "https://aws.amazon.com/source_identity"
)

// Claims are what a verified token says. They are immutable.
type Claims struct {
	Issuer, Subject string
	// Audience are the audiences of the token that the provider is registered for, in the token's order, at least one.
	Audience []string
	Expires  time.Time
	// Values are all claims that are strings, booleans, whole numbers or lists of strings, by name, except that aud is Audience:
	// what conditions can ask for.
	Values map[string][]string
	// SourceIdentity, Tags and Transitive are what the issuer wants sessions to have.
	SourceIdentity string
	Tags           []Tag
	Transitive     []string
}

// Tag is a session tag.
type Tag struct{ Key, Value string }

// Check checks the claims of a token whose signature has been verified: that issuer made it for one of the client ids, and that
// its time is now. It fails with one of [ErrMalformed], [ErrIssuer], [ErrAudience], [ErrExpired] and [ErrNotYet].
func (t *Token) Check(issuer string, clientIDs []string, now time.Time) (*Claims, error) {
	c := &Claims{Issuer: t.Issuer()}
	if c.Issuer == "" || c.Issuer != issuer {
		return nil, ErrIssuer
	}
	var ok bool
	if c.Subject, _, ok = t.claims.text("sub"); !ok || c.Subject == "" || len(c.Subject) > maxSubject {
		return nil, fmt.Errorf("%w: sub", ErrMalformed)
	}
	if err := t.times(c, now); err != nil {
		return nil, err
	}
	if err := t.audience(c, clientIDs); err != nil {
		return nil, err
	}
	if err := t.session(c); err != nil {
		return nil, err
	}
	t.values(c)
	return c, nil
}

func (t *Token) times(c *Claims, now time.Time) error {
	expires, present, ok := t.date("exp")
	if !present || !ok {
		return fmt.Errorf("%w: exp", ErrMalformed)
	}
	if c.Expires = expires; !now.Before(expires) {
		return ErrExpired
	}
	for _, name := range []string{"nbf", "iat"} {
		from, present, ok := t.date(name)
		switch {
		case !ok:
			return fmt.Errorf("%w: %s", ErrMalformed, name)
		case present && now.Add(leeway).Before(from):
			return ErrNotYet
		}
	}
	return nil
}

// lastDate is the end of the year 9999, in seconds.
const lastDate = 253402300799

// date returns a NumericDate, its fraction cut off.
func (t *Token) date(name string) (at time.Time, present, ok bool) {
	raw, present := t.claims[name]
	if !present {
		return time.Time{}, false, true
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(seconds >= 0 && seconds <= lastDate) {
		return time.Time{}, true, false
	}
	return time.Unix(int64(seconds), 0), true, true
}

// audience wants the token to be for a registered client. If it is for several parties, the one that asked for it must be
// registered too (OpenID Connect Core 3.1.3.7): otherwise any of the others could bring it here.
func (t *Token) audience(c *Claims, clientIDs []string) error {
	all, ok := texts(t.claims["aud"])
	if !ok {
		return fmt.Errorf("%w: aud", ErrMalformed)
	}
	party, present, ok := t.claims.text("azp")
	if !ok {
		return fmt.Errorf("%w: azp", ErrMalformed)
	}
	for _, a := range all {
		if slices.Contains(clientIDs, a) && !slices.Contains(c.Audience, a) {
			c.Audience = append(c.Audience, a)
		}
	}
	if len(c.Audience) == 0 || len(all) > 1 && present && !slices.Contains(clientIDs, party) {
		return ErrAudience
	}
	return nil
}

// values collects what conditions can ask for.
func (t *Token) values(c *Claims) {
	c.Values = make(map[string][]string, len(t.claims))
	for name, raw := range t.claims {
		values, ok := texts(raw)
		if !ok {
			values, ok = literal(raw)
		}
		if ok && len(values) <= maxValues && !slices.ContainsFunc(values, func(v string) bool { return len(v) > maxValue }) {
			c.Values[name] = values
		}
	}
	c.Values["aud"] = c.Audience
}

// literal is a boolean or a whole number as text.
func literal(raw json.RawMessage) ([]string, bool) {
	text := string(raw)
	if text == "true" || text == "false" {
		return []string{text}, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return []string{strconv.FormatInt(n, 10)}, err == nil
}

// session reads the claims about the session that is to be made.
func (t *Token) session(c *Claims) error {
	var ok bool
	if c.SourceIdentity, _, ok = t.claims.text(identityClaim); !ok {
		return fmt.Errorf("%w: source identity", ErrMalformed)
	}
	raw, present := t.claims[tagsClaim]
	if !present {
		return nil
	}
	bad := fmt.Errorf("%w: session tags", ErrMalformed)
	o, err := parseObject(raw)
	if err != nil {
		return bad
	}
	if list, present := o["transitive_tag_keys"]; present {
		if c.Transitive, ok = texts(list); !ok {
			return bad
		}
	}
	if o["principal_tags"] == nil {
		return nil
	}
	tags, err := parseObject(o["principal_tags"])
	if err != nil {
		return bad
	}
	for name, raw := range tags {
		values, ok := texts(raw)
		if !ok || len(values) != 1 {
			return bad
		}
		c.Tags = append(c.Tags, Tag{name, values[0]})
	}
	slices.SortFunc(c.Tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return nil
}
