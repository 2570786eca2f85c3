package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// filesystem is what the log needs of its directory. There is one real implementation; the tests wrap it to let every
// call fail before or after its effect.
type filesystem interface {
	names() ([]string, error)
	create(name string) (file, error) // fails if it exists
	open(name string) (file, error)   // for reading and writing
	read(name string, limit int64) ([]byte, error)
	rename(from, to string) error
	remove(name string) error
	stat(name string) (fileID, error)
	// syncDir makes creations, renames and removals durable.
	syncDir() error
	// free returns the bytes that this process can still allocate and the size of the volume.
	free() (available, total int64, err error)
	// lock keeps other processes from opening the same log; closing the result releases it.
	lock() (io.Closer, error)
}

// file is a segment or head file. Calls after close return os.ErrClosed.
type file interface {
	io.ReaderAt
	io.WriterAt
	// sync makes contents and size durable (fdatasync).
	sync() error
	// reserve allocates the blocks up to size bytes without changing the file's size, errNoReserve if the filesystem
	// cannot.
	reserve(size int64) error
	truncate(size int64) error
	id() (fileID, error)
	close() error
}

// fileID tells one file from another that took its name.
type fileID struct {
	dev, ino uint64
	size     int64
}

// errNoReserve: the filesystem has no fallocate that keeps the size.
var errNoReserve = errors.New("the filesystem cannot reserve space")

// errLocked: another process has the log open.
var errLocked = errors.New("another process has this audit log open")

// isNoSpace tells errors that freeing space mends.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// dirFS is a real directory.
type dirFS struct{ dir string }

type dirFile struct{ *os.File }

func (d dirFS) path(name string) string { return filepath.Join(d.dir, name) }

func (d dirFS) names() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d dirFS) create(name string) (file, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	return dirFile{f}, nil
}

func (d dirFS) open(name string) (file, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return dirFile{f}, nil
}

func (d dirFS) read(name string, limit int64) ([]byte, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (d dirFS) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d dirFS) remove(name string) error {
	err := os.Remove(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d dirFS) stat(name string) (fileID, error) {
	info, err := os.Lstat(d.path(name))
	if err != nil {
		return fileID{}, err
	}
	return idOf(info), nil
}

func (d dirFS) syncDir() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (f dirFile) truncate(size int64) error { return f.Truncate(size) }

func (f dirFile) close() error { return f.Close() }

func (f dirFile) id() (fileID, error) {
	info, err := f.Stat()
	if err != nil {
		return fileID{}, err
	}
	return idOf(info), nil
}

// writeFile writes a small file durably under its name: all of it or none.
func writeFile(fsys filesystem, name string, data []byte) error {
	tmp := name + tmpSuffix
	if err := fsys.remove(tmp); err != nil {
		return err
	}
	f, err := fsys.create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.sync()
	}
	if err = errors.Join(err, f.close()); err != nil {
		return errors.Join(err, fsys.remove(tmp))
	}
	if err := fsys.rename(tmp, name); err != nil {
		return err
	}
	return fsys.syncDir()
}
