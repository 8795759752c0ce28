package modbus

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// How many values one request writes at most (V1.1b3, sections 6.11 and 6.12).
const (
	maxWriteBits      = 1968
	maxWriteRegisters = 123
	maxPDU            = 253
)

// ErrWrite is what errors about a payload that is to be written wrap.
var ErrWrite = errors.New("not a write")

// ParseWrite makes requests of a payload that is to be written: a JSON object whose
// keys are the numbers of coils and holding registers, {"40001":5,"40010":[1,2],
// "1":true}, or a PDU as it is. What lies side by side is written by one request; the
// requests are in the order of tables and addresses. The error wraps ErrWrite.
func ParseWrite(payload []byte) (requests [][]byte, err error) {
	trimmed := bytes.TrimLeft(payload, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		if len(payload) == 0 || len(payload) > maxPDU {
			return nil, fmt.Errorf("%w: %d bytes: expected a JSON object or a PDU of 1 to %d bytes", ErrWrite, len(payload), maxPDU)
		}
		return [][]byte{bytes.Clone(payload)}, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(trimmed, &object); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	var all []written
	for key, raw := range object {
		some, err := parseValues(key, raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrWrite, key, err)
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: an empty object", ErrWrite)
	}
	slices.SortFunc(all, func(a, b written) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.address, b.address))
	})
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].table == all[0].table && all[n].address == all[n-1].address+1 {
			n++
		}
		if n < len(all) && all[n].table == all[0].table && all[n].address == all[n-1].address {
			return nil, fmt.Errorf("%w: %d is given twice", ErrWrite, all[n].table.Number(all[n].address))
		}
		if all[0].table.Bits() {
			n = min(n, maxWriteBits)
		} else {
			n = min(n, maxWriteRegisters)
		}
		requests = append(requests, writeRequest(all[:n]))
		all = all[n:]
	}
	return requests, nil
}

// written is one value at its place.
type written struct {
	table   Table
	address int
	value   uint16
}

func parseValues(key string, raw json.RawMessage) ([]written, error) {
	number, err := strconv.Atoi(key)
	if err != nil {
		return nil, errors.New("expected the number of a coil or holding register, such as 40001")
	}
	table, address, err := Find(number)
	if err != nil {
		return nil, err
	}
	if table != Coils && table != Holding {
		return nil, fmt.Errorf("%s cannot be written", table)
	}
	values := []json.RawMessage{raw}
	if len(raw) > 0 && raw[0] == '[' {
		values = nil
		if err := json.Unmarshal(raw, &values); err != nil {
			return nil, err
		}
	}
	if address+len(values) > 65536 {
		return nil, errors.New("reaches beyond the table's end")
	}
	list := make([]written, 0, len(values))
	for i, v := range values {
		value, err := parseValue(table, v)
		if err != nil {
			return nil, err
		}
		list = append(list, written{table, address + i, value})
	}
	return list, nil
}

func parseValue(table Table, raw json.RawMessage) (uint16, error) {
	switch text := string(raw); {
	case text == "true" && table.Bits():
		return 1, nil
	case text == "false" && table.Bits():
		return 0, nil
	case table.Bits() && (text == "0" || text == "1"):
		return uint16(text[0] - '0'), nil
	case table.Bits():
		return 0, fmt.Errorf("%.40s: expected true or false", text)
	default:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < -32768 || n > 65535 {
			return 0, fmt.Errorf("%.40s: expected a whole number from -32768 to 65535", text)
		}
		return uint16(n), nil
	}
}

// writeRequest is the PDU that writes values side by side.
func writeRequest(values []written) []byte {
	first := values[0]
	at := uint16(first.address)
	if len(values) == 1 {
		if first.table.Bits() {
			return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{5}, at), first.value*0xff00)
		}
		return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{6}, at), first.value)
	}
	function, data := byte(16), []byte(nil)
	if first.table.Bits() {
		function, data = 15, make([]byte, (len(values)+7)/8)
		for i, v := range values {
			data[i/8] |= byte(v.value) << (i % 8)
		}
	} else {
		for _, v := range values {
			data = binary.BigEndian.AppendUint16(data, v.value)
		}
	}
	pdu := binary.BigEndian.AppendUint16([]byte{function}, at)
	pdu = binary.BigEndian.AppendUint16(pdu, uint16(len(values)))
	return append(append(pdu, byte(len(data))), data...)
}
