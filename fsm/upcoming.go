//go:build !trent_upcoming

package fsm

// upcoming are kinds above this version's feature level: none. A build with the tag trent_upcoming has one.
func upcoming() []commandRow { return nil }
