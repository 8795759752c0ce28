package server

import (
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/filter"
)

// Who has counted.
const (
	enforcerKernel = "kernel"
	enforcerEngine = "engine"
)

// counted are the counts of one enforcer.
type counted struct {
	enforcer string
	counts   []filter.Count
}

// counts asks the enforcers for what they have counted. What cannot be had is left out.
func (f *fastPath) counts() (all []counted) {
	if counts, err := f.table.Counts(nil); err == nil {
		all = append(all, counted{enforcerEngine, counts})
	}
	if f.kernel != nil {
		if counts, err := f.kernel.Counts(nil); err == nil {
			all = append(all, counted{enforcerKernel, counts})
		}
	}
	return all
}

// metrics shows what was let in and dropped before it became a message.
func (f *fastPath) metrics() []admin.Metric {
	packets := newFamily("weft_filter_packets_total", "Packets that the filters let pass or dropped: of the kernel each, of the engine datagrams, and connections when they are accepted.", admin.Counter, "listener", "reason", "enforcer")
	bytes := newFamily("weft_filter_bytes_total", "Bytes of those packets: of the kernel whole packets, of the engine what is in datagrams.", admin.Counter, "listener", "reason", "enforcer")
	for _, by := range f.counts() {
		for i := range by.counts {
			c := &by.counts[i]
			for why := filter.Pass; why < filter.Reasons; why++ {
				packets.add(c.Packets[why], f.name(c.Listener), why.String(), by.enforcer)
				bytes.add(c.Bytes[why], f.name(c.Listener), why.String(), by.enforcer)
			}
		}
	}
	have, limit := f.book.Entries()
	entries := newFamily("weft_filter_entries", "Rules of the filters, each listener's counted for itself.", admin.Gauge)
	entries.add(uint64(have))
	most := newFamily("weft_filter_entries_limit", "How many of those there may be.", admin.Gauge)
	most.add(uint64(limit))
	list := []admin.Metric{packets.Metric, bytes.Metric, entries.Metric, most.Metric}
	if f.cfg == nil {
		return list
	}
	attached := newFamily("weft_kernel_attached", "Whether the kernel enforces the filters on the interface.", admin.Gauge, "interface", "mode")
	runs := newFamily("weft_kernel_packets_total", "Packets that the kernel's filter has looked at since weft was started, those for others too; with kernel.statistics.", admin.Counter)
	if f.kernel == nil {
		for _, name := range f.cfg.Interfaces {
			attached.add(0, name, "")
		}
		return append(list, attached.Metric, runs.Metric)
	}
	status := f.kernel.Status()
	for _, a := range status.Interfaces {
		on := uint64(0)
		if a.Mode != "" {
			on = 1
		}
		attached.add(on, a.Interface, a.Mode)
	}
	if f.cfg.Statistics {
		runs.add(status.Packets)
	}
	return append(list, attached.Metric, runs.Metric)
}
