package awsjson

import "testing"

// TestPattern: the patterns of the model in Java's reading, where the whole text has to match.
func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want, fast    bool
	}{
		{`^\p{ASCII}+$`, "arn:aws:kms:eu-central-1:111122223333:key/x", true, true},
		{`^\p{ASCII}+$`, "\x00\x7f", true, true},
		{`^\p{ASCII}+$`, "", false, true},
		{`^\p{ASCII}+$`, "1234567\u00fc", false, true},
		{`^\p{ASCII}+$`, "12345678\u00fc", false, true},
		{`[\p{ASCII}\u00e9]+`, "abc\u00e9", true, true},
		{`^[a-zA-Z0-9:/_-]+$`, "alias/a-b_c:9", true, true},
		{`^[a-zA-Z0-9:/_-]+$`, "alias/a b", false, true},
		{`^[a-zA-Z0-9:/_-]+$`, "a\n", false, true},
		{`^[a-zA-Z0-9-_.]+$`, "a-_.9", true, true},
		{`^[a-zA-Z0-9:/_\s.-]+$`, "a b\v\t\n", true, true},
		{`^[a-zA-Z0-9:/_\s.-]+$`, "a\u00a0", false, true},
		{`a\sb`, "a\vb", true, false},
		{`[\u0020-\u00FF]*`, "", true, true},
		{`[\u0020-\u00FF]*`, "\u00ff\u007f ", true, true},
		{`[\u0020-\u00FF]*`, "\u0100", false, true},
		{`[\u0009\u000A\u000D\u0020-\u00FF]+`, "{\r\n\t}", true, true},
		{`[\u0009\u000A\u000D\u0020-\u00FF]+`, "\x0b", false, true},
		{`[\w]+`, "default_1", true, true},
		{`[\w]+`, "d\u00e9faut", false, true},
		{`[0-9]{12}`, "111122223333", true, false},
		{`[0-9]{12}`, "1111222233334", false, false},
		{`^([a-z]+-){2,3}\d+$`, "us-gov-east-1", true, false},
		{`^([a-z]+-){2,3}\d+$`, "us-gov-east-1\n", false, false},
		{`^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$`, "/p/kms/xks/v1", true, false},
		{`^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$`, "/kms/xks/v1/", false, false},
		{`a|b`, "ab", false, false},
		{`^[^\]]+$`, "a[b", true, true},
	} {
		p, err := newPattern(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(tt.text); got != tt.want {
			t.Errorf("%s on %q: %v", tt.pattern, tt.text, got)
		}
		if got := p.matchBytes([]byte(tt.text)); got != tt.want {
			t.Errorf("%s on bytes %q: %v", tt.pattern, tt.text, got)
		}
		if fast := p.re == nil; fast != tt.fast {
			t.Errorf("%s: compiled to a class: %v", tt.pattern, fast)
		}
	}
}
