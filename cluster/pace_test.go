package cluster

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// A piece of work that can wait makes room only where the log was written meanwhile, and for as long as it took itself.
func TestPace(t *testing.T) {
	const took = 30 * time.Millisecond
	for _, tt := range []struct {
		name    string
		took    time.Duration
		written func(p *pace) // while the piece is on its way
		want    time.Duration
	}{
		{"nobody writes the log", took, func(*pace) {}, took},
		{"the log was written", took, func(p *pace) { p.urgent(func() {}) }, 2 * took},
		{"a slow disk", 5 * time.Second, func(p *pace) { p.urgent(func() {}) }, 5*time.Second + maxPause},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, start := new(pace), time.Now()
				if err := p.piece(func() error { time.Sleep(tt.took); tt.written(p); return nil }); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got != tt.want {
					t.Fatalf("the piece and its pause took %v, want %v", got, tt.want)
				}
			})
		})
	}
	t.Run("a write was under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := new(pace)
			var write sync.WaitGroup
			write.Go(func() { p.urgent(func() { time.Sleep(time.Second) }) })
			defer write.Wait()
			synctest.Wait()
			start := time.Now()
			if err := p.piece(func() error { time.Sleep(took); return nil }); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != 2*took {
				t.Fatalf("the piece and its pause took %v", got)
			}
		})
	})
	t.Run("the node closes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ended := make(chan struct{})
			p, start := &pace{ended: ended}, time.Now()
			if err := p.piece(func() error { time.Sleep(took); p.urgent(func() {}); close(ended); return nil }); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != took {
				t.Fatalf("paused for %v after the end", got-took)
			}
			if err := p.piece(func() error { t.Error("ran after the end"); return nil }); !errors.Is(err, errEnding) {
				t.Fatal(err)
			}
		})
	})
	t.Run("the piece fails", func(t *testing.T) {
		want := errors.New("no")
		if err := new(pace).piece(func() error { return want }); !errors.Is(err, want) {
			t.Fatal(err)
		}
	})
}

// steppedStorage records deletions and can be told what to do before each.
type steppedStorage struct {
	Storage
	mu      sync.Mutex
	deleted [][2]uint64
	before  func(step int)
	stored  chan struct{} // gets a value after each write of entries, if there is room
}

func (s *steppedStorage) DeleteRange(from, to uint64) error {
	s.mu.Lock()
	step := len(s.deleted)
	s.deleted = append(s.deleted, [2]uint64{from, to})
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(step)
	}
	return s.Storage.DeleteRange(from, to)
}

func (s *steppedStorage) StoreLogs(l []*raft.Log) error {
	err := s.Storage.StoreLogs(l)
	select {
	case s.stored <- struct{}{}:
	default:
	}
	return err
}

func (s *steppedStorage) steps() [][2]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deleted)
}

// The start of a log goes in steps that leave no gaps, its end at once.
func TestCompactionGoesInSteps(t *testing.T) {
	type ranges = [][2]uint64
	for _, tt := range []struct {
		name     string
		log      ranges
		from, to uint64
		want     ranges
		first    uint64 // of what stays, 0 = nothing
	}{
		{"a short start", ranges{{1, 100}}, 1, 60, ranges{{1, 60}}, 61},
		{"a long start", ranges{{1, 1400}}, 1, 1300, ranges{{1, 512}, {513, 1024}, {1025, 1300}}, 1301},
		{"a log that begins late", ranges{{701, 1800}}, 701, 1400, ranges{{701, 1212}, {1213, 1400}}, 1401},
		{"a hole that a snapshot fills", ranges{{1, 10}, {5000, 5700}}, 1, 5600, ranges{{1, 512}, {5000, 5511}, {5512, 5600}}, 5601},
		{"the end", ranges{{1, 1400}}, 100, 1400, ranges{{100, 1400}}, 1},
		{"all of it, as a conflict does", ranges{{1, 1400}}, 1, 1400, ranges{{1, 1400}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bolt, err := openBolt(filepath.Join(t.TempDir(), logFile), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer bolt.Close()
			for _, r := range tt.log {
				var logs []*raft.Log
				for i := r[0]; i <= r[1]; i++ {
					logs = append(logs, &raft.Log{Index: i, Term: 1, Data: make([]byte, 100)})
				}
				if err := bolt.StoreLogs(logs); err != nil {
					t.Fatal(err)
				}
			}
			s := &steppedStorage{Storage: bolt}
			g, err := newGuard(s, newLifeline(func(err error) { t.Error(err) }), new(pace))
			if err != nil {
				t.Fatal(err)
			}
			if err := g.DeleteRange(tt.from, tt.to); err != nil {
				t.Fatal(err)
			}
			if got := s.steps(); !slices.Equal(got, tt.want) {
				t.Errorf("deleted %v, want %v", got, tt.want)
			}
			if first, err := bolt.FirstIndex(); first != tt.first || err != nil {
				t.Errorf("the log begins at %d, want %d; %v", first, tt.first, err)
			}
		})
	}
}

// Between two steps of a compaction writes go on, and a node that closes does not wait for the rest.
func TestWritesGoOnDuringCompaction(t *testing.T) {
	s := &steppedStorage{stored: make(chan struct{}, 1)}
	dir := t.TempDir()
	n := newRegion(t, dir, trailing(1), func(c *Config) {
		c.WrapStorage = func(inner Storage) Storage { s.Storage = inner; return s }
	})
	var fill sync.WaitGroup
	for w := range 64 {
		fill.Go(func() {
			for i := range 3 * compactStep / 64 {
				if _, err := n.Propose(t.Context(), account(1000*w+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	fill.Wait()
	wrote := make(chan error, 1)
	closing := make(chan error, 1)
	s.mu.Lock()
	s.before = func(step int) {
		switch step {
		case 0: // a write that comes now is through before the second step
			<-s.stored // of the fill
			go func() { _, err := n.Propose(t.Context(), account(900_000)); wrote <- err }()
		case 1:
			select {
			case <-s.stored:
			case <-t.Context().Done():
			}
			go func() { closing <- n.Close() }()
			<-n.alive.Done()
		}
	}
	s.mu.Unlock()
	if _, err := n.Snapshot(seconds(t, 30)); err != nil {
		t.Logf("the snapshot that was under way when the node closed: %v", err)
	}
	if err := <-wrote; err != nil {
		t.Errorf("a write during the compaction: %v", err)
	}
	if err := <-closing; err != nil {
		t.Errorf("close: %v", err)
	}
	if got := s.steps(); len(got) != 2 {
		t.Errorf("%d steps, want no more after the node closed: %v", len(got), got)
	}
	again := mustView(t, openNode(t, dir))
	for _, id := range []int{0, 63_000, 900_000} {
		if again.Account(accountID(id)) == nil {
			t.Errorf("account %d is gone", id)
		}
	}
}
