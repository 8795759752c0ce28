package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// mountMemory mounts a file system in memory of so many bytes.
func mountMemory(dir string, size int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("weft-chaos", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		return fmt.Errorf("%w: mounting tmpfs: %w", errLeftOut, err)
	}
	return nil
}

func unmount(dir string) error {
	if err := syscall.Unmount(dir, 0); err != nil && !errors.Is(err, syscall.EINVAL) { // EINVAL: it is not mounted
		return fmt.Errorf("unmounting %s: %w", dir, err)
	}
	return nil
}

// disk is an ext4 file system on a loop device, which can be cut off.
type disk struct {
	image string
	dir   string
}

// newDisk makes the file system and mounts it.
func newDisk(image, dir string, size int64) (*disk, error) {
	f, err := os.Create(image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(size), f.Close(), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", "-F", image); err != nil {
		return nil, err
	}
	d := &disk{image, dir}
	return d, d.mount()
}

func (d *disk) mount() error { return command("mount", "-o", "loop", d.image, d.dir) }

func (d *disk) unmount() error { return unmount(d.dir) }

// EXT4_IOC_SHUTDOWN, and its flag that keeps the journal's tail from being written
// (Linux, fs/ext4/ext4.h): nothing reaches the device any more.
const (
	ext4Shutdown   = 0x8004587d
	ext4NoLogFlush = 2
)

// cut does what a power cut does to the file system: whatever the kernel had not
// sent to the device is lost, whoever goes on writing gets EIO. The next mount
// recovers from the journal.
func (d *disk) cut() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint32(ext4NoLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return fmt.Errorf("%w: ext4 cannot be shut down here: %w", errLeftOut, errno)
	}
	return nil
}

// command runs a program of the system, which lies where root's programs do.
func command(name string, args ...string) error {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %s is not installed", errLeftOut, name)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
