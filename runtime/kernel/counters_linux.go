package kernel

import (
	"fmt"

	"github.com/weftrun/weft/runtime/filter"
)

// Counts appends what was counted for each listener, on all processors; see
// filter.Enforcer. Bytes are those of the IP packets.
func (k *Kernel) Counts(list []filter.Count) ([]filter.Count, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return list, errClosed
	}
	var each []weftCounter
	for id := range uint16(filter.MaxListeners) {
		policy, ok := k.names.policyOf[id]
		if !ok {
			continue
		}
		if err := k.objects.Counters.Lookup(uint32(id), &each); err != nil {
			return list, fmt.Errorf("kernel: reading the counters: %w", err)
		}
		count := filter.Count{Listener: policy}
		for i := range each {
			for reason := range filter.Reasons {
				count.Packets[reason] += each[i].Packets[reason]
				count.Bytes[reason] += each[i].Bytes[reason]
			}
		}
		list = append(list, count)
	}
	return list, nil
}

// zeroCounts sets the counters of a listener that is gone to zero.
func (k *Kernel) zeroCounts(id uint16) error {
	var each []weftCounter
	if err := k.objects.Counters.Lookup(uint32(id), &each); err != nil {
		return fmt.Errorf("kernel: reading the counters: %w", err)
	}
	clear(each)
	if err := k.objects.Counters.Put(uint32(id), each); err != nil {
		return fmt.Errorf("kernel: resetting counters: %w", err)
	}
	return nil
}
