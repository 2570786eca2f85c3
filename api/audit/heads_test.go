package audit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Age, checkpoints and the retries of a signer that is away, in fake time.
func TestTasks(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		signer, hs := newSigner(), &heads{}
		l, err := Open(Config{
			Dir: dir, NodeID: "n1", SegmentSize: 1 << 20, Reserve: 1 << 20, MinFreeAmber: 1, MinFreeRed: 1,
			SegmentAge: time.Hour, CheckpointEvery: time.Minute, Signer: signer, OnHead: hs.on,
		})
		if err != nil {
			t.Fatal(err)
		}
		put := func(i int) {
			if err := l.Append(t.Context(), numbered(i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour) // an empty segment does not age
		put(1)
		time.Sleep(61 * time.Second)
		if list := hs.all(); len(list) != 1 || !list[0].Open || list[0].LastSeq != 1 || list[0].Check(signer.verify) != nil {
			t.Fatalf("after a minute: %+v", list)
		}
		n := signer.n
		time.Sleep(10 * time.Minute)
		if signer.n != n {
			t.Errorf("%d signatures without new records", signer.n-n)
		}
		signer.setFail(errors.New("the HSM is away"))
		put(2)
		time.Sleep(time.Hour)
		st := l.Status()
		if st.Level != Amber || st.PendingHeads != 1 || !strings.Contains(st.Reasons[0], "the HSM is away") || st.Segment != 2 {
			t.Fatalf("with the HSM away: %+v", st)
		}
		if data, err := os.ReadFile(onlyHead(t, dir)); err != nil || bytes.Contains(data, []byte(`"signature":"A`)) {
			t.Errorf("unsigned head: %s %v", data, err)
		}
		signer.setFail(nil)
		time.Sleep(2 * time.Minute)
		if st := l.Status(); st.Level != Green || st.PendingHeads != 0 {
			t.Fatalf("with the HSM back: %+v", st)
		}
		data, err := os.ReadFile(onlyHead(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		h, err := ParseHead(data)
		if err != nil || h.Open || h.LastSeq != 2 || h.Check(signer.verify) != nil || hs.list[1] != h {
			t.Errorf("head %+v, %v; announced %+v", h, err, hs.list[1])
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func onlyHead(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.head"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("heads %v, %v", paths, err)
	}
	return paths[0]
}

// Heads that could not be signed or announced before the end are so after the next Open.
func TestHeadsAreSignedAfterRestart(t *testing.T) {
	r := newRig(t, nil)
	r.signer.setFail(errors.New("the HSM is away"))
	const n = announceAgain + 3
	for i := range n {
		r.append(numbered(i))
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		if _, err := r.log.Rotate(ctx); err == nil {
			t.Error("Rotate returned a head without a signature")
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := r.log.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if rep := r.verify(); len(rep.Findings) != n || rep.Findings[0].Kind != BadSignature {
		t.Errorf("unsigned heads: %+v", rep.Findings)
	}
	r.signer.setFail(nil)
	r.open()
	r.close()
	if got := len(r.heads.all()); got != n {
		t.Errorf("%d heads announced", got)
	}
	r.sound(n)
}

// Heads that were signed but perhaps not committed are announced again.
func TestNewestHeadsAreAnnouncedAgain(t *testing.T) {
	r := newRig(t, nil)
	var want Head
	for i := range announceAgain + 3 {
		r.append(numbered(i))
		want = r.rotate()
	}
	r.close()
	r.heads.list = nil
	r.open()
	r.close()
	if got := r.heads.list; len(got) != announceAgain || got[want.Segment] != want {
		t.Errorf("announced %d, the newest %+v, want %+v", len(got), got[want.Segment], want)
	}
}
