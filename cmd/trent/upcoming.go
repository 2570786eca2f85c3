//go:build !trent_upcoming

package main

// upcoming starts what only a build that stands for the next version does.
func (n *node) upcoming() {}
