package frame

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/weftrun/weft/abi"
)

// types compiles the map between raw values and message types.
func (c *compiler) types(i int, v *value) {
	d := &c.d.Fields[i]
	t := &typeMap{wide: map[uint64]uint8{}}
	if len(d.Values) == 0 {
		c.add(at(i, "values"), "", "what each value means, such as {1: request, 2: response}", "")
		return
	}
	if d.Other != "" && c.oneOf(at(i, "other"), d.Other, typeNames...) {
		o, _ := typeOf(d.Other)
		t.other = uint8(o) + 1
	}
	for raw := range t.known {
		t.known[raw] = t.other
	}
	var ways [5][]uint64
	for _, raw := range sorted(d.Values) {
		name := d.Values[raw]
		if !c.oneOf(at(i, fmt.Sprintf("values.%d", raw)), name, typeNames...) {
			return
		}
		mt, _ := typeOf(name)
		ways[mt] = append(ways[mt], raw)
		if raw < 256 {
			t.known[raw] = uint8(mt) + 1
		} else {
			t.wide[raw] = uint8(mt) + 1
		}
	}
	for mt, raws := range ways {
		if len(raws) == 1 {
			t.wire[mt], t.can[mt] = raws[0], true
		}
	}
	for _, name := range sorted(d.Encode) {
		raw := d.Encode[name]
		if !c.oneOf(at(i, "encode"), name, typeNames...) {
			return
		}
		mt, _ := typeOf(name)
		if t.typeOf(raw) == 0 {
			c.add(at(i, "encode."+name), strconv.FormatUint(raw, 10), "a value that values names", "")
		}
		t.wire[mt], t.can[mt] = raw, true
	}
	for mt, raws := range ways {
		if len(raws) > 1 && !t.can[mt] {
			slices.Sort(raws)
			c.add(at(i, "encode"), "", fmt.Sprintf("how %s is written: values has %s more than once", typeNames[mt], typeNames[mt]),
				fmt.Sprintf("add encode: {%s: %d}", typeNames[mt], raws[0]))
		}
	}
	t.standIns(d.Default)
	v.types = t
	v.field.Text = "expected a value that the declaration names"
	v.badType = &Fault{BadType, c.name, d.Name, "expected a message of a type that the format can say"}
	if v.badAttr != nil {
		v.badAttr.Text = "expected attribute " + v.key + " to be a number that the declaration names"
	}
}

// standIns lets types that have no value of their own be written as the nearest
// one that has.
func (t *typeMap) standIns(initial *uint64) {
	nearest := []struct{ typ, as abi.Type }{
		{abi.TypeEvent, abi.TypeRequest},
		{abi.TypeRequest, abi.TypeEvent},
		{abi.TypeAck, abi.TypeResponse},
	}
	for _, n := range nearest {
		if !t.can[n.typ] && t.can[n.as] {
			t.wire[n.typ], t.can[n.typ] = t.wire[n.as], true
		}
	}
	for mt := range t.can {
		if !t.can[mt] && initial != nil {
			t.wire[mt], t.can[mt] = *initial, true
		}
	}
}
