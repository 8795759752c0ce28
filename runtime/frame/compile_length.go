package frame

import (
	"fmt"
	"slices"
	"strconv"
)

// solve orders the length fields so that each tells the size of one part more,
// and refuses parts whose size nothing tells.
func (c *compiler) solve() {
	f := c.f
	before := len(c.list)
	known := make([]bool, len(f.parts))
	for i := range c.d.Fields {
		d, p := &c.d.Fields[i], c.places[i]
		if d.Counts == "" || p.part >= 0 {
			continue
		}
		if p.trailer {
			c.add(at(i, "counts"), d.Name+", behind what it counts", "a length field before the first field of variable length", "")
			continue
		}
		first, last, ok := c.find(at(i, "counts"), d.Counts)
		if !ok {
			continue
		}
		low, high := c.bounds(i)
		l := length{offset: p.offset, size: p.size, number: p.number, min: low, max: high, solves: -1}
		for j := first; j <= last; j++ {
			k := c.places[j]
			switch {
			case k.part < 0:
				l.fixed += k.size
			case known[k.part] || l.solves >= 0:
				l.parts = append(l.parts, k.part)
			default:
				l.solves = k.part
				known[k.part] = true
			}
		}
		if n := slices.IndexFunc(l.parts, func(part int) bool { return !known[part] }); n >= 0 {
			c.add(at(i, "counts"), d.Counts+", which holds two fields of unknown length",
				"one at most", "put the field that counts "+f.parts[l.parts[n]].name+" alone before "+d.Name)
		}
		l.field = &Fault{BadLength, c.name, d.Name, fmt.Sprintf("expected at least %d", low)}
		l.long = &Fault{TooLong, c.name, d.Name, fmt.Sprintf("expected at most %d", high)}
		l.bad = &Fault{BadLength, c.name, d.Name, "expected a length that agrees with the layout"}
		f.lengths = append(f.lengths, l)
	}
	if len(c.list) > before {
		return // a part may only seem uncounted
	}
	for i, p := range c.places {
		if p.part >= 0 && !known[p.part] {
			name := f.parts[p.part].name
			c.add(at(i, ""), name+", of variable length, which no length field counts",
				"a field before it with counts: "+name, "or give it a size")
		}
	}
	if !slices.ContainsFunc(f.parts, func(p part) bool { return p.role == rolePayload }) && len(c.list) == 0 {
		c.add("fields", "", "a field {name: payload} without a size", "what is routed is a payload")
	}
	if least := f.header + f.trailer; c.d.Limit != 0 && c.d.Limit < least {
		c.add("limit", strconv.Itoa(c.d.Limit), fmt.Sprintf("at least %d, which the fixed fields take", least), "")
	}
}

// checksums compiles the checksum fields, in the order in which they are written.
func (c *compiler) checksums() {
	for i := range c.d.Fields {
		d, p := &c.d.Fields[i], c.places[i]
		if d.Checksum == "" || p.part >= 0 {
			continue
		}
		algorithm, ok := c.algorithm(i)
		if !ok {
			continue
		}
		if algorithm.size != p.size {
			c.add(at(i, "size"), strconv.Itoa(p.size), fmt.Sprintf("%d, the size of %s", algorithm.size, d.Checksum), "")
			continue
		}
		if d.Covers == "" {
			c.add(at(i, "covers"), "", "the field or range first..last that the checksum is taken over", "")
			continue
		}
		first, last, ok := c.find(at(i, "covers"), d.Covers)
		if !ok {
			continue
		}
		for j := first; j <= last; j++ {
			if j >= i && c.d.Fields[j].Checksum != "" {
				c.add(at(i, "covers"), d.Covers+", which holds the checksum "+c.d.Fields[j].Name,
					"fields that are written before "+d.Name, "")
			}
		}
		c.f.sums = append(c.f.sums, sum{
			checksum: algorithm,
			at:       c.clamp(p.from), from: c.clamp(c.places[first].from), to: c.clamp(c.places[last].to),
			number: p.number,
			fault:  &Fault{BadChecksum, c.name, d.Name, "expected the " + d.Checksum + " of " + d.Covers},
		})
	}
}

// clamp gives marks of the trailer the number of parts that there are.
func (c *compiler) clamp(m mark) mark {
	m.parts = min(m.parts, len(c.f.parts))
	return m
}

func (c *compiler) algorithm(i int) (*checksum, bool) {
	d := &c.d.Fields[i]
	if !c.oneOf(at(i, "checksum"), d.Checksum, checksumNames()...) {
		return nil, false
	}
	parameters, is16 := crc16Named[d.Checksum]
	before := len(c.list)
	for _, key := range []string{"poly", "init", "xorout"} {
		switch v := map[string]*uint64{"poly": d.Poly, "init": d.Init, "xorout": d.XorOut}[key]; {
		case v == nil:
		case !is16:
			c.add(at(i, key), key+" with "+d.Checksum, "no "+key, "only crc16 takes parameters")
		case *v > 0xFFFF:
			c.add(at(i, key), fmt.Sprintf("%#x", *v), "at most 0xffff", "")
		case key == "poly":
			parameters.poly = uint16(*v)
		case key == "init":
			parameters.init = uint16(*v)
		default:
			parameters.xorout = uint16(*v)
		}
	}
	for _, key := range []string{"refin", "refout"} {
		switch v := map[string]*bool{"refin": d.RefIn, "refout": d.RefOut}[key]; {
		case v == nil:
		case !is16:
			c.add(at(i, key), key+" with "+d.Checksum, "no "+key, "only crc16 takes parameters")
		case key == "refin":
			parameters.refin = *v
		default:
			parameters.refout = *v
		}
	}
	if len(c.list) > before {
		return nil, false
	}
	if is16 {
		return newCRC16(parameters), true
	}
	return newChecksum(d.Checksum)
}
