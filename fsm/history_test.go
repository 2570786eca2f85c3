package fsm

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// testdata/log-v1.bin is a log as it was written once, testdata/snapshot-v1.bin what that version made of it. Every
// later version makes the same of it, bit for bit, or nodes of two versions would differ.
func TestOldLogGivesOldState(t *testing.T) {
	logFile, snapshotFile := filepath.Join("testdata", "log-v1.bin"), filepath.Join("testdata", "snapshot-v1.bin")
	if _, err := os.Stat(logFile); os.IsNotExist(err) && *writeMissing {
		writeOldLog(t, logFile, snapshotFile)
	}
	data, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(snapshotFile)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	for len(data) > 0 {
		index, kind, n := binary.BigEndian.Uint64(data), raft.LogType(data[8]), binary.BigEndian.Uint32(data[9:])
		response := l.fsm.Apply(&raft.Log{Index: index, Type: kind, Data: data[13 : 13+n]})
		if err, failed := response.(error); failed {
			t.Fatalf("entry %d: %v", index, err)
		}
		data = data[13+n:]
	}
	if !bytes.Equal(snapshotOf(t, l.state()), want) {
		t.Error("an old log gives another state than it did")
	}
	s, err := ReadSnapshot(reader(want))
	if err != nil {
		t.Fatal(err)
	}
	if Hash(s) != Hash(l.state()) {
		t.Error("an old snapshot gives another state than its log")
	}
	checkInvariants(t, s)
}

func writeOldLog(t *testing.T, logFile, snapshotFile string) {
	t.Helper()
	l, _ := randomLog(t, 1, 250, false)
	var out []byte
	for _, e := range l.log {
		out = binary.BigEndian.AppendUint64(out, e.Index)
		out = append(out, byte(e.Type))
		out = binary.BigEndian.AppendUint32(out, uint32(len(e.Data)))
		out = append(out, e.Data...)
	}
	for file, data := range map[string][]byte{logFile: out, snapshotFile: snapshotOf(t, l.state())} {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
