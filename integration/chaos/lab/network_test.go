//go:build linux

package lab

import "testing"

// TestNetworksDiffer: labs beside each other have names and addresses of their own, and taking one down leaves the others.
func TestNetworksDiffer(t *testing.T) {
	if err := HaveNetwork(); err != nil {
		t.Skip("no networks here: ", err)
	}
	names, prefixes := map[string]bool{}, map[string]bool{}
	for range 8 {
		n, err := newNetwork()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.close(); err != nil {
				t.Error(err)
			}
		})
		if names[n.tag] || prefixes[n.prefix] {
			t.Errorf("two networks are %s with %s", n.tag, n.prefix)
		}
		names[n.tag], prefixes[n.prefix] = true, true
		// A lab that draws this name must not get it, nor take it away.
		if ip("", "link add trc"+n.tag+" type bridge") == nil {
			t.Errorf("the name of %s was given twice", n.tag)
		}
	}
}
