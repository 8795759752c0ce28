//go:build unix

package plugins

import "syscall"

// reserve maps size bytes that read as zero; nil if the system has none left.
func reserve(size uint64) []byte {
	if size == 0 {
		return []byte{}
	}
	b, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return b
}

// release unmaps what reserve mapped.
func release(b []byte) {
	if len(b) == 0 {
		return
	}
	if err := syscall.Munmap(b); err != nil {
		panic("plugins: munmap: " + err.Error()) // the range is one that reserve returned
	}
}
