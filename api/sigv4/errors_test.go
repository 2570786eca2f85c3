package sigv4_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

const (
	goodAuth = "AWS4-HMAC-SHA256 Credential=AKID/20260203/eu-central-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=ab"
	goodDate = "20260203T040506Z"
)

func errorOf(t *testing.T, err error) (name, message string) {
	t.Helper()
	var e *sigv4.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return e.Name, e.Message
}

// TestParseErrors holds the texts and the order of spec 10, section 2.1, rows 1 to 3.
func TestParseErrors(t *testing.T) {
	const missing, incomplete = "MissingAuthenticationTokenException", "IncompleteSignatureException"
	const (
		needCredential = "Authorization header requires 'Credential' parameter. "
		needSignature  = "Authorization header requires 'Signature' parameter. "
		needHeaders    = "Authorization header requires 'SignedHeaders' parameter. "
		needDate       = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
		one            = "Only one auth mechanism allowed: send a single Authorization header, or query parameters, not both. "
		credential     = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"
		headers        = "SignedHeaders must be lower-case header names in ascending order, separated by ';', got '"
	)
	with := func(old, new string) string { return strings.Replace(goodAuth, old, new, 1) }
	for _, tt := range []struct {
		name, wantName, want string
		auth                 []string
		date, query          string
		more                 http.Header
	}{
		{"nothing", missing, "Request is missing Authentication Token", nil, goodDate, "", nil},
		{"empty", missing, "Request is missing Authentication Token", []string{""}, goodDate, "", nil},
		{"bearer", missing, "Request is missing Authentication Token", []string{"Bearer x"}, goodDate, "", nil},
		{"version 2", missing, "Request is missing Authentication Token", []string{"AWS AKID:sig"}, goodDate, "", nil},
		{"algorithm alone", incomplete, needCredential + needSignature + needHeaders + needDate + "Authorization=AWS4-HMAC-SHA256", []string{"AWS4-HMAC-SHA256"}, "", "", nil},
		{"no credential", incomplete, needCredential + "Authorization=" + with("Credential=AKID/20260203/eu-central-1/kms/aws4_request, ", ""), []string{with("Credential=AKID/20260203/eu-central-1/kms/aws4_request, ", "")}, goodDate, "", nil},
		{"empty signature", incomplete, needSignature + "Authorization=" + with("Signature=ab", "Signature="), []string{with("Signature=ab", "Signature=")}, goodDate, "", nil},
		{"no date", incomplete, needDate + "Authorization=" + goodAuth, []string{goodAuth}, "", "", nil},
		{"no equal sign", incomplete, "'Signature' not a valid key=value pair (missing equal-sign) in Authorization header: '" + with("Signature=ab", "Signature") + "'.", []string{with("Signature=ab", "Signature")}, goodDate, "", nil},
		{"unknown parameter", incomplete, "Authorization header has the unknown parameter 'Extra'. ", []string{goodAuth + ", Extra=1"}, goodDate, "", nil},
		{"parameter twice", incomplete, "Authorization header has the parameter 'Signature' more than once. ", []string{goodAuth + ",Signature=cd"}, goodDate, "", nil},
		{"two headers", incomplete, one, []string{goodAuth, goodAuth}, goodDate, "", nil},
		{"header and query", incomplete, one, []string{goodAuth}, goodDate, "X-Amz-Signature=ab", nil},
		{"foreign header and query", incomplete, one, []string{"Bearer x"}, goodDate, "X-Amz-Credential=ab", nil},
		{"date with dashes", incomplete, "Date must be in ISO-8601 'basic format'. Got '2026-02-03T04:05:06Z'. See http://en.wikipedia.org/wiki/ISO_8601", []string{goodAuth}, "2026-02-03T04:05:06Z", "", nil},
		{"date with fraction", incomplete, "Date must be in ISO-8601 'basic format'. Got '20260203T040506.5Z'. See http://en.wikipedia.org/wiki/ISO_8601", []string{goodAuth}, "20260203T040506.5Z", "", nil},
		{"no such day", incomplete, "Date must be in ISO-8601 'basic format'. Got '20260230T040506Z'. See http://en.wikipedia.org/wiki/ISO_8601", []string{goodAuth}, "20260230T040506Z", "", nil},
		{"bad Date header", incomplete, "Date must be in ISO-8601 'basic format'. Got 'today'. See http://en.wikipedia.org/wiki/ISO_8601", []string{goodAuth}, "", "", http.Header{"Date": {"today"}}},
		{"date before algorithm", incomplete, "Date must be in ISO-8601 'basic format'. Got 'x'. See http://en.wikipedia.org/wiki/ISO_8601", []string{with("SHA256", "SHA1")}, "x", "", nil},
		{"algorithm", incomplete, "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now). ", []string{with("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")}, goodDate, "", nil},
		{"credential of 4", incomplete, credential + "AKID/20260203/kms/aws4_request'", []string{with("eu-central-1/", "")}, goodDate, "", nil},
		{"credential of 6", incomplete, credential + "AK/ID/20260203/eu-central-1/kms/aws4_request'", []string{with("AKID", "AK/ID")}, goodDate, "", nil},
		{"no access key id", incomplete, credential + "/20260203/eu-central-1/kms/aws4_request'", []string{with("AKID", "")}, goodDate, "", nil},
		{"headers unsorted", incomplete, headers + "x-amz-date;host'", []string{with("host;x-amz-date", "x-amz-date;host")}, goodDate, "", nil},
		{"header twice", incomplete, headers + "host;host'", []string{with("host;x-amz-date", "host;host")}, goodDate, "", nil},
		{"header in capitals", incomplete, headers + "Host'", []string{with("host;x-amz-date", "Host")}, goodDate, "", nil},
		{"empty header name", incomplete, headers + "host;'", []string{with("host;x-amz-date", "host;")}, goodDate, "", nil},
		{"header with a space", incomplete, headers + "a b'", []string{with("host;x-amz-date", "a b")}, goodDate, "", nil},
		{"two dates", incomplete, "The header 'X-Amz-Date' occurs more than once. ", []string{goodAuth}, "", "", http.Header{"X-Amz-Date": {goodDate, goodDate}}},
		{"two tokens", incomplete, "The header 'X-Amz-Security-Token' occurs more than once. ", []string{goodAuth}, goodDate, "", http.Header{"X-Amz-Security-Token": {"a", "b"}}},
		{"query escape", incomplete, "The query string has an invalid percent-encoding: 'a=%zz'. ", []string{goodAuth}, goodDate, "a=%zz", nil},
		{"presigned, nothing else", incomplete, "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters.", nil, "", "X-Amz-Algorithm=AWS4-HMAC-SHA256", nil},
		{"presigned twice", incomplete, "The query parameter 'X-Amz-Signature' occurs more than once. Re-examine the query-string parameters.", nil, "", presigned + "&X-Amz-Signature=x", nil},
		{"presigned for ever", incomplete, "X-Amz-Expires must be a number of seconds from 1 to 604800, got '604801'", nil, "", presigned + "&X-Amz-Expires=604801", nil},
		{"presigned for no time", incomplete, "X-Amz-Expires must be a number of seconds from 1 to 604800, got '0'", nil, "", presigned + "&X-Amz-Expires=0", nil},
		{"presigned for less", incomplete, "X-Amz-Expires must be a number of seconds from 1 to 604800, got '-1'", nil, "", presigned + "&X-Amz-Expires=-1", nil},
		{"presigned with two tokens", incomplete, "The session token is in the header and in the query; send one of them. ", nil, "", presigned + "&X-Amz-Security-Token=a", http.Header{"X-Amz-Security-Token": {"a"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Method: "POST", Host: "h", URL: &url.URL{Path: "/", RawQuery: tt.query}, Header: http.Header{}}
			if tt.auth != nil {
				r.Header["Authorization"] = tt.auth
			}
			if tt.date != "" {
				r.Header.Set("X-Amz-Date", tt.date)
			}
			for k, v := range tt.more {
				r.Header[k] = v
			}
			_, err := sigv4.Parse(r)
			if name, message := errorOf(t, err); name != tt.wantName || message != tt.want {
				t.Errorf("got  %s: %s\nwant %s: %s", name, message, tt.wantName, tt.want)
			}
		})
	}
}

const presigned = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260203%2Feu-central-1%2Fkms%2Faws4_request&X-Amz-Signature=ab&X-Amz-SignedHeaders=host&X-Amz-Date=20260203T040506Z"

// TestCheckErrors holds rows 4 and 5: clock, signed headers, scope.
func TestCheckErrors(t *testing.T) {
	const bad = "InvalidSignatureException"
	const (
		badRegion  = "Credential should be scoped to a valid region. "
		badService = "Credential should be scoped to correct service: 'kms'. "
		badTerm    = "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4'. "
		badDate    = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260204' != '20260203', from '20260203T040506Z'."
		badHost    = "'Host' must be a 'SignedHeader' in the AWS Authorization."
	)
	with := func(old, new string) string { return strings.Replace(goodAuth, old, new, 1) }
	for _, tt := range []struct {
		name, wantName, want string
		auth                 string
		offset               time.Duration // of the server's clock
		more                 http.Header
	}{
		{"now", "", "", goodAuth, 0, nil},
		{"five minutes ago", "", "", goodAuth, 5 * time.Minute, nil},
		{"in five minutes", "", "", goodAuth, -5 * time.Minute, nil},
		{"too old", bad, "Signature expired: 20260203T040506Z is now earlier than 20260203T040507Z (20260203T041007Z - 5 min.)", goodAuth, 5*time.Minute + time.Second, nil},
		{"too new", bad, "Signature not yet current: 20260203T040506Z is still later than 20260203T040505Z (20260203T040005Z + 5 min.)", goodAuth, -5*time.Minute - time.Second, nil},
		{"clock before scope", bad, "Signature expired: 20260203T040506Z is now earlier than 20260203T050006Z (20260203T050506Z - 5 min.)", with("host;", ""), time.Hour, nil},
		{"host not signed", bad, badHost, with("host;", ""), 0, nil},
		{"host not signed, wrong region", bad, badHost, strings.Replace(with("host;", ""), "eu-central-1", "eu-west-1", 1), 0, nil},
		{"date not signed", bad, "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization.", with("host;x-amz-date", "host"), 0, nil},
		{"target not signed", bad, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.", goodAuth, 0, http.Header{"X-Amz-Target": {"TrentService.Encrypt"}}},
		{"token not signed", bad, "'X-Amz-Security-Token' must be a 'SignedHeader' in the AWS Authorization.", goodAuth, 0, http.Header{"X-Amz-Security-Token": {"t"}}},
		{"region", bad, badRegion, with("eu-central-1", "us-east-1"), 0, nil},
		{"service", bad, badService, with("/kms/", "/s3/"), 0, nil},
		{"terminator", bad, badTerm, with("aws4_request", "aws4"), 0, nil},
		{"date", bad, badDate, with("20260203", "20260204"), 0, nil},
		{"all of them", bad, badRegion + badService + badTerm + badDate, with("20260203/eu-central-1/kms/aws4_request", "20260204/x/y/aws4"), 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Method: "POST", Host: "h", URL: &url.URL{Path: "/"}, Header: http.Header{"Authorization": {tt.auth}, "X-Amz-Date": {goodDate}}}
			for k, v := range tt.more {
				r.Header[k] = v
			}
			q, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			err = q.Check(signedAt.Add(tt.offset), region, "kms")
			if tt.wantName == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if name, message := errorOf(t, err); name != tt.wantName || message != tt.want {
				t.Errorf("got  %s: %s\nwant %s: %s", name, message, tt.wantName, tt.want)
			}
		})
	}
}

// TestPresignedLife: X-Amz-Expires replaces the window into the past, not the one into the future; without it both hold.
func TestPresignedLife(t *testing.T) {
	for _, tt := range []struct {
		expires string
		offset  time.Duration
		want    string
	}{
		{"&X-Amz-Expires=3600", time.Hour, ""},
		{"&X-Amz-Expires=3600", time.Hour + time.Second, "RequestExpired"},
		{"&X-Amz-Expires=60", 2 * time.Minute, "RequestExpired"},
		{"&X-Amz-Expires=3600", -6 * time.Minute, "InvalidSignatureException"},
		{"", 5 * time.Minute, ""},
		{"", 6 * time.Minute, "InvalidSignatureException"},
	} {
		r := &http.Request{Method: "GET", Host: "h", URL: &url.URL{Path: "/", RawQuery: presigned + tt.expires}, Header: http.Header{}}
		q, err := sigv4.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		err = q.Check(signedAt.Add(tt.offset), region, "kms")
		if tt.want == "" && err == nil {
			continue
		}
		if name, _ := errorOf(t, err); name != tt.want {
			t.Errorf("%q after %v: got %v, want %q", tt.expires, tt.offset, err, tt.want)
		}
	}
}

// TestVerifyErrors holds row 8, and what the body may claim about itself.
func TestVerifyErrors(t *testing.T) {
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	content := func(v string) request { return request{body: "{}", headers: [][2]string{{"X-Amz-Content-Sha256", v}}} }
	for _, tt := range []struct {
		name, want string
		q          request
		change     func(*http.Request)
		body       string
	}{
		{"other body", mismatch, typical, func(*http.Request) {}, "{}"},
		{"other method", mismatch, typical, func(r *http.Request) { r.Method = "PUT" }, typical.body},
		{"other path", mismatch, typical, func(r *http.Request) { r.URL.Path = "/x" }, typical.body},
		{"other query", mismatch, typical, func(r *http.Request) { r.URL.RawQuery = "a" }, typical.body},
		{"other host", mismatch, typical, func(r *http.Request) { r.Host = "evil" }, typical.body},
		{"other target", mismatch, typical, func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.Decrypt") }, typical.body},
		{"target twice", mismatch, typical, func(r *http.Request) { r.Header.Add("X-Amz-Target", "TrentService.Decrypt") }, typical.body},
		{"signed header removed", mismatch, typical, func(r *http.Request) { r.Header.Del("Amz-Sdk-Request") }, typical.body},
		{"signature in capitals", mismatch, typical, func(r *http.Request) {
			auth, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", auth+"Signature="+strings.ToUpper(sig))
		}, typical.body},
		{"signature cut", mismatch, typical, func(r *http.Request) {
			auth := r.Header.Get("Authorization")
			r.Header.Set("Authorization", auth[:len(auth)-1])
		}, typical.body},
		{"content hash of another body", "The provided 'x-amz-content-sha256' header does not match what was computed.", content(hashOf("x")), func(*http.Request) {}, "{}"},
		{"unsigned payload", "'x-amz-content-sha256' must be the SHA-256 of the body in hex, not 'UNSIGNED-PAYLOAD'.", content("UNSIGNED-PAYLOAD"), func(*http.Request) {}, "{}"},
		{"streaming", "'x-amz-content-sha256' must be the SHA-256 of the body in hex, not 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'.", content("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), func(*http.Request) {}, "{}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := received(t, tt.q.sign(t))
			tt.change(r)
			_, hash := received(t, request{body: tt.body}.sign(t))
			if name, message := errorOf(t, verify(t, r, hash, signedAt, "kms")); name != "InvalidSignatureException" || message != tt.want {
				t.Errorf("got %s: %s", name, message)
			}
		})
	}
}

// TestEchoIsBounded: an error repeats little of a large header.
func TestEchoIsBounded(t *testing.T) {
	r := &http.Request{Method: "POST", Host: "h", URL: &url.URL{Path: "/"}, Header: http.Header{"Authorization": {"AWS4-HMAC-SHA256 Credential=" + strings.Repeat("ü", 100_000)}}}
	_, err := sigv4.Parse(r)
	if _, message := errorOf(t, err); len(message) > 2000 {
		t.Errorf("%d bytes", len(message))
	}
}

// TestDateHeader: without X-Amz-Date the time is that of Date, in either format.
func TestDateHeader(t *testing.T) {
	for _, date := range []string{"Tue, 03 Feb 2026 04:05:06 GMT", goodDate} {
		r := &http.Request{Method: "POST", Host: "h", URL: &url.URL{Path: "/"}, Header: http.Header{"Authorization": {goodAuth}, "Date": {date}}}
		q, err := sigv4.Parse(r)
		if err != nil || !q.Time.Equal(signedAt) {
			t.Errorf("%s: %v", date, err)
		}
	}
}
