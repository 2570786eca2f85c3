package soft

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// maxFile is the longest token file that is read, in bytes.
const maxFile = 1 << 20

// tokenFile is an open and locked token file.
type tokenFile struct {
	path string
	lock *os.File

	mu      sync.Mutex
	written fs.FileInfo // of the file as read or last written; guarded by mu
}

// openTokenFile locks, reads and unseals a token file, or makes one.
func openTokenFile(opts *Options) (*tokenFile, *state, error) {
	lock, err := lockFile(opts.Path + ".lock")
	if err != nil {
		return nil, nil, err
	}
	f := &tokenFile{path: opts.Path, lock: lock}
	st, err := f.load(opts)
	if err != nil {
		lock.Close()
		return nil, nil, err
	}
	return f, st, nil
}

func (f *tokenFile) load(opts *Options) (*state, error) {
	// What a crash left of a change is not the token, and still holds sealed secrets.
	if err := os.Remove(f.tmp()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("soft: removing the remains of an interrupted change: %w", err)
	}
	raw, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		return f.create(opts)
	}
	if err != nil {
		return nil, err
	}
	return unseal(raw, opts.PIN)
}

func (f *tokenFile) create(opts *Options) (*state, error) {
	if !opts.Create {
		return nil, fmt.Errorf("%w at %s: check the path, or create a token there", ErrNoToken, f.path)
	}
	seal, err := newSeal(opts.PIN)
	if err != nil {
		return nil, err
	}
	st := newState(opts.Label)
	st.seal = seal
	if err := f.write(st); err != nil {
		return nil, fmt.Errorf("soft: creating the token file: %w", err)
	}
	return st, nil
}

// read returns the file's content after checking that nobody else may read it.
func (f *tokenFile) read() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("soft: opening the token file: %w", err)
	}
	defer file.Close()
	fi, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("soft: opening the token file: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("soft: %s is not a regular file", f.path)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("soft: token file %s is open to other users (mode %04o); run chmod 600 on it", f.path, fi.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("soft: reading the token file: %w", err)
	}
	if len(raw) > maxFile {
		return nil, ErrCorrupt
	}
	f.written = fi
	return raw, nil
}

func unseal(raw, pin []byte) (*state, error) {
	seal, plain, err := openSeal(raw, pin)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	st, err := decodeState(plain)
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", ErrCorrupt, err)
	}
	st.seal = seal
	return st, nil
}

func (f *tokenFile) tmp() string { return f.path + ".tmp" }

// write makes st the content of the token file, durably: a new file is written, synced and renamed over the old one,
// and the directory is synced. After an error the file holds the old content or the new one, whole; the caller keeps
// the old state, and the next write settles it.
func (f *tokenFile) write(st *state) error {
	plain, err := st.encode()
	if err != nil {
		return err
	}
	defer clear(plain)
	sealed := st.seal.seal(plain)
	if len(sealed) > maxFile {
		return fmt.Errorf("the token would take %d bytes, at most %d are allowed", len(sealed), maxFile)
	}
	fi, err := writeSynced(f.tmp(), sealed)
	if err == nil {
		err = os.Rename(f.tmp(), f.path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(f.tmp()))
	}
	f.mu.Lock()
	f.written = fi
	f.mu.Unlock()
	return syncDir(filepath.Dir(f.path))
}

// writeSynced writes a file that only this user may read, through to the disk.
func writeSynced(path string, content []byte) (fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	fi, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return fi, file.Close()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes a rename durable. Windows cannot sync directories; NTFS journals the rename.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// check reports whether the file on the disk is the one that this process read or wrote.
func (f *tokenFile) check() error {
	f.mu.Lock()
	written := f.written
	f.mu.Unlock()
	fi, err := os.Stat(f.path)
	if err != nil {
		return unavailable(fmt.Errorf("the token file cannot be found; the next start will fail: %w", err))
	}
	if !os.SameFile(fi, written) {
		return unavailable(fmt.Errorf("token file %s was replaced while it was in use; restart the node to load it", f.path))
	}
	return nil
}

// close gives the file free for other processes.
func (f *tokenFile) close() error { return f.lock.Close() }
