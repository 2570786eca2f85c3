//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Bounds of a small disk. A node refuses writes below smallMinFree, so that a full disk is met as in production.
const (
	tmpfsSize    = 64 << 20
	smallMinFree = 8 << 20
	smallBallast = 4 << 20
)

// disk is what a node's directories are on.
type disk struct {
	kind string
	path string // where the node sees it
	back string // fuse: the directory behind it
	sock string // fuse: of its server
	proc *process
}

func newDisk(c Config, n *Node) (*disk, error) {
	d := &disk{kind: c.Disk, path: filepath.Join(n.Dir, "disk")}
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return nil, err
	}
	switch c.Disk {
	case DiskDir:
		return d, nil
	case DiskTmpfs:
		return d, syscall.Mount("tmpfs", d.path, "tmpfs", 0, fmt.Sprintf("size=%d", tmpfsSize))
	case DiskFuse:
		d.back, d.sock = filepath.Join(n.Dir, "back"), filepath.Join(n.Region.lab.short, n.Name+"-d")
		if err := os.MkdirAll(d.back, 0o755); err != nil {
			return nil, err
		}
		return d, d.serve(c, n)
	}
	return nil, fmt.Errorf("no disk of kind %q", c.Disk)
}

// HaveFuse says why disks cannot fail on demand here, nil if they can.
func HaveFuse() error {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// HaveTmpfs says why nodes cannot have small volumes of their own here, nil if they can.
func HaveTmpfs() error {
	dir, err := os.MkdirTemp("", "trc-")
	if err != nil {
		return err
	}
	err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=65536")
	if err == nil {
		err = syscall.Unmount(dir, 0)
	}
	return errors.Join(err, os.Remove(dir))
}

// serve runs the file system as a process of its own: with the file system in the harness, a fault in a mapped file would block
// the runtime that has to answer it.
func (d *disk) serve(c Config, n *Node) error {
	if len(c.Helper) == 0 {
		return errors.New("Config.Helper is empty; it serves the failing disks")
	}
	args := append(c.Helper[1:len(c.Helper):len(c.Helper)], d.path, d.back, d.sock)
	var err error
	if d.proc, err = startProcess(filepath.Join(n.Dir, "disk.log"), nil, c.Helper[0], args...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return eventually(ctx, "the disk of "+n.Name+" is mounted", func() error {
		if !d.proc.running() {
			return errors.New("its server has ended; see disk.log")
		}
		var h DiskHits
		return ask(ctx, d.sock, http.MethodGet, "/hits", nil, &h)
	})
}

func (d *disk) heal() error {
	switch d.kind {
	case DiskTmpfs:
		if err := os.Remove(d.fill()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	case DiskFuse:
		return d.set(DiskFault{})
	}
	return nil
}

func (d *disk) fill() string { return filepath.Join(d.path, "fill") }

func (d *disk) set(f DiskFault) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return ask(ctx, d.sock, http.MethodPost, "/fault", f, nil)
}

// close unmounts, and leaves the data in the place of the mount.
func (d *disk) close() error {
	switch d.kind {
	case DiskTmpfs:
		keep := d.path + ".keep"
		err := exec.Command("cp", "-a", d.path, keep).Run()
		err = errors.Join(err, syscall.Unmount(d.path, 0), os.Remove(d.path))
		return errors.Join(err, os.Rename(keep, d.path))
	case DiskFuse:
		if d.proc != nil {
			_ = d.proc.cmd.Process.Signal(syscall.SIGTERM) // it unmounts
			select {
			case <-d.proc.ended:
			case <-time.After(5 * time.Second):
				_ = syscall.Unmount(d.path, syscall.MNT_DETACH)
				d.proc.kill()
			}
		}
		return errors.Join(os.Remove(d.path), os.Rename(d.back, d.path))
	}
	return nil
}

// FillDisk takes the space of a node's disk but for left bytes. It is for disks of kind tmpfs and fuse.
func (n *Node) FillDisk(left int64) error {
	switch n.disk.kind {
	case DiskTmpfs:
		var st syscall.Statfs_t
		if err := syscall.Statfs(n.disk.path, &st); err != nil {
			return err
		}
		f, err := os.Create(n.disk.fill())
		if err != nil {
			return err
		}
		size := int64(st.Bavail)*st.Bsize - left
		return errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, max(size, 1)), f.Close())
	case DiskFuse:
		return n.disk.set(DiskFault{Full: true, Left: left})
	}
	return errors.New("the disk of the node has no bounds")
}

// FailDisk makes the file system of a node's disk fail; the zero fault ends that. DiskFuse only.
func (n *Node) FailDisk(f DiskFault) error {
	if n.disk.kind != DiskFuse {
		return errors.New("the disk of the node does not fail on demand")
	}
	return n.disk.set(f)
}

// HealDisk ends FillDisk and FailDisk.
func (n *Node) HealDisk() error { return n.disk.heal() }

// DiskHits is what a node's disk has done to it. DiskFuse only.
func (n *Node) DiskHits(ctx context.Context) (h DiskHits, err error) {
	return h, ask(ctx, n.disk.sock, http.MethodGet, "/hits", nil, &h)
}

// PowerCut kills the node and takes from its disk what was not synced; torn leaves a part of it. DiskFuse only.
func (n *Node) PowerCut(torn bool) error {
	if n.disk.kind != DiskFuse {
		return errors.New("the disk of the node does not forget")
	}
	n.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	path := "/powercut"
	if torn {
		path += "?torn=1"
	}
	return ask(ctx, n.disk.sock, http.MethodPost, path, nil, nil)
}
