package trenttest

import "flag"

// filtered tells whether the command line chose among the tests.
func filtered() bool {
	for _, name := range []string{"test.run", "test.skip"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	f := flag.Lookup("test.short")
	return f != nil && f.Value.String() == "true"
}
