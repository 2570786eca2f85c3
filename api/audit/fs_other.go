//go:build !linux

package audit

import (
	"io"
	"io/fs"
	"math"
	"os"
)

// Elsewhere than on Linux the log works without reserved space, without the check for replaced files, without a lock
// against a second process and without knowing the free space: good for development, not for a node that has to last.

func idOf(info fs.FileInfo) fileID { return fileID{size: info.Size()} }

func (f dirFile) sync() error { return f.Sync() }

func (f dirFile) reserve(int64) error { return errNoReserve }

func (d dirFS) free() (available, total int64, err error) { return math.MaxInt64, math.MaxInt64, nil }

func (d dirFS) lock() (io.Closer, error) {
	return os.OpenFile(d.path(lockName), os.O_RDWR|os.O_CREATE, 0o640)
}

func (d dirFS) inUse() bool { return false }
