package server

import (
	"strconv"
	"sync/atomic"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/modbus"
)

// modbusCounts is what is counted about one Modbus listener, on all loops.
type modbusCounts struct {
	functions  [128]atomic.Uint64 // requests by function code, those without a name under 0
	exceptions [16]atomic.Uint64  // answers by code, unknown ones under 0
	answers    atomic.Uint64      // that were no exception
	broadcasts atomic.Uint64      // requests that nobody answers
	silenced   atomic.Uint64      // that a plugin has dropped
	ignored    atomic.Uint64      // over the bound, on a serial line
	timeouts   atomic.Uint64
}

func (c *modbusCounts) request(function byte) {
	c.functions[function%128].Add(1)
}

func (c *modbusCounts) exception(e modbus.Exception) {
	if int(e) >= len(c.exceptions) {
		e = 0
	}
	c.exceptions[e].Add(1)
}

// modbusMetrics shows what Modbus listeners have counted.
func (s *Server) modbusMetrics() []admin.Metric {
	requests := newFamily("weft_modbus_requests_total", "Requests of Modbus clients, by function code.", admin.Counter, "listener", "function")
	answers := newFamily("weft_modbus_answers_total", "Answers to Modbus clients that were no exception.", admin.Counter, "listener")
	exceptions := newFamily("weft_modbus_exceptions_total", "Exceptions that Modbus clients were answered with, by code.", admin.Counter, "listener", "code")
	silent := newFamily("weft_modbus_unanswered_total", "Requests that were not answered: a broadcast, dropped by a plugin, too many on a serial line.", admin.Counter, "listener", "reason")
	timeouts := newFamily("weft_modbus_timeouts_total", "Requests that nobody answered in time; they were answered with an exception.", admin.Counter, "listener")
	for _, l := range s.setup().each {
		if l.modbus == nil {
			continue
		}
		c := l.modbus.counts
		for code := range c.functions {
			if n := c.functions[code].Load(); n > 0 {
				requests.add(n, l.name, strconv.Itoa(code))
			}
		}
		for _, e := range modbus.Exceptions() {
			exceptions.add(c.exceptions[e].Load(), l.name, strconv.Itoa(int(e)))
		}
		exceptions.add(c.exceptions[0].Load(), l.name, "other")
		answers.add(c.answers.Load(), l.name)
		silent.add(c.broadcasts.Load(), l.name, "broadcast")
		silent.add(c.silenced.Load(), l.name, "plugin_drop")
		silent.add(c.ignored.Load(), l.name, "busy")
		timeouts.add(c.timeouts.Load(), l.name)
	}
	if len(answers.Samples) == 0 {
		return nil
	}
	return []admin.Metric{requests.Metric, answers.Metric, exceptions.Metric, silent.Metric, timeouts.Metric}
}
