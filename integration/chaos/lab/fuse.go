//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// DiskFault is what a failing disk does. The zero value is a good disk.
type DiskFault struct {
	// Under restricts the fault to paths with this prefix, such as "data/raft".
	Under string `json:"under,omitempty"`
	// SyncErrors fails that many syncs with EIO, after SkipSyncs good ones: 1 and 1 fail the second sync of a commit.
	SyncErrors int `json:"syncErrors,omitempty"`
	SkipSyncs  int `json:"skipSyncs,omitempty"`
	// WriteErrors fails that many writes with EIO, after SkipWrites good ones.
	WriteErrors int `json:"writeErrors,omitempty"`
	SkipWrites  int `json:"skipWrites,omitempty"`
	// Delay slows each sync.
	Delay time.Duration `json:"delay,omitempty"`
	// Full is a disk with only Left bytes of space, and what is freed meanwhile. What files have already can be written again.
	Full bool  `json:"full,omitempty"`
	Left int64 `json:"left,omitempty"`
}

// DiskHits counts what a disk did.
type DiskHits struct {
	Syncs, FailedSyncs, SlowSyncs, FailedWrites, Refused int64 // Refused: for want of space
	Lost                                                 int64 // bytes that power cuts took
}

// faultDisk is the file system's state.
type faultDisk struct {
	root string

	mu    sync.Mutex
	fault DiskFault
	undo  map[string][]written // by path below root, oldest first: what was written since the last sync of that file

	syncs, failedSyncs, slowSyncs, failedWrites, refused, lost atomic.Int64
}

// written is what a write has replaced.
type written struct {
	off  int64
	old  []byte // what was there, to the end of the file at most
	size int64  // of the file before
	held int64  // space that the file had before: more than its size if it was reserved
	n    int    // bytes written
}

// ServeDisk is the process of a failing disk: it mounts back at path and takes orders on a Unix socket, until SIGTERM.
func ServeDisk(path, back, sock string) error {
	d := &faultDisk{root: back, undo: map[string][]written{}}
	var st syscall.Stat_t
	if err := syscall.Stat(back, &st); err != nil {
		return err
	}
	root := &fs.LoopbackRoot{Path: back, Dev: uint64(st.Dev)}
	root.NewNode = func(r *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &faultNode{LoopbackNode: fs.LoopbackNode{RootData: r}, disk: d}
	}
	root.RootNode = root.NewNode(root, nil, "", &st)
	second := time.Second
	server, err := fs.Mount(path, root.RootNode, &fs.Options{
		AttrTimeout: &second, EntryTimeout: &second,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "trent-chaos", Name: "trentchaos", MaxWrite: 128 << 10},
	})
	if err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	ln, err := net.Listen("unix", sock)
	if err != nil {
		return errors.Join(err, server.Unmount())
	}
	go func() { _ = (&http.Server{Handler: d.handler(), ReadHeaderTimeout: time.Minute}).Serve(ln) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		_ = server.Unmount()
	}()
	server.Wait()
	return nil
}

func (d *faultDisk) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		var f DiskFault
		if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fault = f
	})
	mux.HandleFunc("POST /powercut", func(w http.ResponseWriter, r *http.Request) {
		if err := d.powerCut(r.URL.Query().Has("torn")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /hits", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(DiskHits{d.syncs.Load(), d.failedSyncs.Load(), d.slowSyncs.Load(), d.failedWrites.Load(), d.refused.Load(), d.lost.Load()})
	})
	return mux
}

// powerCut takes back every write that was not synced, newest first. With torn the oldest of a file's writes stays in part: whole
// sectors of it reached the disk.
func (d *faultDisk) powerCut(torn bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for name, all := range d.undo {
		f, err := os.OpenFile(filepath.Join(d.root, name), os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed or renamed since; the new name has no writes of its own
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for i := len(all) - 1; i >= 0; i-- {
			w, keep := all[i], 0
			if torn && i == 0 {
				keep = rand.IntN(w.n/512+1) * 512
			}
			if keep < len(w.old) {
				_, err := f.WriteAt(w.old[keep:], w.off+int64(keep))
				errs = append(errs, err)
			}
			if keep == 0 || w.size > w.off+int64(keep) {
				errs = append(errs, f.Truncate(w.size))
			} else {
				errs = append(errs, f.Truncate(w.off+int64(keep)))
			}
			d.lost.Add(int64(w.n - keep))
		}
		errs = append(errs, f.Sync(), f.Close())
	}
	d.undo = map[string][]written{}
	return errors.Join(errs...)
}

// relative is a path below the root.
func (d *faultDisk) relative(n *fs.Inode) string { return n.Path(nil) }

func (d *faultDisk) applies(name string) bool { return strings.HasPrefix(name, d.fault.Under) }

// faultNode is a file or directory.
type faultNode struct {
	fs.LoopbackNode
	disk *faultDisk
}

var (
	_ fs.NodeOpener   = (*faultNode)(nil)
	_ fs.NodeCreater  = (*faultNode)(nil)
	_ fs.NodeStatfser = (*faultNode)(nil)
	_ fs.NodeRenamer  = (*faultNode)(nil)
	_ fs.NodeUnlinker = (*faultNode)(nil)
)

// Open implements fs.NodeOpener.
func (n *faultNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, fl, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &faultFile{h.(loopback), n.EmbeddedInode(), n.disk}, fl, 0
}

// Create implements fs.NodeCreater.
func (n *faultNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if !n.disk.take(n.disk.relative(n.EmbeddedInode()), 4096) {
		return nil, nil, 0, syscall.ENOSPC
	}
	in, h, fl, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return in, &faultFile{h.(loopback), in, n.disk}, fl, 0
}

// Rename implements fs.NodeRenamer: writes that were not synced follow the file.
func (n *faultNode) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	from, to := filepath.Join(n.disk.relative(n.EmbeddedInode()), name), filepath.Join(n.disk.relative(parent.EmbeddedInode()), newName)
	errno := n.LoopbackNode.Rename(ctx, name, parent, newName, flags)
	if errno == 0 {
		n.disk.mu.Lock()
		defer n.disk.mu.Unlock()
		if w, ok := n.disk.undo[from]; ok {
			n.disk.undo[to] = w
			delete(n.disk.undo, from)
		} else {
			delete(n.disk.undo, to)
		}
	}
	return errno
}

// Statfs implements fs.NodeStatfser: a full disk says so.
func (n *faultNode) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	errno := n.LoopbackNode.Statfs(ctx, out)
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if f := &n.disk.fault; errno == 0 && f.Full && f.Under == "" {
		out.Bavail, out.Bfree = uint64(f.Left)/uint64(out.Bsize), uint64(f.Left)/uint64(out.Bsize)
	}
	return errno
}

// Unlink implements fs.NodeUnlinker: a full disk gets space back.
func (n *faultNode) Unlink(ctx context.Context, name string) syscall.Errno {
	path := filepath.Join(n.disk.relative(n.EmbeddedInode()), name)
	st, err := os.Stat(filepath.Join(n.disk.root, path))
	errno := n.LoopbackNode.Unlink(ctx, name)
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if errno == 0 && err == nil && n.disk.applies(path) {
		n.disk.fault.Left += held(st)
	}
	return errno
}

// take takes space for a file, false if there is none.
func (d *faultDisk) take(name string, size int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.takeLocked(name, size)
}

func (d *faultDisk) takeLocked(name string, size int64) bool {
	switch {
	case !d.fault.Full || !d.applies(name) || size <= 0:
		return true
	case d.fault.Left < size:
		d.refused.Add(1)
		return false
	}
	d.fault.Left -= size
	return true
}

// loopback is what the library's open file can do.
type loopback interface {
	fs.FileReader
	fs.FileWriter
	fs.FileFsyncer
	fs.FileFlusher
	fs.FileReleaser
	fs.FileGetattrer
	fs.FileSetattrer
	fs.FileAllocater
	fs.FileLseeker
	fs.FileGetlker
	fs.FileSetlker
	fs.FileSetlkwer
}

// faultFile is an open file.
type faultFile struct {
	loopback
	inode *fs.Inode
	disk  *faultDisk
}

// Write implements fs.FileWriter: it remembers what it replaces.
func (f *faultFile) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	name := f.disk.relative(f.inode)
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.applies(name) && f.disk.fault.WriteErrors > 0 {
		if f.disk.fault.SkipWrites > 0 {
			f.disk.fault.SkipWrites--
		} else {
			f.disk.fault.WriteErrors--
			f.disk.failedWrites.Add(1)
			return 0, syscall.EIO
		}
	}
	path := filepath.Join(f.disk.root, name)
	before, err := remember(path, off, len(data))
	if !f.disk.takeLocked(name, off+int64(len(data))-before.held) {
		return 0, syscall.ENOSPC
	}
	n, errno := f.loopback.Write(ctx, data, off)
	if errno == 0 && err == nil {
		f.disk.undo[name] = append(f.disk.undo[name], before)
	}
	return n, errno
}

// remember reads what a write is about to replace.
func remember(path string, off int64, n int) (written, error) {
	file, err := os.Open(path)
	if err != nil {
		return written{}, err
	}
	defer func() { _ = file.Close() }()
	st, err := file.Stat()
	if err != nil {
		return written{}, err
	}
	w := written{off: off, size: st.Size(), held: held(st), n: n}
	if keep := min(int64(n), st.Size()-off); keep > 0 {
		w.old = make([]byte, keep)
		_, err = file.ReadAt(w.old, off)
	}
	return w, err
}

// held is the space that a file has: its size, or what was reserved for it.
func held(st os.FileInfo) int64 {
	size := st.Size()
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		size = max(size, sys.Blocks*512)
	}
	return size
}

// Fsync implements fs.FileFsyncer. After a failed sync the data stay lost to a power cut, as in a kernel that drops the pages.
func (f *faultFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	name := f.disk.relative(f.inode)
	f.disk.mu.Lock()
	f.disk.syncs.Add(1)
	var delay time.Duration
	if f.disk.applies(name) {
		delay = f.disk.fault.Delay
		if f.disk.fault.SyncErrors > 0 {
			if f.disk.fault.SkipSyncs > 0 {
				f.disk.fault.SkipSyncs--
			} else {
				f.disk.fault.SyncErrors--
				f.disk.failedSyncs.Add(1)
				f.disk.mu.Unlock()
				return syscall.EIO
			}
		}
	}
	synced := len(f.disk.undo[name])
	f.disk.mu.Unlock()
	if delay > 0 {
		f.disk.slowSyncs.Add(1)
		time.Sleep(delay)
	}
	// The directory behind is memory of the host: what a node has synced there survives its power cuts without a sync of ours.
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if rest := f.disk.undo[name]; len(rest) > synced {
		f.disk.undo[name] = append([]written(nil), rest[synced:]...)
	} else {
		delete(f.disk.undo, name)
	}
	return 0
}

// Allocate implements fs.FileAllocater.
func (f *faultFile) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	name := f.disk.relative(f.inode)
	st, err := os.Stat(filepath.Join(f.disk.root, name))
	if err != nil {
		return fs.ToErrno(err)
	}
	if !f.disk.take(name, int64(off+size)-held(st)) {
		return syscall.ENOSPC
	}
	return f.loopback.Allocate(ctx, off, size, mode)
}
