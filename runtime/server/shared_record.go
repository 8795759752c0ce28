package server

import (
	"encoding/binary"
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/runtime/admin"
)

// stamp stands before each value of a plugin's in the bucket: who wrote it, by a number
// that a process draws when it starts, which of its writes it was, and until when the
// value lives, in milliseconds since 1970, 0 for ever.
//
//	version (1 byte, 1) | writer (8) | number (8) | expires (8), little-endian
type stamp struct {
	writer, number uint64
	expires        int64
}

const (
	stampVersion = 1
	stampSize    = 25
)

func appendStamp(b []byte, s stamp) []byte {
	b = append(b, stampVersion)
	b = binary.LittleEndian.AppendUint64(b, s.writer)
	b = binary.LittleEndian.AppendUint64(b, s.number)
	return binary.LittleEndian.AppendUint64(b, uint64(s.expires))
}

type foundKey struct {
	hostfuncs.Found
	stamp string
}

// found reads what the bucket has of a key. What has expired, and what another version
// of weft wrote, is as if it were not there.
func (k *sharedKeys) found(value []byte, rev uint64, deleted bool) foundKey {
	f := foundKey{Found: hostfuncs.Found{Rev: rev, Deleted: true}}
	if deleted {
		return f
	}
	if len(value) < stampSize || value[0] != stampVersion {
		k.server.crowd.Warn("a plugin's key in the backbone is none that this version of weft knows: it is left out", "bytes", len(value))
		return f
	}
	f.stamp, f.Value = string(value[:stampSize]), value[stampSize:]
	if at := int64(binary.LittleEndian.Uint64(value[17:])); at != 0 {
		if f.TTL = time.Until(time.UnixMilli(at)); f.TTL <= 0 {
			f.Value, f.TTL = nil, 0
			return f
		}
	}
	f.Deleted = false
	return f
}

// metrics are of each namespace.
func (k *sharedKeys) metrics() []admin.Metric {
	k.mu.Lock()
	spaces := k.spaces
	k.mu.Unlock()
	if len(spaces) == 0 {
		return nil
	}
	const label = "namespace"
	entries := newFamily("weft_kv_entries", "Keys that this node has of a namespace with scope cluster.", admin.Gauge, label)
	size := newFamily("weft_kv_bytes", "Bytes that they count.", admin.Gauge, label)
	pending := newFamily("weft_kv_pending", "Keys whose newest value is not in the backbone yet.", admin.Gauge, label)
	written := newFamily("weft_kv_written_total", "Changes of keys written to the backbone.", admin.Counter, label)
	failed := newFamily("weft_kv_failed_total", "Times that the backbone did not take one; while it is away or full, weft tries again.", admin.Counter, label)
	conflicts := newFamily("weft_kv_conflicts_total", "Compare-and-sets that were taken back because another node was first.", admin.Counter, label)
	leftOut := newFamily("weft_kv_left_out_total", "Values of other nodes that this node had no room for.", admin.Counter, label)
	for _, s := range spaces {
		st := s.Stats()
		entries.add(uint64(st.Entries), s.Name())
		size.add(uint64(st.Bytes), s.Name())
		pending.add(uint64(max(st.Pending, 0)), s.Name())
		written.add(s.written.Load(), s.Name())
		failed.add(s.failed.Load(), s.Name())
		conflicts.add(st.Conflicts, s.Name())
		leftOut.add(st.LeftOut, s.Name())
	}
	return []admin.Metric{entries.Metric, size.Metric, pending.Metric, written.Metric, failed.Metric, conflicts.Metric, leftOut.Metric}
}
