package hostfuncs

import (
	"context"
	"log/slog"
	"math"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// warn says where the namespace has larger bounds than the grant.
func (g *KVGrant) warn(logger *slog.Logger, space *Namespace) {
	granted := g.Size
	if granted == 0 {
		granted = DefaultKVSize
	}
	if size, entries := space.Bounds(); size > granted || g.Entries > 0 && entries > g.Entries {
		logger.Warn("the kv namespace has the largest bounds that a plugin was granted since weft started: lower ones count after a restart, where no other plugin has larger ones",
			"namespace", g.Namespace, "size", size, "granted_size", granted, "entries", entries, "granted_entries", g.Entries)
	}
}

type kvFuncs struct {
	space keySpace
	// longest is the ttl in milliseconds that no value of the plugin's outlives;
	// 0 is no bound.
	longest int64
}

func newKVFuncs(g KVGrant, space *Namespace) *kvFuncs {
	f := &kvFuncs{space: space}
	if g.TTL > 0 {
		f.longest = max(1, g.TTL.Milliseconds())
	}
	return f
}

// ttl is how long a value lives for which the guest asked for so many
// milliseconds, 0 for ever.
func (f *kvFuncs) ttl(asked uint64) int64 {
	t := int64(asked)
	if f.longest > 0 && (t == 0 || t > f.longest) {
		return f.longest
	}
	return t
}

func (f *kvFuncs) register(r *registrar) {
	r.add("kv_get", func(ctx context.Context, m api.Module, stack []uint64) {
		capacity := uint32(stack[3])
		stack[0] = f.get(m, stack)
		if n := int64(stack[0]); n > 0 && n <= int64(capacity) {
			pay(ctx, n/2) // how long the value is nobody knew before
		}
	})
	r.add("kv_set", func(_ context.Context, m api.Module, stack []uint64) {
		key, value, status := keyAndValue(m, stack[0], stack[1], stack[2], stack[3])
		if status == abi.StatusOK {
			_, status = f.space.Set(key, value, f.ttl(stack[4]))
		}
		stack[0] = result(status)
	})
	r.add("kv_cas", func(_ context.Context, m api.Module, stack []uint64) {
		key, value, status := keyAndValue(m, stack[0], stack[1], stack[3], stack[4])
		revision := int64(0)
		if status == abi.StatusOK {
			revision, status = f.space.CompareAndSet(key, int64(stack[2]), value, f.ttl(stack[5]))
		}
		stack[0] = valueOr(revision, status)
	})
	r.add("kv_revision", func(_ context.Context, m api.Module, stack []uint64) {
		key, status := guestKey(m, stack[0], stack[1])
		revision := int64(0)
		if status == abi.StatusOK {
			revision, status = f.space.Revision(key)
		}
		stack[0] = valueOr(revision, status)
	})
	r.add("kv_delete", func(_ context.Context, m api.Module, stack []uint64) {
		key, status := guestKey(m, stack[0], stack[1])
		if status == abi.StatusOK {
			status = f.space.Delete(key)
		}
		stack[0] = result(status)
	})
	r.add("kv_add", func(_ context.Context, m api.Module, stack []uint64) {
		key, status := guestKey(m, stack[0], stack[1])
		sum := int64(0)
		if status == abi.StatusOK {
			sum, status = f.space.Add(key, int64(stack[2]), f.ttl(stack[3]))
		}
		if status != abi.StatusOK {
			sum = math.MinInt64 - int64(status)
		}
		stack[0] = uint64(sum)
	})
}

func (f *kvFuncs) get(m api.Module, stack []uint64) uint64 {
	key, status := guestKey(m, stack[0], stack[1])
	if status != abi.StatusOK {
		return result64(status)
	}
	buffer, ok := guestBytes(m, stack[2], stack[3])
	if !ok {
		return result64(abi.StatusInvalid)
	}
	n, status := f.space.Get(key, buffer)
	return valueOr(int64(n), status)
}

func valueOr(v int64, s abi.Status) uint64 {
	if s != abi.StatusOK {
		return result64(s)
	}
	return uint64(v)
}

func guestKey(m api.Module, pointer, length uint64) ([]byte, abi.Status) {
	if uint32(length) > abi.MaxKVKey {
		return nil, abi.StatusLimit
	}
	key, ok := guestBytes(m, pointer, length)
	if !ok || len(key) == 0 {
		return nil, abi.StatusInvalid
	}
	return key, abi.StatusOK
}

func keyAndValue(m api.Module, key, keyLen, value, valueLen uint64) (k, v []byte, status abi.Status) {
	if k, status = guestKey(m, key, keyLen); status != abi.StatusOK {
		return nil, nil, status
	}
	if uint32(valueLen) > abi.MaxKVValue {
		return nil, nil, abi.StatusLimit
	}
	v, ok := guestBytes(m, value, valueLen)
	if !ok {
		return nil, nil, abi.StatusInvalid
	}
	return k, v, abi.StatusOK
}
