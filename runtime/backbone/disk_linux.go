package backbone

import (
	"fmt"
	"syscall"
)

// The numbers are those of linux/magic.h, and of the kernel's own file systems.
var filesystems = map[uint32]string{
	0x01021994: "tmpfs", 0x858458f6: "ramfs",
	0x6969: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x01021997: "9p", 0x00c36400: "ceph",
	0x65735546: "fuse", 0x794c7630: "overlay",
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs", 0xf2f52010: "f2fs", 0xca451a4e: "bcachefs",
}

// filesystem names the file system of a folder.
func filesystem(dir string) (name string, volatile, remote bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return "", false, false
	}
	name, known := filesystems[uint32(s.Type)]
	if !known {
		return fmt.Sprintf("%#x", uint32(s.Type)), false, false
	}
	switch name {
	case "tmpfs", "ramfs":
		volatile = true
	case "nfs", "cifs", "smb2", "9p", "ceph":
		remote = true
	}
	return name, volatile, remote
}

// free is how many bytes a folder's disk has left for this user; -1 if it is not known.
func free(dir string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return -1
	}
	return int64(s.Bavail) * int64(s.Bsize) //nolint:unconvert // it is an int32 on other processors
}

// writable tells whether the user may write to a folder.
func writable(dir string) error {
	const write, search = 2, 1
	if err := syscall.Access(dir, write|search); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}
