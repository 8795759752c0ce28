package hostfuncs

import (
	"github.com/weftrun/weft/abi"
)

// Sharer keeps namespaces alike on all nodes of a cluster.
type Sharer interface {
	// Share brings the replica what the cluster has, and from then on keeps both
	// alike, until the Sharer ends. It may wait. It is called once a namespace, before
	// anybody else has the replica. An error is the plugin's that asked for it.
	Share(r *Replica) error
}

// ShareBy sets who keeps namespaces of the cluster alike; call it before anything is
// loaded. Without one they are the process's own.
func (kv *KV) ShareBy(s Sharer) {
	kv.sharing.Lock()
	defer kv.sharing.Unlock()
	kv.sharer = s
}

// Shared is [KV.Namespace] for a namespace of the cluster, and with its bound of
// entries. It waits for the Sharer.
func (kv *KV) Shared(name string, size, entries int64) (*Namespace, error) {
	size, err := checkNamespace(name, size)
	if err != nil {
		return nil, err
	}
	kv.sharing.Lock()
	defer kv.sharing.Unlock()
	s := kv.shared[name]
	if s != nil || kv.sharer == nil {
		if s == nil {
			s = newNamespace(kv.clock)
			kv.shared[name] = s
		}
		s.limit.Store(max(s.limit.Load(), size))
		s.bound(entries)
		return s, nil
	}
	s = newNamespace(kv.clock)
	s.limit.Store(size)
	s.bound(entries)
	s.replica = &Replica{space: s, name: name, dirty: func(string) {}}
	if err := kv.sharer.Share(s.replica); err != nil {
		return nil, err
	}
	kv.shared[name] = s
	return s, nil
}

// granted is the namespace of a grant, with its bounds.
func (kv *KV) granted(g *KVGrant) (*Namespace, error) {
	if g.Cluster {
		return kv.Shared(g.Namespace, g.Size, g.Entries)
	}
	s, err := kv.Namespace(g.Namespace, g.Size)
	if err == nil {
		s.bound(g.Entries)
	}
	return s, err
}

// What a namespace of the cluster takes: the cluster adds a namespace's name and a
// header, and its messages have a bound of their own.
const (
	MaxSharedKey   = abi.MaxKVKey - 65
	MaxSharedValue = abi.MaxKVValue - 4<<10
)
