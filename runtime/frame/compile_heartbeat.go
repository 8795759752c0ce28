package frame

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/weftrun/weft/abi"
)

// heartbeat compiles how a heartbeat is known, sent and answered. Every other
// part of the declaration is right by now.
func (c *compiler) heartbeat() {
	h, f := c.d.Heartbeat, c.f
	if h == nil {
		return
	}
	t := &f.beat
	t.empty = h.Empty
	t.conditions = c.patches("heartbeat.is", h.Is)
	send := c.patches("heartbeat.send", h.Send)
	t.answer = c.patches("heartbeat.answer", h.Answer)
	t.answers = h.Answer != nil
	byType := slices.ContainsFunc(f.heads, func(v value) bool {
		return v.types != nil && (slices.Contains(v.types.known[:], uint8(abi.TypeHeartbeat)+1) || v.types.other == uint8(abi.TypeHeartbeat)+1)
	})
	if len(h.Is) == 0 && !byType {
		c.add("heartbeat.is", "", "the fields by which a heartbeat is known, such as {type: 3}", "or a type field with heartbeat among its values")
	}
	if len(c.list) > 0 || h.Send == nil {
		return
	}
	t.mark = overlay(send, t.answer)
	out := append(slices.Clone(f.blank), f.blankEnd...)
	for _, p := range send {
		p.number.write(out[p.offset:], p.raw)
	}
	var sizes [maxParts]int
	if fault := f.finish(out, &sizes); fault != nil {
		c.add("heartbeat.send", fault.Error(), "a frame without a payload to be allowed", "")
		return
	}
	t.frame = slices.Clip(out)
}

// overlay is the patches of both, those of over where both set a field.
func overlay(under, over []patch) []patch {
	all := slices.Clone(over)
	for _, p := range under {
		if !slices.ContainsFunc(over, func(o patch) bool { return o.offset == p.offset }) {
			all = append(all, p)
		}
	}
	return all
}

// patches finds the fields that a heartbeat names.
func (c *compiler) patches(path string, values map[string]uint64) []patch {
	var all []patch
	names := make([]string, 0, len(c.d.Fields))
	for i, d := range c.d.Fields {
		p := c.places[i]
		if p.part >= 0 || p.trailer || d.Const != nil || d.Counts != "" || d.Checksum != "" {
			continue
		}
		names = append(names, d.Name)
		raw, ok := values[d.Name]
		if !ok {
			continue
		}
		if low, high := c.bounds(i); raw < low || raw > high {
			c.add(path+"."+d.Name, strconv.FormatUint(raw, 10), fmt.Sprintf("a number from %d to %d", low, high), "")
		}
		all = append(all, patch{p.offset, p.number, raw})
	}
	for _, name := range sorted(values) {
		if !slices.Contains(names, name) {
			c.add(path+"."+name, "a field that cannot be set", "one of "+list(names), suggest(name, names))
		}
	}
	return all
}
