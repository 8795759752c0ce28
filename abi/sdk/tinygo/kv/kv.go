// Package kv is the key-value store, with the operator's grant kv. It is common
// to all instances of a plugin, and to plugins with the same namespace. Keys have
// 1 to 1,024 bytes, values at most 1 MiB. Errors are of type weft.HostError.
package kv

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/host"

// TTL is how long a key lives, in milliseconds.
type TTL int64

// Lifetimes.
const (
	Forever TTL = 0
	Second  TTL = 1000
	Minute      = 60 * Second
	Hour        = 60 * Minute
)

// Get is a copy of a key's value.
func Get(key string) (value []byte, ok bool, err error) {
	value = make([]byte, 256)
	for {
		n, ok, err := GetInto(key, value)
		if !ok {
			return nil, false, err
		}
		if n <= len(value) {
			return value[:n], true, nil
		}
		value = make([]byte, n)
	}
}

// GetInto copies a key's value into the buffer and gives its length. More than
// the buffer's length says that it did not fit and nothing was copied.
func GetInto(key string, buffer []byte) (n int, ok bool, err error) {
	status := host.KVGet(key, buffer)
	if ok, err = host.Found(status); !ok {
		return 0, false, err
	}
	return int(status), true, nil
}

// Set sets a key.
func Set(key string, value []byte, ttl TTL) error {
	return host.Check(int64(host.KVSet(key, value, int64(ttl))))
}

// Revision is a key's revision, at least 1, for [CompareAndSet].
func Revision(key string) (revision uint64, ok bool, err error) {
	status := host.KVRevision(key)
	if ok, err = host.Found(status); !ok {
		return 0, false, err
	}
	return uint64(status), true, nil
}

// CompareAndSet sets a key only if its revision is still this one (0: only if
// there is no such key), and gives the new revision; weft.ErrConflict if it is
// not.
func CompareAndSet(key string, revision uint64, value []byte, ttl TTL) (uint64, error) {
	status := host.KVCAS(key, int64(revision), value, int64(ttl))
	if err := host.Check(status); err != nil {
		return 0, err
	}
	return uint64(status), nil
}

// Delete removes a key; false if there was none.
func Delete(key string) (ok bool, err error) {
	return host.Found(int64(host.KVDelete(key)))
}

// Add adds delta to a key's value, an 8-byte integer, as one step, and gives the
// sum. A missing key counts as 0 and gets the ttl.
func Add(key string, delta int64, ttl TTL) (int64, error) {
	const lowest = -1 << 63
	sum := host.KVAdd(key, delta, int64(ttl))
	// Sums may be negative: statuses are counted from the lowest number up.
	if status := sum - lowest; status >= 0 && status <= 255 {
		return 0, host.Check(min(-status, host.StatusDenied+1))
	}
	return sum, nil
}
