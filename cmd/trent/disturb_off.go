//go:build !chaos

package main

import (
	"net/http"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/link"
)

// disturbance stands where builds with the tag chaos put failpoints between the parts of a node. In this build it hands through
// what it is given.
type disturbance struct{}

func (disturbance) start(*node) error                   { return nil }
func (disturbance) module(m hsm.Module) hsm.Module      { return m }
func (disturbance) sink(f sinkFunc) sinkFunc            { return f }
func (disturbance) cluster(*cluster.Config, *fsm.FSM)   {}
func (disturbance) votes() bool                         { return true }
func (disturbance) link(l link.Link) link.Link          { return l }
func (disturbance) handler(h http.Handler) http.Handler { return h }
