package cluster

import "github.com/hashicorp/raft"

// inmemStorage is Storage without a disk.
type inmemStorage struct{ *raft.InmemStore }

func (inmemStorage) Close() error { return nil }
