//go:build wasm || tinygo.wasm

package host

import "unsafe"

// A function that no plugin reaches is dropped by the linker, and its import
// with it.

//go:wasmimport weft log
//go:noescape
func importLog(level int32, text unsafe.Pointer, size uint32)

//go:wasmimport weft metric
//go:noescape
func importMetric(kind int32, name unsafe.Pointer, size uint32) int32

//go:wasmimport weft metric_add
func importMetricAdd(id int32, n int64) int32

//go:wasmimport weft metric_set
func importMetricSet(id int32, value float64) int32

//go:wasmimport weft metric_observe
func importMetricObserve(id int32, value float64) int32

//go:wasmimport weft clock_wall
func importClockWall() int64

//go:wasmimport weft clock_monotonic
func importClockMonotonic() int64

//go:wasmimport weft random
//go:noescape
func importRandom(to unsafe.Pointer, size uint32) int32

//go:wasmimport weft kv_get
//go:noescape
func importKVGet(key unsafe.Pointer, keySize uint32, to unsafe.Pointer, room uint32) int64

//go:wasmimport weft kv_set
//go:noescape
func importKVSet(key unsafe.Pointer, keySize uint32, value unsafe.Pointer, size uint32, ttl int64) int32

//go:wasmimport weft kv_cas
//go:noescape
func importKVCAS(key unsafe.Pointer, keySize uint32, revision int64, value unsafe.Pointer, size uint32, ttl int64) int64

//go:wasmimport weft kv_revision
//go:noescape
func importKVRevision(key unsafe.Pointer, keySize uint32) int64

//go:wasmimport weft kv_delete
//go:noescape
func importKVDelete(key unsafe.Pointer, keySize uint32) int32

//go:wasmimport weft kv_add
//go:noescape
func importKVAdd(key unsafe.Pointer, keySize uint32, delta, ttl int64) int64

//go:wasmimport weft http_send
//go:noescape
func importHTTPSend(method unsafe.Pointer, methodSize uint32, url unsafe.Pointer, urlSize uint32, header unsafe.Pointer, headerSize uint32, body unsafe.Pointer, bodySize uint32, deadline int64) int64

//go:wasmimport weft filter_source
//go:noescape
func importFilterSource(session int64, to unsafe.Pointer, room uint32) int64

//go:wasmimport weft filter_block
//go:noescape
func importFilterBlock(source unsafe.Pointer, size uint32, ttl int64) int32

//go:wasmimport weft filter_allow
//go:noescape
func importFilterAllow(source unsafe.Pointer, size uint32, ttl int64) int32

//go:wasmimport weft filter_unblock
//go:noescape
func importFilterUnblock(source unsafe.Pointer, size uint32) int32

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func bytes(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

// Log writes a line.
func Log(level int32, line string) {
	p, n := text(line)
	importLog(level, p, n)
}

// Metric is the id of a metric, or a status.
func Metric(kind int32, name string) int32 {
	p, n := text(name)
	return importMetric(kind, p, n)
}

// MetricAdd adds to a counter.
func MetricAdd(id int32, n int64) int32 { return importMetricAdd(id, n) }

// MetricSet sets a gauge.
func MetricSet(id int32, value float64) int32 { return importMetricSet(id, value) }

// MetricObserve records a value in a histogram.
func MetricObserve(id int32, value float64) int32 { return importMetricObserve(id, value) }

// ClockWall is nanoseconds since 1970.
func ClockWall() int64 { return importClockWall() }

// ClockMonotonic is nanoseconds since an arbitrary moment.
func ClockMonotonic() int64 { return importClockMonotonic() }

// Random fills the slice.
func Random(to []byte) int32 {
	p, n := bytes(to)
	return importRandom(p, n)
}

// KVGet is the length of a key's value, which is copied if it fits, or a status.
func KVGet(key string, to []byte) int64 {
	k, kn := text(key)
	p, n := bytes(to)
	return importKVGet(k, kn, p, n)
}

// KVSet sets a key; ttl in milliseconds.
func KVSet(key string, value []byte, ttl int64) int32 {
	k, kn := text(key)
	p, n := bytes(value)
	return importKVSet(k, kn, p, n, ttl)
}

// KVCAS sets a key that has this revision, and gives the new one or a status.
func KVCAS(key string, revision int64, value []byte, ttl int64) int64 {
	k, kn := text(key)
	p, n := bytes(value)
	return importKVCAS(k, kn, revision, p, n, ttl)
}

// KVRevision is a key's revision, or a status.
func KVRevision(key string) int64 {
	k, kn := text(key)
	return importKVRevision(k, kn)
}

// KVDelete removes a key.
func KVDelete(key string) int32 {
	k, kn := text(key)
	return importKVDelete(k, kn)
}

// KVAdd adds to a key's value; the sum, or the lowest number minus a status.
func KVAdd(key string, delta, ttl int64) int64 {
	k, kn := text(key)
	return importKVAdd(k, kn, delta, ttl)
}

// HTTPSend begins a request; its token, or a status.
func HTTPSend(method, url string, header, body []byte, deadline int64) int64 {
	m, mn := text(method)
	u, un := text(url)
	h, hn := bytes(header)
	b, bn := bytes(body)
	return importHTTPSend(m, mn, u, un, h, hn, b, bn, deadline)
}

// FilterSource is the length of a session's address, which is written if it fits, or
// a status.
func FilterSource(session uint64, to []byte) int64 {
	p, n := bytes(to)
	return importFilterSource(int64(session), p, n)
}

// FilterBlock blocks a source; ttl in milliseconds.
func FilterBlock(source string, ttl int64) int32 {
	p, n := text(source)
	return importFilterBlock(p, n, ttl)
}

// FilterAllow allows a source; ttl in milliseconds.
func FilterAllow(source string, ttl int64) int32 {
	p, n := text(source)
	return importFilterAllow(p, n, ttl)
}

// FilterUnblock forgets a source.
func FilterUnblock(source string) int32 {
	p, n := text(source)
	return importFilterUnblock(p, n)
}
