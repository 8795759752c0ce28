package std_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

const modbusConfig = `{"registers":[
	{"at":40001,"name":"temperature","value":100},{"at":40002,"name":"humidity","value":85},{"at":40003,"writable":false,"value":7},
	{"at":40010,"name":"curve","count":130},{"at":"holding:65530","count":6},
	{"at":1,"name":"lamps","count":2100},{"at":10001,"name":"doors","count":2100,"value":true},{"at":30001,"name":"inputs","count":200,"value":-2}]}`

// plant is a Modbus server as the protocol's specification (V1.1b3, section 6)
// draws it, over modbusConfig.
type plant struct {
	tables [5]map[uint16]uint16 // by coils 1, discrete inputs 2, holding registers 3, input registers 4
}

func newPlant() *plant {
	p := &plant{}
	for i := range p.tables {
		p.tables[i] = map[uint16]uint16{}
	}
	fill := func(table int, start uint16, count int, value uint16) {
		for i := range count {
			p.tables[table][start+uint16(i)] = value
		}
	}
	fill(3, 0, 1, 100)
	fill(3, 1, 1, 85)
	fill(3, 2, 1, 7)
	fill(3, 9, 130, 0)
	fill(3, 65530, 6, 0)
	fill(1, 0, 2100, 0)
	fill(2, 0, 2100, 1)
	fill(4, 0, 200, 0xfffe)
	return p
}

func (p *plant) answer(pdu []byte) []byte {
	function := pdu[0]
	fail := func(code byte) []byte { return []byte{function | 0x80, code} }
	switch function {
	case 1, 2, 3, 4:
		return p.read(pdu, fail)
	case 5, 6, 15, 16:
		return p.write(pdu, fail)
	}
	return fail(1)
}

func (p *plant) there(table int, start uint16, count int) bool {
	for i := range count {
		if _, ok := p.tables[table][start+uint16(i)]; !ok || int(start)+i > 65535 {
			return false
		}
	}
	return true
}

func (p *plant) read(pdu []byte, fail func(byte) []byte) []byte {
	if len(pdu) != 5 {
		return fail(3)
	}
	table := int(pdu[0])
	start, count := binary.BigEndian.Uint16(pdu[1:]), int(binary.BigEndian.Uint16(pdu[3:]))
	most := 2000
	if table >= 3 {
		most = 125
	}
	switch {
	case count < 1 || count > most:
		return fail(3)
	case !p.there(table, start, count):
		return fail(2)
	}
	if table >= 3 {
		out := []byte{pdu[0], byte(2 * count)}
		for i := range count {
			out = binary.BigEndian.AppendUint16(out, p.tables[table][start+uint16(i)])
		}
		return out
	}
	out := make([]byte, 2+(count+7)/8)
	out[0], out[1] = pdu[0], byte(len(out)-2)
	for i := range count {
		out[2+i/8] |= byte(p.tables[table][start+uint16(i)]) << (i % 8)
	}
	return out
}

func (p *plant) write(pdu []byte, fail func(byte) []byte) []byte {
	if len(pdu) < 5 {
		return fail(3)
	}
	start, word := binary.BigEndian.Uint16(pdu[1:]), binary.BigEndian.Uint16(pdu[3:])
	table, values := 3, []uint16{word}
	switch pdu[0] {
	case 5:
		if word != 0 && word != 0xff00 {
			return fail(3)
		}
		table, values = 1, []uint16{word >> 15}
		fallthrough
	case 6:
		if len(pdu) != 5 {
			return fail(3)
		}
	case 15, 16:
		values = nil
		most, size := 0x7b, 2*int(word)
		if pdu[0] == 15 {
			table, most, size = 1, 0x7b0, (int(word)+7)/8
		}
		if word < 1 || int(word) > most || len(pdu) != 6+size || int(pdu[5]) != size {
			return fail(3)
		}
		for i := range int(word) {
			if table == 1 {
				values = append(values, uint16(pdu[6+i/8]>>(i%8)&1))
			} else {
				values = append(values, binary.BigEndian.Uint16(pdu[6+2*i:]))
			}
		}
	}
	if !p.there(table, start, len(values)) || table == 3 && start <= 2 && int(start)+len(values) > 2 {
		return fail(2)
	}
	for i, v := range values {
		p.tables[table][start+uint16(i)] = v
	}
	return pdu[:5]
}

// randomPDU is a request that is legal more often than not.
func randomPDU(r *rand.Rand) []byte {
	functions := []byte{1, 2, 3, 4, 5, 6, 15, 16, 3, 6, 16, byte(r.Uint32())}
	pdu := []byte{functions[r.IntN(len(functions))]}
	starts := []int{r.IntN(3), 9 + r.IntN(20), 130 + r.IntN(12), 65530 + r.IntN(6), r.IntN(2100), r.IntN(65536)}
	pdu = binary.BigEndian.AppendUint16(pdu, uint16(starts[r.IntN(len(starts))]))
	count := []int{1, 1 + r.IntN(4), 1 + r.IntN(130), 1 + r.IntN(2010), r.IntN(65536)}[r.IntN(5)]
	switch pdu[0] {
	case 5:
		pdu = binary.BigEndian.AppendUint16(pdu, []uint16{0, 0xff00, uint16(r.Uint32())}[r.IntN(3)])
	case 6:
		pdu = binary.BigEndian.AppendUint16(pdu, uint16(r.Uint32()))
	case 15, 16:
		size := count * 2
		if pdu[0] == 15 {
			size = (count + 7) / 8
		}
		pdu = append(binary.BigEndian.AppendUint16(pdu, uint16(count)), byte(size))
		for range min(size, 247) {
			pdu = append(pdu, byte(r.Uint32()))
		}
	default:
		pdu = binary.BigEndian.AppendUint16(pdu, uint16(count))
	}
	switch r.IntN(12) {
	case 0:
		pdu = pdu[:1+r.IntN(len(pdu))]
	case 1:
		pdu = append(pdu, byte(r.Uint32()))
	}
	return pdu
}

// TestModbusAgainstModel asks two instances, as two loops have them, and the
// model: all three say the same to every request.
func TestModbusAgainstModel(t *testing.T) {
	one := newStage(t, use{name: "modbus-registers", config: modbusConfig})
	stages := []*stage{one, one.again()}
	model := newPlant()
	r := rand.New(rand.NewPCG(1, 2))
	answers := map[byte]int{}
	for i := range 20_000 {
		pdu := randomPDU(r)
		want := model.answer(pdu)
		b := stages[r.IntN(2)].run(abi.Message{Session: 1, Payload: pdu})
		if o := b.Outcomes[0]; o.Verdict != abi.VerdictReply || !bytes.Equal(o.Out, want) {
			t.Fatalf("request %d, %x: %v %x, want %x", i, pdu, o.Verdict, o.Out, want)
		}
		if want[0]&0x80 != 0 {
			answers[want[1]]++
		} else {
			answers[0]++
		}
	}
	if answers[0] < 4000 || answers[1] < 100 || answers[2] < 1000 || answers[3] < 1000 {
		t.Errorf("the requests are not a good mixture: %v", answers)
	}
}

// TestModbusLaterMap: values outlive the map that they were written by; registers
// that a map does not have keep theirs for the next one that does.
func TestModbusLaterMap(t *testing.T) {
	s := newStage(t, use{name: "modbus-registers", config: modbusConfig})
	ask := func(s *stage, pdu string) string {
		request, err := hex.DecodeString(pdu)
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(s.run(abi.Message{Session: 1, Payload: request}).Outcomes[0].Out)
	}
	later := func(config string) *stage {
		p, err := load(t, s.env, use{name: "modbus-registers", config: config})
		if err != nil {
			t.Fatal(err)
		}
		return &stage{tb: t, env: s.env, chain: newChain(t, []*plugins.Plugin{p})}
	}
	ask(s, "0600000065")
	ask(s, "050003ff00")
	other := later(`{"registers":[{"at":40001,"value":1},{"at":40002,"value":2}]}`)
	if got := ask(other, "0300000002"); got != "030400650002" {
		t.Errorf("after a change of the map: %s", got)
	}
	ask(other, "0600010003")
	third := later(modbusConfig)
	if got := ask(third, "0300000002") + ask(third, "0100030001"); got != "030400650003"+"010101" {
		t.Errorf("after another change: %s", got)
	}
	fixed := later(`{"registers":[{"at":40001,"value":1,"writable":false}]}`)
	if got := ask(fixed, "0300000001"); got != "03020001" {
		t.Errorf("what can no longer be written reads %s", got)
	}
}

// TestModbusPublishes: a write is one message, what is read or refused is none.
func TestModbusPublishes(t *testing.T) {
	s := newStage(t, use{name: "modbus-registers", config: modbusConfig})
	write := []byte{16, 0, 9, 0, 123, 246}
	write = append(write, make([]byte, 246)...)
	b := s.run(
		abi.Message{Session: 1, Seq: 7, Priority: 5, Attrs: attrs("unit", "3"), Payload: write},
		abi.Message{Session: 1, Payload: []byte{3, 0, 0, 0, 1}},
		abi.Message{Session: 1, Type: abi.TypeResponse, Payload: []byte{6, 0, 0, 0, 1}},
	)
	var emitted []abi.Message
	for i, o := range b.Outcomes {
		if o.Emitted {
			emitted = append(emitted, b.Messages[i])
		}
	}
	if len(emitted) != 1 || len(b.Outcomes) != 4 {
		t.Fatalf("%d messages emitted, %d in all", len(emitted), len(b.Outcomes))
	}
	m := emitted[0]
	if string(m.Topic) != "modbus/3/curve.0" || m.Priority != 5 || !bytes.HasPrefix(m.Payload, []byte(`{"curve.0":0,"curve.1":0,`)) {
		t.Errorf("%s %d %s", m.Topic, m.Priority, m.Payload)
	}
	if got := pairsOf(m.Attrs); got["unit"] != "3" || got["function"] != "16" {
		t.Errorf("attributes %v", got)
	}
	if o := b.Outcomes[3]; o.Verdict != abi.VerdictContinue {
		t.Errorf("a response: %v", o.Verdict)
	}
}

func TestModbusConfigErrors(t *testing.T) {
	with := func(register string) string { return `{"registers":[` + register + `]}` }
	refused(t, "modbus-registers", map[string]string{
		`{}`:                                 "registers: expected an array of registers",
		with(``):                             "registers: expected an array of registers",
		with(`{}`):                           "registers[0].at: expected a number like 40001",
		with(`{"at":0}`):                     "registers[0].at: expected a number like 40001",
		with(`{"at":20000}`):                 "found 20000",
		with(`{"at":"holding:65536"}`):       `found "holding:65536"`,
		with(`{"at":"memory:1"}`):            `found "memory:1"`,
		with(`{"at":40001,"value":65536}`):   "registers[0].value: expected a whole number",
		with(`{"at":1,"value":2}`):           "registers[0].value: expected a whole number from 0 to 1",
		with(`{"at":40001,"count":70000}`):   "registers[0].count",
		with(`{"at":465536,"count":2}`):      "registers[0].count: expected registers up to address 65535",
		with(`{"at":30001,"writable":true}`): "registers[0].writable: is true, but",
		with(`{"at":40001,"name":"a/b"}`):    "registers[0].name: expected 1 to 64 bytes",
		with(`{"at":40001},{"at":40001}`):    "are the same one",
		with(`{"at":40001,"name":"a"},{"at":40002,"name":"a"}`): `two are called "a"`,
		`{"registers":[{"at":1}],"units":[256]}`:                "units[0]: expected a number from 0 to 255",
		`{"registers":[{"at":1}],"topic":"a/{what}"}`:           "topic: expected 1 to 256 bytes",
		`{"registers":[{"at":1}],"topic":"a/#"}`:                "topic: expected 1 to 256 bytes",
	})
}

// FuzzModbus: whatever the bytes are, the plugin and the model say the same.
func FuzzModbus(f *testing.F) {
	s := newStage(f, use{name: "modbus-registers", config: modbusConfig})
	model := newPlant()
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(randomPDU(r))
	}
	f.Fuzz(func(t *testing.T, pdu []byte) {
		if len(pdu) == 0 || len(pdu) > 300 {
			return
		}
		s.tb = t
		want := model.answer(pdu)
		if o := s.run(abi.Message{Session: 1, Payload: pdu}).Outcomes[0]; !bytes.Equal(o.Out, want) {
			t.Fatalf("%x: %v %x, want %x", pdu, o.Verdict, o.Out, want)
		}
	})
}

// BenchmarkModbus is what requests cost, one at a time and in batches of 64.
func BenchmarkModbus(b *testing.B) {
	for name, pdu := range map[string][]byte{
		"read-2": {3, 0, 0, 0, 2}, "read-125": {3, 0, 9, 0, 125}, "write-1": {6, 0, 0, 0, 1},
	} {
		for _, size := range []int{1, 64} {
			b.Run(name+"/"+strconv.Itoa(size), func(b *testing.B) {
				s := newStage(b, use{name: "modbus-registers", config: modbusConfig})
				var messages []abi.Message
				for range size {
					messages = append(messages, abi.Message{Session: 1, Payload: pdu, Attrs: attrs("unit", "1")})
				}
				s.run(messages...)
				b.ReportAllocs()
				for b.Loop() {
					s.batch.Reset()
					s.batch.Messages = append(s.batch.Messages, messages...)
					s.chain.Messages(&s.batch)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/message")
				if o := s.batch.Outcomes[0]; o.Verdict != abi.VerdictReply || o.Out[0]&0x80 != 0 {
					b.Fatalf("%v %x", o.Verdict, o.Out)
				}
			})
		}
	}
}
