package kernel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// layout is the version of the maps' keys and values: that of the folder in which
// they are pinned. Another version does not find them, and begins anew.
const layout = "1"

// A pin folder has a folder of maps and one of links. A link's file is named by the
// mode and the interface's index: names of interfaces may have dots, which bpffs has
// reserved.
func mapsFolder(pin string) string  { return filepath.Join(pin, "maps-"+layout) }
func linksFolder(pin string) string { return filepath.Join(pin, "links") }

func linkFile(pin, mode string, index int) string {
	return filepath.Join(linksFolder(pin), fmt.Sprintf("%s-%d", mode, index))
}

// bpffsRoot is where one mounts a bpffs on every system.
const bpffsRoot = "/sys/fs/bpf"

// prepareFolder makes the pin folder. If it is on no bpffs, one is mounted: at the
// usual place, or on the folder itself if it is elsewhere.
func prepareFolder(pin string) error {
	if !onBPFFS(pin) {
		point := mountPoint(pin)
		if err := os.MkdirAll(point, 0o700); err != nil {
			return fmt.Errorf("kernel: the pin folder: %w", err)
		}
		if err := unix.Mount("bpf", point, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
			return fmt.Errorf("%w: no bpffs at %s, and it cannot be mounted (%w): run as root: mount -t bpf bpf %s; or leave pin: empty",
				ErrUnavailable, pin, err, point)
		}
	}
	for _, folder := range []string{mapsFolder(pin), linksFolder(pin)} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("kernel: the pin folder: %w", err)
		}
	}
	return nil
}

// lockFolder keeps other processes out of a pin folder until it is closed, or this
// process ends in any way.
func lockFolder(pin string) (io.Closer, error) {
	folder, err := os.Open(mapsFolder(pin)) //nolint:forbidigo // a folder that prepareFolder has made
	if err != nil {
		return nil, fmt.Errorf("kernel: the pin folder: %w", err)
	}
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = folder.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: another weft keeps its rules in %s: give this one a pin of its own", ErrUnavailable, pin)
		}
		return nil, fmt.Errorf("kernel: locking the pin folder: %w", err)
	}
	return folder, nil
}

// Left tells whether the kernel still enforces what an earlier process left in the pin
// folder, with no process that keeps it. It is false where one may not look.
func Left(pin string) bool {
	links, err := os.ReadDir(linksFolder(pin))
	if err != nil || len(links) == 0 {
		return false
	}
	lock, err := lockFolder(pin)
	if err != nil {
		return false
	}
	return lock.Close() == nil
}

// mountPoint is where a bpffs for the folder belongs.
func mountPoint(pin string) string {
	pin = filepath.Clean(pin)
	if pin == bpffsRoot || strings.HasPrefix(pin, bpffsRoot+"/") {
		return bpffsRoot
	}
	return pin
}

// onBPFFS tells whether the folder, or the nearest one above that exists, is on a
// bpffs.
func onBPFFS(folder string) bool {
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(folder, &stat)
		if err == nil {
			return uint32(stat.Type) == unix.BPF_FS_MAGIC
		}
		if !errors.Is(err, fs.ErrNotExist) || folder == "/" {
			return false
		}
		folder = filepath.Dir(folder)
	}
}

// pinMap pins a map in place of what is pinned there: there is no moment without one.
func pinMap(pin, name string, current *ebpf.Map) error {
	file := filepath.Join(mapsFolder(pin), name)
	if old, err := ebpf.LoadPinnedMap(file, nil); err == nil {
		same := sameMap(old, current)
		_ = old.Close()
		if same {
			return nil
		}
	}
	next := file + "-next"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kernel: pinning the map %s: %w", name, err)
	}
	copied, err := current.Clone()
	if err != nil {
		return fmt.Errorf("kernel: pinning the map %s: %w", name, err)
	}
	defer func() { _ = copied.Close() }()
	if err := copied.Pin(next); err != nil {
		return fmt.Errorf("kernel: pinning the map %s: %w", name, err)
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("kernel: pinning the map %s: %w", name, err)
	}
	return nil
}

func sameMap(a, b *ebpf.Map) bool {
	one, err := a.Info()
	if err != nil {
		return false
	}
	other, err := b.Info()
	if err != nil {
		return false
	}
	left, ok := one.ID()
	right, also := other.ID()
	return ok && also && left == right
}

// Detach removes everything that weft ever pinned in the folder: programs are taken
// off their interfaces, rules and counters are gone. Where there is nothing of weft's
// the error wraps fs.ErrNotExist; where this process may not look, fs.ErrPermission. A
// bpffs that Open mounted on the folder itself is unmounted. A process that runs does
// not attach again by itself.
func Detach(pin string) error {
	if _, err := os.ReadDir(pin); err != nil {
		return fmt.Errorf("kernel: detaching: %w", err)
	}
	if _, err := os.Stat(linksFolder(pin)); err != nil || !onBPFFS(pin) {
		return fmt.Errorf("kernel: detaching %s: nothing of weft's is there: %w", pin, errors.Join(fs.ErrNotExist, err))
	}
	var problems []error
	links, err := os.ReadDir(linksFolder(pin))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		problems = append(problems, err)
	}
	for _, file := range links {
		problems = append(problems, removeLink(filepath.Join(linksFolder(pin), file.Name())))
	}
	folders, err := os.ReadDir(pin)
	if err != nil {
		problems = append(problems, err)
	}
	for _, folder := range folders {
		if name := folder.Name(); name == "links" || strings.HasPrefix(name, "maps-") {
			problems = append(problems, os.RemoveAll(filepath.Join(pin, name)))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("kernel: detaching %s: %w", pin, err)
	}
	return removeFolder(pin)
}

// removeFolder removes the empty pin folder, or the mount that Open made of it.
func removeFolder(pin string) error {
	var err error
	switch filepath.Clean(pin) {
	case bpffsRoot:
		return nil
	case mountPoint(pin):
		err = unix.Unmount(pin, unix.MNT_DETACH) // a process that runs may have it open
		if errors.Is(err, unix.EINVAL) {         // the bpffs was mounted further up, by somebody else
			err = os.Remove(pin)
		}
	default:
		err = os.Remove(pin)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("kernel: detaching %s: %w", pin, err)
	}
	return nil
}

// removeLink takes a program off its interface, whoever else holds the link.
func removeLink(file string) error {
	pinned, err := link.LoadPinnedLink(file, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return os.Remove(file)
	}
	defer func() { _ = pinned.Close() }()
	// The file goes first: without it, a process that runs leaves the interface alone.
	if err := pinned.Unpin(); err != nil {
		return err
	}
	if raw, ok := pinned.(interface{ Detach() error }); ok {
		// Of an interface that is gone there is nothing to detach.
		if err := raw.Detach(); err != nil && !errors.Is(err, unix.ENOLINK) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, link.ErrNotSupported) {
			return err
		}
	}
	return nil
}
