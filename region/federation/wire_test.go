package federation

import "testing"

// TestWhatOthersSayIsText: what operators are shown of another region moves nothing on their terminal.
func TestWhatOthersSayIsText(t *testing.T) {
	for said, want := range map[string]string{
		"region ü has begun a later life":      "region ü has begun a later life",
		"two\nlines\tand\rmore":                "two lines and more",
		"\x1b[2J\x1b]0;title\a\u009b31mno\xff": " [2J ]0;title  31mno?",
		"\u202egnorw\u2028":                    " gnorw ",
	} {
		if got := faultText([]byte(said)); got != want {
			t.Errorf("%q is told as %q", said, got)
		}
	}
	for address, want := range map[string]bool{
		"kms.example.org:7602": true, "[2001:db8::1]:1": true, "[fe80::1%eth0]:1": true,
		"\x1b[31m:1": false, "a b:1": false, "host:1\n": false, "höst:1": false, "\x7f:1": false, ":1": false, "host:": false, "host": false,
	} {
		if ValidAddress(address) != want {
			t.Errorf("address %q: %t", address, !want)
		}
	}
}
