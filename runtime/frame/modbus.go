package frame

import (
	"fmt"
	"strings"

	"github.com/weftrun/weft/abi"
)

// The formats that code reads and writes, because no declaration can say what a
// length depends on.
const (
	// ModbusTCP is the Modbus application protocol on TCP: an MBAP header, then
	// the PDU (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3).
	ModbusTCP = "modbus-tcp"
	// ModbusRTU is a serial line's frame on a TCP connection: the unit, the PDU
	// and a CRC (MODBUS over Serial Line V1.02, 2.5.1). Time between bytes means
	// nothing there: where a frame ends follows from its function code, or from
	// its CRC where the function code is not known.
	ModbusRTU = "modbus-rtu"
)

var modbusNames = []string{ModbusTCP, ModbusRTU}

const (
	// MaxPDU is the longest Modbus PDU in bytes, the function code included.
	MaxPDU = 253
	// mbapHeader is the transaction, the protocol, the length and the unit.
	mbapHeader = 7
	maxMBAP    = mbapHeader + MaxPDU
	minRTU     = 4
	maxRTU     = 1 + MaxPDU + 2
)

// modbus is what a Modbus format has in place of a compiled declaration.
type modbus struct {
	serial bool
	server bool // requests are read and responses written; otherwise the reverse
	most   int
	crc    *checksum
	peer   *Format
	extent func(b []byte) (int, certainty) // of a serial frame

	unit, function, exception value // attributes

	badProtocol, badLength, badPDU, longPDU, longSeq, garbage, badCRC, badType, broadcast *Fault
}

// newModbus makes both ends of a Modbus format; the server's is returned.
func newModbus(name string) *Format {
	server, client := newModbusEnd(name, true), newModbusEnd(name, false)
	server.modbus.peer, client.modbus.peer = client, server
	return server
}

func newModbusEnd(name string, server bool) *Format {
	serial := name == ModbusRTU
	w := &modbus{serial: serial, server: server, most: maxMBAP}
	f := &Format{
		name: name, description: "Modbus TCP: the MBAP header, then the PDU as the payload",
		modbus: w, typ: abi.TypeResponse, seqBits: 16,
		carries: abi.ChangedPayload | abi.ChangedAttrs | abi.ChangedSeq,
	}
	unit := uint64(255) // what addresses a device that is no gateway
	if serial {
		w.most, w.extent, unit = maxRTU, responseExtent, 1
		f.description, f.seqBits, f.carries = "Modbus RTU over TCP: unit, PDU as the payload, CRC", 0, abi.ChangedPayload|abi.ChangedAttrs
		w.crc, _ = newChecksum("crc16/modbus")
	}
	if server {
		f.typ = abi.TypeRequest
		w.extent = requestExtent
	}
	f.root = f
	w.faults(name)
	number := func(key string, initial uint64) value {
		return value{
			key: key, attr: attributeHead(key), initial: initial, max: 255,
			large:   &Fault{TooLarge, name, key, "expected at most 255"},
			badAttr: &Fault{BadAttribute, name, key, "expected a decimal number"},
		}
	}
	w.unit, w.function, w.exception = number("unit", unit), number("function", 0), number("exception", 0)
	f.setLimit(w.most)
	return f
}

func (w *modbus) faults(name string) {
	w.badProtocol = &Fault{BadMagic, name, "protocol", "expected 0"}
	w.badLength = &Fault{BadLength, name, "length", "expected 2 to 254 bytes of unit and PDU"}
	w.badPDU = &Fault{BadLength, name, "pdu", "expected a function code at least"}
	w.longPDU = &Fault{TooLong, name, "pdu", fmt.Sprintf("expected at most %d bytes", MaxPDU)}
	w.longSeq = &Fault{TooLarge, name, "transaction", "expected at most 65535"}
	w.garbage = &Fault{BadField, name, "function", "expected a function code and as many bytes as it says"}
	w.badCRC = &Fault{BadChecksum, name, "crc", "the frame was damaged, or is none"}
	w.broadcast = &Fault{Broadcast, name, "unit", "nobody answers a broadcast on a serial line"}
	kind := "a response"
	if !w.server {
		kind = "a request"
	}
	w.badType = &Fault{BadType, name, "", "only " + kind + " is written here: a Modbus server speaks when it is asked"}
}

// Peer is the format as the other end of a connection has it, with the limit of
// f. It is f itself except for Modbus, where a server reads requests and writes
// responses: the presets are the server's end, and Peer of one the client's.
func (f *Format) Peer() *Format {
	if f.modbus == nil {
		return f
	}
	return f.modbus.peer.WithLimit(f.limit)
}

// Modbus reports that the payload of every message is a Modbus PDU: a function
// code and what belongs to it.
func (f *Format) Modbus() bool { return f.modbus != nil }

// Unanswered reports that nobody answers m, as Decode returned it, because it is
// a broadcast: unit 0 of a serial line.
func (f *Format) Unanswered(m *abi.Message) bool {
	if f.modbus == nil || !f.modbus.serial {
		return false
	}
	unit, _, fault := f.modbus.unit.attribute(m)
	return fault == nil && unit == 0
}

// fill makes a message of a PDU.
func (w *modbus) fill(unit byte, pdu, scratch []byte, m *abi.Message) []byte {
	m.Priority, m.Topic, m.Payload = 0, nil, pdu
	grown := w.unit.name(uint64(unit), scratch)
	function := pdu[0]
	if !w.server {
		function &^= failed
	}
	grown = w.function.name(uint64(function), grown)
	if !w.server && pdu[0]&failed != 0 && len(pdu) > 1 {
		grown = w.exception.name(uint64(pdu[1]), grown)
	}
	m.Attrs = abi.Attributes(grown[len(scratch):len(grown):len(grown)])
	return grown
}

// failed is the bit of a function code that says that the PDU is an exception.
const failed = 0x80

// check tells the unit that m is for or from; its PDU must be one that this end
// writes.
func (w *modbus) check(m *abi.Message) (unit uint64, fault *Fault) {
	switch {
	case len(m.Payload) == 0:
		return 0, w.badPDU
	case len(m.Payload) > MaxPDU:
		return 0, w.longPDU
	case w.server && m.Type != abi.TypeResponse, !w.server && m.Type != abi.TypeRequest && m.Type != abi.TypeEvent:
		return 0, w.badType
	}
	unit, _, fault = w.unit.attribute(m)
	switch {
	case fault != nil:
		return 0, fault
	case unit > w.unit.max:
		return 0, w.unit.large
	}
	return unit, nil
}

func (f *Format) decodeModbus(b, scratch []byte, m *abi.Message) (int, []byte, error) {
	if f.modbus.serial {
		return f.decodeRTU(b, scratch, m)
	}
	return f.decodeMBAP(b, scratch, m)
}

func (f *Format) needModbus(b []byte) int {
	if f.modbus.serial {
		return f.needRTU(b)
	}
	total, _ := f.measureMBAP(b)
	return total
}

func (f *Format) appendModbus(dst []byte, m *abi.Message) ([]byte, error) {
	unit, fault := f.modbus.check(m)
	if fault != nil {
		return dst, fault
	}
	if f.modbus.serial {
		return f.appendRTU(dst, byte(unit), m)
	}
	return f.appendMBAP(dst, byte(unit), m)
}

// describeModbus is Describe.
func (f *Format) describeModbus(s *strings.Builder) {
	fields := [][3]string{
		{"0", "2", "transaction      seq"}, {"2", "2", "protocol         always 0"}, {"4", "2", "length           of unit and pdu, 2 to 254"},
		{"6", "1", "unit             attribute unit"}, {"7", "...", "pdu              payload; its first byte is also the attribute function"},
	}
	end := "a bad frame closes the connection"
	if f.modbus.serial {
		fields = [][3]string{
			{"0", "1", "unit             attribute unit; 0 is everybody, and nobody answers"},
			{"1", "...", "pdu              payload; its first byte is also the attribute function"},
			{"", "2", "crc              crc16/modbus of unit..pdu, low byte first"},
		}
		end = "after a bad frame the next one is looked for"
	}
	for _, d := range fields {
		fmt.Fprintf(s, "%6s %4s  %s\n", d[0], d[1], d[2])
	}
	fmt.Fprintf(s, "at most %d bytes; %s\n", f.limit, end)
}
