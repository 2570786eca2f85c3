package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// A key's description is a register: UpdateKeyDescription writes it, DescribeKey reads it.

// step is one call on one key.
type step struct {
	key   int
	write bool
	value string // what was written
}

func registers() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[int][]porcupine.Operation{}
			for _, op := range history {
				k := op.Input.(step).key
				byKey[k] = append(byKey[k], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			s := input.(step)
			if s.write {
				return true, s.value
			}
			return output.(string) == state.(string), state
		},
		DescribeOperation: func(input, output any) string {
			s := input.(step)
			if s.write {
				return fmt.Sprintf("key %d := %s", s.key, s.value)
			}
			return fmt.Sprintf("key %d = %v", s.key, output)
		},
	}
}

// history records what clients did and saw.
type history struct {
	start   time.Time
	mu      sync.Mutex
	ops     []porcupine.Operation
	unknown atomic.Int64
}

func (h *history) now() int64 { return int64(time.Since(h.start)) }

func (h *history) add(op porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// never is the end of a write whose outcome is unknown: it may take effect at any time from its start on.
const never = int64(1) << 62

// client calls one node until the context ends. A failed read says nothing; a failed write may have taken effect.
func (h *history) client(ctx context.Context, id int, c *kms.Client, keys []string) {
	rnd := rand.New(rand.NewSource(int64(id)))
	for n := 0; ctx.Err() == nil; n++ {
		k := rnd.Intn(len(keys))
		call, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		start := h.now()
		if rnd.Intn(3) == 0 {
			value := fmt.Sprintf("%d-%d", id, n)
			_, err := c.UpdateKeyDescription(call, &kms.UpdateKeyDescriptionInput{KeyId: &keys[k], Description: &value})
			end := h.now()
			if err != nil {
				h.unknown.Add(1)
				end = never
			}
			h.add(porcupine.Operation{ClientId: id, Input: step{k, true, value}, Call: start, Output: "", Return: end})
			if err != nil {
				id += 1000 // the call has not ended for the checker; the client goes on as another
			}
		} else if out, err := c.DescribeKey(call, &kms.DescribeKeyInput{KeyId: &keys[k]}); err == nil {
			h.add(porcupine.Operation{ClientId: id, Input: step{key: k}, Call: start, Output: aws.ToString(out.KeyMetadata.Description), Return: h.now()})
		}
		cancel()
	}
}

// TestLinearizable has clients of every node write and read the same keys while leaders are killed, and checks that what
// they saw is what one register for each key could have said. TRENT_HISTORY_SECONDS sets the length.
func TestLinearizable(t *testing.T) {
	length := 15
	if s, err := strconv.Atoi(os.Getenv("TRENT_HISTORY_SECONDS")); err == nil {
		length = s
	}
	r := newRegion(t)
	var keys []string
	for range 3 {
		made, err := r.client(r.nodes[0], 1).CreateKey(ctx(t), &kms.CreateKeyInput{})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, *made.KeyMetadata.KeyId)
	}
	h := &history{start: time.Now()}
	run, cancel := context.WithTimeout(t.Context(), time.Duration(length)*time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() { h.client(run, i, r.client(r.nodes[i%3], 3), keys) })
	}
	kills := 0
	for run.Err() == nil {
		select {
		case <-time.After(2500 * time.Millisecond):
		case <-run.Done():
			continue
		}
		p := r.leader()
		p.kill()
		kills++
		<-time.After(500 * time.Millisecond)
		p.start()
		p.await()
	}
	clients.Wait()
	reads, writes := 0, 0
	for _, op := range h.ops {
		if op.Input.(step).write {
			writes++
		} else {
			reads++
		}
	}
	t.Logf("%d reads, %d writes of which %d with an unknown outcome, %d leaders killed", reads, writes, h.unknown.Load(), kills)
	if reads < 20*length || writes < 5*length || kills < 2 {
		t.Error("too little traffic: the history proves nothing")
	}
	result, info := porcupine.CheckOperationsVerbose(registers(), h.ops, 60*time.Second)
	if result != porcupine.Ok {
		file := fmt.Sprintf("%s/history.html", t.ArtifactDir())
		t.Errorf("the history is %v; see %s: %v", result, file, errors.Join(porcupine.VisualizePath(registers(), info, file)))
	}
}
