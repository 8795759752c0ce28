package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/weftrun/weft/runtime/filter"
)

// eventSize is the size of struct event of bpf/maps.h.
const eventSize = 32

// Events calls do with each sample, from one goroutine, until the context ends; it
// returns nil then. Samples of listeners that are not there (any more) are left out.
// One call at a time gets all; nothing is kept for a later one beyond the ring's 64 KiB.
func (k *Kernel) Events(ctx context.Context, do func(Event)) error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return errClosed
	}
	reader, err := ringbuf.NewReader(k.objects.Events)
	k.mu.Unlock()
	if err != nil {
		return fmt.Errorf("kernel: reading the events: %w", err)
	}
	defer func() { _ = reader.Close() }()
	defer context.AfterFunc(ctx, func() { _ = reader.Close() })()
	var record ringbuf.Record
	for {
		if err := reader.ReadInto(&record); err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("kernel: reading the events: %w", err)
		}
		if event, ok := k.event(record.RawSample); ok {
			do(event)
		}
	}
}

// event reads a sample: struct event of bpf/maps.h.
func (k *Kernel) event(raw []byte) (Event, bool) {
	if len(raw) < eventSize {
		return Event{}, false
	}
	native := binary.NativeEndian
	k.mu.Lock()
	listener, ok := k.names.policyOf[native.Uint16(raw[24:])]
	k.mu.Unlock()
	address := netip.AddrFrom16([16]byte(raw[8:24]))
	if raw[29] == 0 {
		address = netip.AddrFrom4([4]byte(raw[8:12]))
	}
	return Event{
		Listener: listener,
		Reason:   filter.Reason(raw[28]),
		Source:   netip.AddrPortFrom(address, native.Uint16(raw[26:])),
		Weight:   native.Uint64(raw),
	}, ok
}
