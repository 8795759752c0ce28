package frame

import (
	"fmt"
	"strconv"

	"github.com/weftrun/weft/abi"
)

// compileField turns field i into what the decoder and the encoder run.
func (c *compiler) compileField(i int) {
	d, p := &c.d.Fields[i], c.places[i]
	if d.Role == "" && d.Name == "payload" && p.part >= 0 {
		d.Role = "payload"
	}
	r, ok := roleOf(d.Role)
	if !ok {
		c.oneOf(at(i, "role"), d.Role, roleNames...)
		return
	}
	if !c.keys(i, r) || !c.fitting(i) {
		return
	}
	switch {
	case p.part >= 0:
		c.variable(i, r)
	case d.Const != nil:
		c.constant(i, r)
	case d.Counts != "" || d.Checksum != "":
		// solve and checksums see to these
	default:
		c.meaning(i, r)
	}
	c.carry(i, r)
}

// keys refuses keys that do nothing where they stand.
func (c *compiler) keys(i int, r role) bool {
	d, p := &c.d.Fields[i], c.places[i]
	before := len(c.list)
	kinds := 0
	for _, is := range []bool{d.Const != nil, d.Counts != "", d.Checksum != ""} {
		if is {
			kinds++
		}
	}
	plain := kinds == 0 && p.part < 0
	if kinds > 1 {
		c.add(at(i, ""), "more than one of const, counts and checksum in "+d.Name, "one at most", "")
	}
	if p.part >= 0 && kinds > 0 {
		c.add(at(i, "size"), "", "a size from 1 to 8 for "+d.Name, "only fields that carry bytes of the message are of variable length")
	}
	only := func(given bool, key, where string, allowed bool) {
		if given && !allowed {
			c.add(at(i, key), key+" in "+d.Name, "no "+key+" here", "it belongs to "+where)
		}
	}
	only(d.Default != nil, "default", "a field that is neither const, counts nor checksum", plain)
	only(d.Min != nil, "min", "a field with a size that is neither const nor checksum", p.part < 0 && d.Const == nil && d.Checksum == "")
	only(d.Max != nil, "max", "a field with a size that is neither const nor checksum", p.part < 0 && d.Const == nil && d.Checksum == "")
	only(d.Values != nil, "values", "a field with role type", plain && r == roleType)
	only(d.Other != "", "other", "a field with role type", plain && r == roleType)
	only(d.Encode != nil, "encode", "a field with role type", plain && r == roleType)
	only(d.Zero != "", "zero", "a field with role seq", plain && r == roleSeq)
	only(d.Attribute != "", "attribute", "a field that carries a value of the message, with role type or node or none",
		(plain || p.part >= 0 && kinds == 0) && (r == roleNone || r == roleNode || r == roleType))
	only(d.Covers != "", "covers", "a checksum field", d.Checksum != "")
	only(d.Poly != nil, "poly", "a checksum field", d.Checksum != "")
	only(d.Init != nil, "init", "a checksum field", d.Checksum != "")
	only(d.XorOut != nil, "xorout", "a checksum field", d.Checksum != "")
	only(d.RefIn != nil, "refin", "a checksum field", d.Checksum != "")
	only(d.RefOut != nil, "refout", "a checksum field", d.Checksum != "")
	only(d.Endian != "", "endian", "a field with a size", p.part < 0)
	c.placeOf(i, r, plain)
	return len(c.list) == before
}

// placeOf refuses a role where it cannot be.
func (c *compiler) placeOf(i int, r role, plain bool) {
	d, p := &c.d.Fields[i], c.places[i]
	ok, expected := true, ""
	switch r {
	case roleSeq, roleType, rolePriority:
		ok, expected = plain, "a field with a size and without const, counts or checksum"
	case roleMagic, roleVersion:
		ok, expected = d.Const != nil, "a field with a const"
	case roleTopic, rolePayload:
		ok, expected = p.part >= 0, "a field of variable length: one without a size, that a length field counts"
	case roleNode:
		ok, expected = plain || p.part >= 0, "a field with a size, or of variable length"
	}
	if !ok {
		c.add(at(i, "role"), "role "+d.Role+" in "+d.Name, expected, "")
	}
	if r == roleNone || r == roleMagic || r == roleVersion {
		return
	}
	for j := range i {
		if c.d.Fields[j].Role == d.Role {
			c.add(at(i, "role"), "role "+d.Role+" again", "one field with it", c.d.Fields[j].Name+" has it already")
		}
	}
}

// fitting checks that every number of a field fits its size and its bounds.
func (c *compiler) fitting(i int) bool {
	d, p := &c.d.Fields[i], c.places[i]
	if p.part >= 0 {
		return true
	}
	before := len(c.list)
	most := largest(p.size)
	fits := func(key string, v *uint64) {
		if v != nil && *v > most {
			c.add(at(i, key), fmt.Sprintf("%d (%#x)", *v, *v), fmt.Sprintf("at most %d, which is what %d byte(s) hold", most, p.size), "")
		}
	}
	fits("const", d.Const)
	fits("default", d.Default)
	fits("min", d.Min)
	fits("max", d.Max)
	for _, raw := range sorted(d.Values) {
		fits("values", &raw)
	}
	for _, name := range sorted(d.Encode) {
		raw := d.Encode[name]
		fits("encode", &raw)
	}
	if d.Min != nil && d.Max != nil && *d.Min > *d.Max {
		c.add(at(i, "min"), strconv.FormatUint(*d.Min, 10), fmt.Sprintf("at most max, which is %d", *d.Max), "")
	}
	low, high := c.bounds(i)
	if d.Default != nil && (*d.Default < low || *d.Default > high) {
		c.add(at(i, "default"), strconv.FormatUint(*d.Default, 10), fmt.Sprintf("a number from %d to %d", low, high), "")
	}
	return len(c.list) == before
}

// bounds are the smallest and the largest value of a field.
func (c *compiler) bounds(i int) (low, high uint64) {
	d := &c.d.Fields[i]
	high = largest(c.places[i].size)
	if d.Min != nil {
		low = *d.Min
	}
	if d.Max != nil {
		high = *d.Max
	}
	return low, high
}

func (c *compiler) constant(i int, r role) {
	d, p := &c.d.Fields[i], c.places[i]
	reason := BadField
	switch {
	case r == roleVersion:
		reason = BadVersion
	case r == roleMagic || !p.trailer && p.offset == 0:
		reason = BadMagic
	}
	k := fixed{
		offset: p.offset, number: p.number, want: *d.Const, bytes: make([]byte, p.size),
		fault: &Fault{reason, c.name, d.Name, fmt.Sprintf("expected 0x%0*X", 2*p.size, *d.Const)},
	}
	p.number.write(k.bytes, k.want)
	if p.trailer {
		c.f.ends = append(c.f.ends, k)
		return
	}
	c.f.constants = append(c.f.constants, k)
}

func (c *compiler) variable(i int, r role) {
	d := &c.d.Fields[i]
	p := &c.f.parts[c.places[i].part]
	p.role = r
	most := abi.MaxAttribute
	switch r {
	case rolePayload:
		most = abi.MaxPayload
	case roleTopic:
		most = abi.MaxTopic
	default:
		p.key = c.attributeName(i, r)
		if p.key != "" {
			p.attr = attributeHead(p.key)
		}
	}
	p.most = most
	p.fault = &Fault{TooLong, c.name, d.Name, fmt.Sprintf("expected at most %d bytes", most)}
}

// attributeName is the attribute that the field becomes, "" for none.
func (c *compiler) attributeName(i int, r role) string {
	d := &c.d.Fields[i]
	name := d.Attribute
	if name == "" && r == roleNode {
		name = d.Name
	}
	if name == "" {
		return ""
	}
	if !validName(name) {
		c.add(at(i, "attribute"), strconv.Quote(name), "a name of letters, digits, _ and -, beginning with a letter", "")
	}
	for j := range i {
		o := &c.d.Fields[j]
		if other := o.Attribute; other == name || other == "" && o.Role == "node" && o.Name == name {
			c.add(at(i, "attribute"), name+" again", "an attribute that no other field becomes", o.Name+" becomes it already")
		}
	}
	if r == roleNode {
		c.f.nodeAttr = name
	}
	return name
}

// meaning compiles a fixed field that comes from the message or goes into it.
func (c *compiler) meaning(i int, r role) {
	d, p := &c.d.Fields[i], c.places[i]
	low, high := c.bounds(i)
	if r == rolePriority && high > abi.MaxPriority {
		high = abi.MaxPriority
		if d.Max != nil {
			c.add(at(i, "max"), strconv.FormatUint(*d.Max, 10), "at most 7", "a message's priority runs from 0 to 7")
		}
	}
	v := value{
		offset: p.offset, size: p.size, number: p.number, role: r,
		min: low, max: high, bounded: low > 0 || high < largest(p.size),
		initial: low,
		field:   &Fault{BadField, c.name, d.Name, fmt.Sprintf("expected %d to %d", low, high)},
		large:   &Fault{TooLarge, c.name, d.Name, fmt.Sprintf("expected %d to %d", low, high)},
	}
	if d.Default != nil {
		v.initial = *d.Default
	}
	if v.key = c.attributeName(i, r); v.key != "" {
		v.attr = attributeHead(v.key)
		v.badAttr = &Fault{BadAttribute, c.name, d.Name, "expected attribute " + v.key + " to be a decimal number"}
	}
	switch r {
	case roleType:
		c.types(i, &v)
	case roleSeq:
		c.f.seqBits = 8 * p.size
		if d.Zero != "" && c.oneOf(at(i, "zero"), d.Zero, typeNames...) {
			t, _ := typeOf(d.Zero)
			v.zero = uint8(t) + 1
		}
	}
	if r == roleNone && v.attr == nil && !v.bounded {
		return
	}
	if p.trailer {
		c.f.tails = append(c.f.tails, v)
	} else {
		c.f.heads = append(c.f.heads, v)
	}
}

// carry notes which fields of a message the frame depends on.
func (c *compiler) carry(i int, r role) {
	d := &c.d.Fields[i]
	switch r {
	case roleSeq:
		c.f.carries |= abi.ChangedSeq
		if d.Zero != "" {
			c.f.carries |= abi.ChangedType
		}
	case roleType:
		c.f.carries |= abi.ChangedType
	case rolePriority:
		c.f.carries |= abi.ChangedPriority
	case roleTopic:
		c.f.carries |= abi.ChangedTopic
	}
	if d.Attribute != "" || r == roleNode {
		c.f.carries |= abi.ChangedAttrs
	}
}
